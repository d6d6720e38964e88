/** What a command works with. */
import type { Cluster, ClusterOptions, Doctor } from "../cluster/api.ts";
import type { RunningServer, ServerOptions } from "../index.ts";
import type { Terminal } from "./terminal.ts";

/** The Node API as the commands use it. */
export interface Api {
  readonly createCluster: (options?: ClusterOptions) => Promise<Cluster>;
  readonly doctor: () => Promise<Doctor>;
  readonly startServer: (options: ServerOptions) => Promise<RunningServer>;
}

export interface Context {
  readonly terminal: Terminal;
  /** Loads the API: only commands that need it pay for it. */
  loadApi(): Promise<Api>;
}
