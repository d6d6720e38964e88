/** Into how many parts an array is cut when the program does not say. */

const KiB = 1024;
const MiB = 1024 * KiB;

/**
 * A part of more than this makes a component too large: NumPy expressions hold several temporaries of the size of their
 * operand, and eight of 64 MiB still fit into the default heap cap of a sandbox (1 GiB) beside its image.
 */
export const LARGEST_PART_BYTES: number = 64 * MiB;
/**
 * A part of less than this is not worth a component: NumPy goes over 16 KiB (2,048 float64) in some microseconds a pass,
 * and one component costs some hundred microseconds (trigger, sandbox, reset). Bytes do not tell the work on a row, so a
 * program with small rows and much work on each says `split(x, n)`.
 */
export const SMALLEST_PART_BYTES: number = 16 * KiB;
/** A tenth of the triggers that a run may have pending by default, so that one split cannot use up the limit. */
export const MOST_PARTS = 1_000;

export interface SplitRequest {
  readonly rows: number;
  /** 0 when nobody knows, as for a list: then only rows and CPUs decide. */
  readonly row_bytes: number;
  /** CPUs of the server. */
  readonly cpus: number;
  /** CPUs that nothing holds now. */
  readonly free_cpus: number;
}

/** The number of parts, 1 ≤ n ≤ max(1, rows), and why. */
export function splitCount(request: SplitRequest): { n: number; reason: string } {
  const { rows, row_bytes, cpus, free_cpus } = request;
  if (rows <= 1) return { n: 1, reason: `${rows} ${rows === 1 ? "row" : "rows"}: nothing to cut` };
  const bytes = rows * row_bytes;
  // The component that splits waits for its parts and gives back the CPU that it holds: that one counts as well.
  const usable = Math.max(1, Math.min(Math.floor(cpus), Math.floor(free_cpus) + 1));
  const worthwhile = row_bytes === 0 ? usable : Math.max(1, Math.floor(bytes / SMALLEST_PART_BYTES));
  const needed = Math.ceil(bytes / LARGEST_PART_BYTES);
  if (needed > usable) {
    // Whole waves: with 5 parts on 2 CPUs the last one would run alone.
    const n = Math.min(rows, MOST_PARTS, Math.ceil(needed / usable) * usable);
    return {
      n,
      reason: `${sizeOf(bytes)} in parts of at most 64 MiB, in whole rounds of ${usable} CPU${plural(usable)}`,
    };
  }
  const n = Math.min(rows, usable, worthwhile);
  if (n === usable) return { n, reason: `one part per CPU: ${usable} of ${cpus} can run it` };
  if (n === rows) return { n, reason: `one part per row: only ${rows} rows` };
  return {
    n,
    reason: `${sizeOf(bytes)} is too little for ${usable} parts of at least 16 KiB; split(x, n) decides otherwise`,
  };
}

function plural(count: number): string {
  return count === 1 ? "" : "s";
}

function sizeOf(bytes: number): string {
  if (bytes >= MiB) return `${(bytes / MiB).toFixed(1)} MiB`;
  if (bytes >= KiB) return `${(bytes / KiB).toFixed(1)} KiB`;
  return `${bytes} bytes`;
}
