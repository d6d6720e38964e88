/** The package's API. See `src/cluster/api.ts` for what each part means and throws. */
export { createCluster } from "./cluster/cluster.ts";
export { doctor } from "./cluster/doctor.ts";
export type * from "./cluster/api.ts";
export * from "./graph/errors.ts";
export { defaultLimits, type Limits } from "./graph/limits.ts";
export type { ResourceReport, RunEvent, RunRecord } from "./graph/events.ts";
export type { ResourceGraph } from "./graph/resource-graph.ts";
