/** What the cluster and an executor process say to each other over IPC: one file, both ways. */
import type { ErrorReport } from "../../graph/errors.ts";
import type { RunEvent } from "../../graph/events.ts";
import type { Limits } from "../../graph/limits.ts";
import type { PoolEvent } from "../../graph/pool.ts";
import type { Artifact, Mount } from "../../sandbox/messages.ts";

/** What the graph says of one compute component that the dispatcher needs. */
export interface ComponentCaps {
  readonly cpus: number;
  readonly heap_bytes?: number;
  readonly timeout_ms?: number;
}

export interface RunRequest {
  readonly run: string;
  /** Hash of the application whose image is open. */
  readonly application: string;
  readonly applicationName: string;
  readonly event: string;
  readonly limits: Limits;
  readonly mounts: readonly Mount[];
  /** How deep its components can nest: the graph's longest chain of triggers, or the limit if it has a cycle. */
  readonly depth: number;
  readonly caps: Readonly<Record<string, ComponentCaps>>;
  /** Environment variables, a JSON object of strings. */
  readonly environment?: string;
  /**
   * What the cluster is told of it: all events, and the answer when everything of the run is put back; or output only, and the
   * answer as soon as it is known.
   */
  readonly watch: "events" | "output";
}

/** What a run used. */
export interface Usage {
  readonly components: number;
  readonly cpu_ms: number;
}

/** What an executor starts with: it does not wait to be told. */
export interface ExecutorOptions {
  readonly basePrefix: string;
  /** The application's delta over the base, when its image is cached; its hash. */
  readonly application?: { readonly hash: string; readonly deltaPath: string; readonly packPath?: string };
  readonly cpus: number;
  readonly memory_bytes: number;
  readonly pool: PoolSettings;
}

export interface PoolSettings {
  /** As many sandboxes are kept, whether or not they are used. */
  readonly min_warm: number;
  /** As many are kept idle, ahead of demand. */
  readonly reserve: number;
  /** A thread is kept started for the next one. */
  readonly thread_ahead?: boolean;
  /** One that is not needed and has stood idle for so long is let go. */
  readonly idle_ms: number;
  /** What sandboxes and memory components may hold together; without it only the latter have a bound. */
  readonly bound_bytes?: number;
}

/** The name under which the base stands among the applications' hashes. */
export const BASE = "";

/** The `request` of a failure to start. */
export const BOOT_REQUEST = -1;

export type ToExecutor =
  | {
      readonly type: "open";
      readonly request: number;
      readonly hash: string;
      readonly deltaPath: string;
      /** Of a session, in the middle of something: no image for new sandboxes, which run a component first. */
      readonly snapshot?: true;
      /** The wheels that the application requires, packed. */
      readonly packPath?: string;
    }
  | {
      readonly type: "load";
      readonly request: number;
      readonly hash: string;
      readonly document: string;
      readonly deltaPath: string;
      /** Where the file will be kept. */
      readonly keptPath: string;
      readonly packPath?: string;
    }
  | { readonly type: "parse"; readonly request: number; readonly document: string }
  | ({ readonly type: "run" } & RunRequest)
  | { readonly type: "cancel"; readonly run: string; readonly error: ErrorReport }
  | {
      readonly type: "session-open";
      readonly request: number;
      readonly session: string;
      readonly application: string;
      readonly limits: SessionLimits;
      readonly environment?: string;
    }
  | {
      readonly type: "session-task";
      readonly request: number;
      readonly session: string;
      readonly document: string;
      readonly timeout_ms: number;
      readonly deltaPath?: string;
    }
  | { readonly type: "session-interrupt"; readonly session: string }
  | { readonly type: "session-close"; readonly request: number; readonly session: string; readonly busy: boolean }
  | { readonly type: "stats"; readonly request: number };

export type SessionLimits = Pick<Limits, "heap_bytes" | "output_bytes" | "message_bytes" | "file_bytes">;

export interface ExecutorStats {
  readonly regions: number;
  readonly accounts: number;
  readonly used_bytes: number;
  readonly sandboxes: number;
  readonly idle: number;
  /** Private bytes of the executor, memory components and images: what the pool's bound is held against. */
  readonly memory_bytes: number;
  readonly fds: number;
  readonly mappings: number;
  readonly pss_bytes: number;
}

export type FromExecutor =
  | { readonly type: "ready"; readonly image_bytes: number }
  /** Something that people should know of. */
  | { readonly type: "note"; readonly text: string }
  | { readonly type: "reply"; readonly request: number; readonly value: string }
  | { readonly type: "failed"; readonly request: number; readonly error: ErrorReport }
  | { readonly type: "events"; readonly run: string; readonly events: readonly RunEvent[] }
  | {
      readonly type: "ended";
      readonly run: string;
      readonly result?: { readonly document: string; readonly artifacts: readonly Artifact[] };
      readonly error?: ErrorReport;
      readonly splits: Readonly<Record<string, number>>;
      readonly usage: Usage;
    }
  | {
      readonly type: "session-output";
      readonly session: string;
      readonly stream: "stdout" | "stderr";
      readonly text: string;
    }
  | { readonly type: "pool"; readonly event: PoolEvent }
  /** A thread does not end: the process must. */
  | { readonly type: "stuck" };
