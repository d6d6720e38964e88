/** One warm cluster that runs one program again and again, as an embedder would. */
import { type Cluster, createCluster, type RunEvent } from "../../src/index.ts";
import type { Bench } from "../bench.ts";
import { CPUS } from "../peers/start.ts";

export interface Finished<T> {
  /** From the call of `run` to its result in hand, the last sandbox's reset included. */
  readonly wall_ms: number;
  readonly value: T;
  readonly events: readonly RunEvent[];
  readonly copied_bytes: number;
  readonly message_bytes: number;
}

export interface Runner extends AsyncDisposable {
  run<T>(event: unknown): Promise<Finished<T>>;
  /** The value of code that runs in a sandbox by itself: no run, no components, and all of its memory its own. */
  alone<T>(code: string): Promise<T>;
}

/** `program`: its name in the folder `apps` of the suite. */
export async function openRunner(bench: Bench, program: string, suite = "main"): Promise<Runner> {
  const { cacheDir, app } = bench.workspace;
  const cluster: Cluster = await createCluster({ cacheDir, cpus: CPUS, onProgress: (line) => bench.say(line) });
  const compiled = await cluster.compile(app(program, suite));
  return {
    run: async <T>(event: unknown): Promise<Finished<T>> => {
      const started = performance.now();
      const { value, record } = await cluster.run(compiled, { event, limits: { run_timeout_ms: 30_000 } }).result;
      const wall_ms = performance.now() - started;
      const { copied_bytes, message_bytes } = record.report;
      return {
        wall_ms,
        value: value as T,
        events: record.events,
        copied_bytes,
        message_bytes: message_bytes,
      };
    },
    alone: async <T>(code: string): Promise<T> => {
      await using sandbox = await cluster.createSandbox();
      return (await sandbox.run(code)).value as T;
    },
    [Symbol.asyncDispose]: () => cluster.close(),
  };
}

/** Every component's sandbox was put back to its image before the run was answered: else the figure leaves work out. */
export function expectResets(events: readonly RunEvent[]): void {
  const ended = events.filter(({ type }) => type === "component-ended").length;
  const resets = events.filter(({ type }) => type === "sandbox-reset").length;
  if (resets !== ended) throw new Error(`the run was answered after ${resets} resets of ${ended} sandboxes`);
}
