/** The frame of a suite: what a row is given, what it hands back, and how contenders take turns. */
import type { Summary } from "./statistics.ts";
import { pairedRatio, rotated, summarize } from "./statistics.ts";
import type { Workspace } from "./workspace.ts";
import type { Peer } from "./peers/peer.ts";

export interface Bench {
  /** A smoke run: every part is exercised, no figure is worth keeping. */
  readonly quick: boolean;
  readonly workspace: Workspace;
  readonly peers: readonly Peer[];
  /** Tells what is being done. */
  readonly say: (line: string) => void;
}

/** `bound` in the figure's unit. */
export interface Target {
  readonly bound: number;
  readonly met: boolean;
  /** The bound is a lower one: more is better. */
  readonly at_least?: true;
}

export interface Figure {
  readonly row: string;
  /** What exactly was measured. */
  readonly what: string;
  readonly unit: string;
  readonly summary: Summary;
  /** The p50 is held against it. */
  readonly target?: Target;
  readonly target_p99?: Target;
  /** Against each peer of the same rounds: the median of ours / theirs. */
  readonly ratios?: Readonly<Record<string, number>>;
  /** The measurements themselves, round by round. */
  readonly values: readonly number[];
}

export interface Row {
  readonly name: string;
  readonly title: string;
  measure(bench: Bench): Promise<Figure[]>;
}

/** One of those that are compared: a call is one trial and gives its result in the unit of the figure. */
export interface Contender {
  readonly name: string;
  trial(round: number): Promise<number>;
}

/** Warms everyone up, then lets them take turns: one trial each a round. */
export async function takeTurns<C extends Contender>(
  contenders: readonly C[],
  options: { warmups: number; rounds: number },
): Promise<Map<C, number[]>> {
  const values = new Map(contenders.map((contender) => [contender, [] as number[]]));
  for (let round = -options.warmups; round < options.rounds; round++) {
    for (const contender of rotated(contenders, round + options.warmups)) {
      const value = await contender.trial(round);
      if (round >= 0) values.get(contender)?.push(value);
    }
  }
  return values;
}

export interface Shown {
  readonly what: string;
  readonly values: readonly number[];
  readonly unit?: string;
  /** Upper bound of the p50. */
  readonly bound?: number;
  /** Lower bound of the p50. */
  readonly at_least?: number;
  /** Upper bound of the p99. */
  readonly bound_p99?: number;
  readonly peers?: ReadonlyMap<string, readonly number[]>;
}

export function figure(row: string, { what, values, unit = "ms", bound, at_least, bound_p99, peers }: Shown): Figure {
  const summary = summarize(values);
  return {
    row,
    what,
    unit,
    summary,
    values,
    ...(bound === undefined ? {} : { target: { bound, met: summary.p50 <= bound } }),
    ...(at_least === undefined
      ? {}
      : { target: { bound: at_least, met: summary.p50 >= at_least, at_least: true as const } }),
    ...(bound_p99 === undefined ? {} : { target_p99: { bound: bound_p99, met: summary.p99 <= bound_p99 } }),
    ...(peers
      ? { ratios: Object.fromEntries([...peers].map(([name, theirs]) => [name, pairedRatio(values, theirs)])) }
      : {}),
  };
}

/** A wrong answer is not slow, it is wrong: nothing is reported then. */
export function expectEqual(found: unknown, expected: unknown, of: string): void {
  if (found !== expected) throw new Error(`${of} gave ${String(found)} instead of ${String(expected)}`);
}
