/** What the dispatcher and a sandbox's worker thread say to each other: one file, both ways. */
import { Buffer } from "node:buffer";
import { performance } from "node:perf_hooks";
import type { MessagePort } from "node:worker_threads";
import type { ErrorReport } from "../graph/errors.ts";
import type { ShellParts } from "./shell/parts.ts";

/** A region named by a message; the message holds one reference to it. */
export interface RegionUse {
  readonly region: number;
  readonly writable: boolean;
}

/** First START word: what the guest is asked to do. */
export const ENTRY_KIND = { component: 0, entry: 1, load: 2, parse: 3, session: 4 } as const;
export type EntryKind = (typeof ENTRY_KIND)[keyof typeof ENTRY_KIND];

export interface Mount {
  readonly host: string;
  readonly guest: string;
}

/** A pack of wheels (runtime/pack-file.ts), open in this process: file descriptors are shared by its threads, and used again. */
export interface PackMount {
  /** Of this opening, and of no other. */
  readonly id: number;
  readonly fd: number;
}

/** What a component may use of its run without asking the dispatcher. */
export interface DirectCalls {
  /** One word: components of the run that hold a sandbox. Who calls one directly counts it, up to the limit. */
  readonly alive: Int32Array;
  readonly alive_limit: number;
  /** Heap of each component, and of those whose own is not the run's. */
  readonly run_heap_bytes: number;
  readonly heap_bytes: Readonly<Record<string, number>>;
  /** Components that take other than one CPU: only the dispatcher can admit them. */
  readonly apart: readonly string[];
}

/** Regions are for runs: tasks of the host and sessions have none. */
export const NO_ACCOUNT = -1;

/** What a run gives each of its components. */
export interface RunSettings {
  readonly run: number;
  readonly account: number;
  readonly mounts: readonly Mount[];
  /** The wheels of the image's application, if it requires any. */
  readonly packages?: PackMount;
  readonly heap_bytes: number;
  readonly file_bytes: number;
  readonly message_bytes: number;
  /** Environment variables that its programs find beside the guest's own: a JSON object of strings. */
  readonly environment?: string;
  /** The run's name for the cluster, where its entry may answer that itself (answers.ts). */
  readonly answers?: string;
  /** Absent: every call goes by the dispatcher. */
  readonly direct?: DirectCalls;
}

/** One component to be run, or one task of the host. */
export interface RunTask {
  readonly type: "run";
  readonly image: number;
  readonly kind: EntryKind;
  readonly name: string;
  readonly payload: Uint8Array;
  readonly regions: readonly RegionUse[];
  readonly settings: RunSettings;
  /** For `load` and `session`: where to write the pages that differ from the base. */
  readonly deltaPath?: string;
  /** The sandbox is not put back to its image afterwards. */
  readonly keep?: boolean;
}

/** What a new sandbox runs first: the component of the base image that does a little of everything (sandloom/warm.py). */
export const FIRST_COMPONENT: Pick<RunTask, "kind" | "name" | "payload"> = {
  kind: ENTRY_KIND.component,
  name: "sandloom_first",
  // `(None, (), {}, ())` in marshal: no arguments.
  payload: Uint8Array.of(40, 4, 0, 0, 0, 78, 40, 0, 0, 0, 0, 123, 48, 40, 0, 0, 0, 0),
};
/** The same as the entry of a run. */
export const FIRST_ENTRY: typeof FIRST_COMPONENT = {
  kind: ENTRY_KIND.entry,
  name: "sandloom_first",
  payload: Buffer.from('{"n": 2}'),
};

export type WorkerTask =
  | {
      readonly type: "make";
      /** The slot, and the memory that it is in (exchange.ts). */
      readonly slot: number;
      readonly exchange: SharedArrayBuffer;
      readonly parts: ShellParts;
      readonly port: MessagePort;
      readonly image: number;
      /** Run a component that does nothing, so that the first real one finds code compiled and pages mapped. */
      readonly warm: boolean;
    }
  /** From now on it does what comes by the port and by its mailbox; the task never ends. */
  | { readonly type: "serve" };

export interface ResetReport {
  /** Private bytes that the sandbox had: pages copied from the image, heap growth, files. */
  readonly local_bytes: number;
  readonly dirty_pages: number;
  readonly reset_ms: number;
}

/** Regions made by a component since its last message. */
export interface RegionMade {
  readonly region: number;
  readonly name: string;
  readonly bytes: number;
  readonly copied_bytes: number;
  readonly at_ms: number;
}

export type ComponentOutcome =
  | { readonly outcome: "returned"; readonly payload: Uint8Array; readonly regions: readonly RegionUse[] }
  | {
      readonly outcome: "raised";
      readonly payload: Uint8Array;
      /** The exception, for the host: no code of the guest is needed to read it. */
      readonly report: ErrorReport;
      readonly fatal: boolean;
    }
  /** The sandbox cannot go on. */
  | { readonly outcome: "died"; readonly report: ErrorReport };

export interface Artifact {
  readonly path: string;
  readonly bytes: Uint8Array;
}

export type FromSandbox =
  | {
      readonly type: "trigger";
      readonly ticket: number;
      readonly name: string;
      readonly line: number;
      readonly payload: Uint8Array;
      readonly regions: readonly RegionUse[];
      readonly made: readonly RegionMade[];
      /** It waits for the result of this one. */
      readonly waits: boolean;
    }
  /** It called a component directly and waits for it. Until its next message, the callee's are what is to be looked at. */
  | {
      readonly type: "called";
      readonly ticket: number;
      readonly name: string;
      readonly line: number;
      readonly message_bytes: number;
      readonly regions: readonly RegionUse[];
      readonly made: readonly RegionMade[];
      /** The callee's slot. */
      readonly callee: number;
      readonly at_ms: number;
    }
  | { readonly type: "waiting"; readonly tickets: readonly number[]; readonly made: readonly RegionMade[] }
  | { readonly type: "split"; readonly rows: number; readonly row_bytes: number }
  | { readonly type: "print"; readonly stream: "stdout" | "stderr"; readonly text: string }
  | {
      readonly type: "ended";
      readonly result: ComponentOutcome;
      /** Its caller has the result already: `payload` and `regions` are empty. */
      readonly answered: boolean;
      readonly result_bytes: number;
      readonly cpu_ms: number;
      readonly artifacts: readonly Artifact[];
      readonly made: readonly RegionMade[];
      readonly at_ms: number;
      /** The sandbox is pristine again already, and this the component's last message. */
      readonly reset?: ResetReport;
      /** The sandbox keeps its state, and this is the last message of this task. */
      readonly kept?: boolean;
    }
  /** The last of a component: the sandbox is pristine again. */
  | { readonly type: "reset"; readonly report: ResetReport };

export type ToSandbox =
  | RunTask
  | {
      readonly type: "joined";
      readonly ticket: number;
      /** It raised: as the host saw it. */
      readonly report?: ErrorReport;
      readonly payload: Uint8Array;
      readonly regions: readonly RegionUse[];
    }
  /** Everything that the component waited for is there, and it has a CPU again. */
  | { readonly type: "resume" }
  /** A sandbox that kept its state is put back to its image. */
  | { readonly type: "restore" }
  | { readonly type: "split"; readonly n: number };

/** Milliseconds on a clock that all threads of a machine share, fractions kept. */
export const now_ms = (): number => performance.timeOrigin + performance.now();
