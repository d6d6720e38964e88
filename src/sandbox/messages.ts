/** What the dispatcher and a sandbox's worker thread say to each other: one file, both ways. */
import type { MessagePort } from "node:worker_threads";
import type { ErrorReport } from "../graph/errors.ts";
import type { ShellParts } from "./shell/parts.ts";

/** Words of the control block that both threads see. */
export const CONTROL = { wake: 0, cancel: 1, words: 2 } as const;

/** A region named by a message; the message holds one reference to it. */
export interface RegionUse {
  readonly region: number;
  readonly writable: boolean;
}

/** First START word: what the guest is asked to do. */
export const ENTRY_KIND = { component: 0, entry: 1, load: 2, parse: 3 } as const;
export type EntryKind = (typeof ENTRY_KIND)[keyof typeof ENTRY_KIND];

export interface Mount {
  readonly host: string;
  readonly guest: string;
}

/** What a run gives each of its components. */
export interface RunSettings {
  readonly run: number;
  readonly account: number;
  readonly mounts: readonly Mount[];
  readonly heap_bytes: number;
  readonly file_bytes: number;
  readonly message_bytes: number;
}

export type WorkerTask =
  | {
      readonly type: "make";
      readonly sandbox: number;
      readonly parts: ShellParts;
      readonly control: SharedArrayBuffer;
      readonly port: MessagePort;
      readonly image: number;
      /** Run a component that does nothing, so that the first real one finds code compiled and pages mapped. */
      readonly warm: boolean;
    }
  | {
      readonly type: "run";
      readonly image: number;
      readonly kind: EntryKind;
      readonly component: number;
      readonly name: string;
      readonly payload: Uint8Array;
      readonly regions: readonly RegionUse[];
      readonly settings: RunSettings;
      /** For `load`: where to write the pages that differ from the base. */
      readonly deltaPath?: string;
    };

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
    }
  | { readonly type: "waiting"; readonly tickets: readonly number[]; readonly made: readonly RegionMade[] }
  | { readonly type: "split"; readonly rows: number; readonly row_bytes: number }
  | { readonly type: "print"; readonly stream: "stdout" | "stderr"; readonly text: string }
  | {
      readonly type: "ended";
      readonly result: ComponentOutcome;
      readonly cpu_ms: number;
      readonly artifacts: readonly Artifact[];
      readonly made: readonly RegionMade[];
      readonly at_ms: number;
    };

export type ToSandbox =
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
  | { readonly type: "split"; readonly n: number };

/** Milliseconds on a clock that all threads of a machine share, fractions kept. */
export const now_ms = (): number => performance.timeOrigin + performance.now();
