/** The package's API. See `src/cluster/api.ts` for what each part means and throws. */
import type { ClusterOptions, Sandbox, SandboxOptions } from "./cluster/api.ts";
import { createLocalCluster } from "./cluster/cluster.ts";
import type { RunningServer, ServerOptions } from "./gateway/server.ts";

export { createCluster } from "./cluster/cluster.ts";
export { doctor } from "./cluster/doctor.ts";
export type * from "./cluster/api.ts";
export type { RunningServer, ServerOptions } from "./gateway/server.ts";
export * from "./graph/errors.ts";
export { defaultLimits, type Limits } from "./graph/limits.ts";
export type { ResourceReport, RunEvent, RunRecord } from "./graph/events.ts";
export type { ResourceGraph } from "./graph/resource-graph.ts";

/**
 * Starts an HTTP server that hosts functions (docs/hosting.md).
 * @throws BadInput for an address that others reach without a token file, Unsupported
 */
export async function startServer(options: ServerOptions): Promise<RunningServer> {
  // Loaded when it is needed: a run of an application starts without it.
  return (await import("./gateway/server.ts")).startServer(options);
}

/** A sandbox with an executor of its own, which ends with it; {@link Cluster.createSandbox} has many in one. */
export async function createSandbox(options: SandboxOptions & ClusterOptions = {}): Promise<Sandbox> {
  const cluster = await createLocalCluster({ cpus: 1, ...options });
  try {
    return await cluster.ownSandbox(options);
  } catch (error) {
    await cluster.close();
    throw error;
  }
}
