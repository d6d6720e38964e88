/** Where the numbers come from: this machine, what else it was doing, and what ran. */
import { availableParallelism, cpus, loadavg, totalmem } from "node:os";
import { versions } from "../src/cluster/versions.ts";

export interface Machine {
  readonly cpu: string;
  readonly cpus: number;
  readonly memory_bytes: number;
  readonly versions: Readonly<Record<string, string>>;
}

export function machine(): Machine {
  return {
    cpu: cpus()[0]?.model ?? "unknown",
    cpus: availableParallelism(),
    memory_bytes: totalmem(),
    versions: versions(),
  };
}

/** Load averages over 1, 5 and 15 minutes. */
export const load = (): number[] => loadavg().map((value) => Math.round(value * 100) / 100);
