/**
 * The Node API: compile applications and run them on this machine. `createCluster` and `doctor` are exported by the package.
 *
 * ```ts
 * await using cluster = await createCluster();
 * const run = cluster.run("app.py", { event: { rounds: 10 } });
 * for await (const event of run.events) console.log(event.type, event.t_ms);
 * const { value, record } = await run.result;
 * ```
 *
 * Every error is a {@link SandloomError} of a class in `src/graph/errors.ts`. An error of a limit has in its `details`
 * `limit` (the name in {@link Limits}), `bound` and, where known, `value`, both in the unit of the limit's name.
 */
import type { RunEvent, RunRecord } from "../graph/events.ts";
import type { Limits } from "../graph/limits.ts";
import type { BaseKind, RequiredPackage, ResourceGraph } from "../graph/resource-graph.ts";

export { timelineOf, type TimelineRow } from "../materializer/timeline.ts";

export interface ClusterOptions {
  /** Where images and compiled graphs are kept between processes. */
  cacheDir?: string;
  /** CPUs that components may hold together; all of the machine's by default. */
  cpus?: number;
  /** Bytes that memory components of all runs may hold together. */
  memory_bytes?: number;
  /** Told, in one line of text, of what takes longer than a moment: the first boot of an image, for one. */
  onProgress?: (line: string) => void;
}

export interface Mount {
  /** A folder of this machine. */
  readonly host: string;
  /** The absolute path at which components see it, read-only. */
  readonly guest: string;
}

export interface RunOptions {
  /** Made up when absent. Names the run in events, in errors and in `run.json`. */
  id?: string;
  /** What `main(event)` gets: any JSON value; `{}` when absent. */
  event?: unknown;
  limits?: Partial<Limits>;
  mounts?: readonly Mount[];
  /** A requirements file (docs/packages.md) instead of the `requirements.txt` beside the application; not for a compiled one. */
  requirements?: string;
  /** Cancels the run: everything in flight stops, `result` rejects with `Cancelled`. */
  signal?: AbortSignal;
  /** Gets `run.json`, also when the run fails, and the artifacts; made if missing. */
  outDir?: string;
  /** Also writes the executor's log to `outDir`, as `executor.log`. */
  keep?: boolean;
}

export interface CompileOptions extends Pick<RunOptions, "requirements" | "signal"> {}

export interface CompiledApp {
  readonly graph: ResourceGraph;
  /** Every file of the compiled folder except `graph.json`: path relative to the folder → text. */
  readonly files: ReadonlyMap<string, string>;
  readonly hash: string;
  /** Places where the program means something else than it may seem, or runs one after the other where it need not. */
  readonly warnings?: readonly { file: string; line: number; column: number; message: string }[];
  /** What its modules printed when they were loaded, which was once. */
  readonly output?: string;
  /** The graph came from the cache. */
  readonly cached: boolean;
}

/** A file that the program wrote to `/out`. */
export interface Artifact {
  /** Relative to `outDir`. */
  readonly path: string;
  readonly bytes: number;
}

export interface RunResult {
  /** The result document: JSON. */
  readonly value: unknown;
  readonly artifacts: readonly Artifact[];
  readonly record: RunRecord;
}

export interface Run {
  readonly id: string;
  /** All events from the first, whenever the iteration begins. It ends after `run-ended`, without throwing for a run that fails. */
  readonly events: AsyncIterable<RunEvent>;
  readonly result: Promise<RunResult>;
  cancel(reason?: string): void;
}

export interface Cluster extends AsyncDisposable {
  /** `app`: a `.py` file, a folder with `app.py` or `main.py`, or a compiled folder (one with `graph.json`). */
  compile(app: string, options?: CompileOptions): Promise<CompiledApp>;
  run(app: string | CompiledApp, options?: RunOptions): Run;
  createSandbox(options?: SandboxOptions): Promise<Sandbox>;
  /** Cancels what runs and ends the executors. The end of this process, however it comes, ends them too. */
  close(): Promise<void>;
  /** Bytes of the heap image that the sandboxes of the last run share. */
  readonly image_bytes: number;
}

export interface SandboxOptions {
  /** An application whose modules it has imported, a path or a compiled one, or a snapshot. Python, NumPy and pandas when absent. */
  image?: string | CompiledApp | Snapshot;
  /** Without `image`: `scipy` for SciPy too, `sklearn` for scikit-learn too. */
  base?: BaseKind;
  limits?: Partial<Pick<Limits, "heap_bytes" | "output_bytes" | "message_bytes" | "file_bytes">>;
  environment?: Readonly<Record<string, string>>;
  /** Live, what is printed. */
  onOutput?: (stream: "stdout" | "stderr", text: string) => void;
}

export interface SandboxResult {
  /** Of the last statement, if that is an expression and its value is JSON. */
  readonly value?: unknown;
  /** Python's `repr` of it. */
  readonly repr?: string;
  readonly stdout: string;
  readonly stderr: string;
}

/** The memory of a sandbox at one moment, as a file; those in `/tmp` are not part of it. */
export interface Snapshot {
  readonly path: string;
  /** The base image that it is over, the standard one when absent, and the wheels of its application. */
  readonly base?: BaseKind;
  readonly packages?: readonly RequiredPackage[];
  drop(): void;
}

/** A sandbox of one's own, which keeps its state from call to call. Calls run one after the other. */
export interface Sandbox extends AsyncDisposable {
  /**
   * Runs Python code, as a cell of a notebook. `signal` interrupts it. @throws GuestRaised of what it raises (KeyboardInterrupt of an
   * interrupt), and the sandbox goes on; TimedOut, SandboxDied and errors of limits, and the sandbox is over
   */
  run(code: string, options?: { timeout_ms?: number; signal?: AbortSignal }): Promise<SandboxResult>;
  writeFile(path: string, data: Uint8Array | string): Promise<void>;
  readFile(path: string): Promise<Uint8Array>;
  /** An image for other sandboxes: each begins where this one is now. */
  snapshot(): Promise<Snapshot>;
  /** Raises KeyboardInterrupt in what runs. */
  interrupt(): void;
  /** Ends what runs. The sandbox is put back to its image before anybody else has it. */
  close(): Promise<void>;
}

export interface Check {
  readonly name: string;
  /** `degraded`: Sandloom runs without it, at a cost. `missing`: it does not run. */
  readonly status: "ok" | "degraded" | "missing";
  readonly found: string;
  /** What its absence costs. */
  readonly costs?: string;
  /** How to get it. */
  readonly get?: string;
}

export interface Doctor {
  readonly checks: readonly Check[];
}
