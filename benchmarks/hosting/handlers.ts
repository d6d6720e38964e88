/** The functions that are hosted: `apps` holds their sources, which the peers run as they are; here is what they answer. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expectEqual } from "../bench.ts";
import type { Answer } from "./connection.ts";

export interface Handler {
  readonly name: "numpy" | "pandas";
  readonly shown: string;
  /** The file of `apps`, without its suffix. */
  readonly module: string;
  readonly source: string;
  /** Another one each round, as JSON: no answer can come from a cache. */
  event(round: number): string;
  answer(round: number): unknown;
}

export const appsFolder: string = fileURLToPath(new URL("apps", import.meta.url));

export const sourceOf = (module: string): string => readFileSync(`${appsFolder}/${module}.py`, "utf8");

const elements = (round: number): number => 1000 + (Math.abs(round) % 100);
const factor = (round: number): number => 1 + (Math.abs(round) % 9);

export const numpy: Handler = {
  name: "numpy",
  shown: "NumPy",
  module: "numpy_sum",
  source: sourceOf("numpy_sum"),
  event: (round) => JSON.stringify({ n: elements(round) }),
  answer: (round) => elements(round) * (elements(round) - 1),
};

export const pandas: Handler = {
  name: "pandas",
  shown: "pandas group-by",
  module: "pandas_groupby",
  source: sourceOf("pandas_groupby"),
  event: (round) => JSON.stringify({ x: factor(round) }),
  answer: (round) => {
    const sums = Array<number>(7).fill(0);
    for (let i = 0; i < 1000; i++) sums[i % 7] = (sums[i % 7] ?? 0) + i;
    return sums.map((sum) => sum * factor(round));
  },
};

/** `json`: what was answered. */
export function expectAnswer(json: string, handler: Handler, round: number, of: string): void {
  expectEqual(JSON.stringify(JSON.parse(json)), JSON.stringify(handler.answer(round)), of);
}

export function expectAnswered({ status, body }: Answer, handler: Handler, round: number, of: string): void {
  expectEqual(status, 200, `${of} (${body})`);
  expectAnswer(body, handler, round, of);
}
