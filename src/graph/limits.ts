/** Every bound that a run meets, with its default. Units are in the names. */
export interface Limits {
  /** Wall time of a run. */
  readonly run_timeout_ms: number;
  /** Wall time of one component, waits for its children included. */
  readonly component_timeout_ms: number;
  /** Bytes of all memory components of a run. */
  readonly memory_bytes: number;
  /** Bytes of one sandbox's own heap, image included, window excluded. */
  readonly heap_bytes: number;
  /** Components alive at the same time in a run (each holds a sandbox). */
  readonly components_alive: number;
  /** Triggers that are queued or alive in a run. */
  readonly components_pending: number;
  /** Depth of nesting; the entry is at 1. */
  readonly depth: number;
  /** Bytes of stdout and stderr of one run. */
  readonly output_bytes: number;
  /** Bytes of one message (arguments or result, arrays excluded). */
  readonly message_bytes: number;
  /** Bytes of files under /out and /tmp in one sandbox. */
  readonly file_bytes: number;
}

const MiB = 1024 * 1024;

export const defaultLimits: Limits = {
  run_timeout_ms: 300_000,
  component_timeout_ms: 300_000,
  memory_bytes: 4096 * MiB,
  heap_bytes: 1024 * MiB,
  components_alive: 40,
  components_pending: 10_000,
  depth: 32,
  output_bytes: 16 * MiB,
  message_bytes: 64 * MiB,
  file_bytes: 256 * MiB,
};
