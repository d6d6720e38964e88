/** What is said of a list of measurements, and of two lists that were measured side by side. */

export interface Summary {
  readonly n: number;
  readonly min: number;
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

/** The q-quantile (0 to 1) by linear interpolation between the two nearest values, as NumPy's default does it. */
export function quantile(values: readonly number[], q: number): number {
  if (values.length === 0) throw new RangeError("nothing was measured");
  const sorted = values.toSorted((a, b) => a - b);
  const at = (sorted.length - 1) * q;
  const low = sorted[Math.floor(at)] as number;
  const high = sorted[Math.ceil(at)] as number;
  return low + (high - low) * (at - Math.floor(at));
}

export const median = (values: readonly number[]): number => quantile(values, 0.5);

/** With fewer than 100 values the p99 lies next to the maximum: read it together with `n`. */
export function summarize(values: readonly number[]): Summary {
  return {
    n: values.length,
    min: quantile(values, 0),
    p50: median(values),
    p99: quantile(values, 0.99),
    max: quantile(values, 1),
  };
}

/**
 * The median of ours / theirs, round by round. Two contenders of one round met the same load, so that what else the machine
 * does moves this less than it moves the ratio of the two medians.
 */
export function pairedRatio(ours: readonly number[], theirs: readonly number[]): number {
  if (ours.length !== theirs.length)
    throw new RangeError(`${ours.length} rounds cannot be paired with ${theirs.length}`);
  return median(ours.map((value, round) => value / (theirs[round] as number)));
}

/** The same list, beginning at another place each round: nobody always comes after the same neighbour's warm-up. */
export function rotated<T>(list: readonly T[], by: number): T[] {
  const at = list.length === 0 ? 0 : by % list.length;
  return [...list.slice(at), ...list.slice(0, at)];
}
