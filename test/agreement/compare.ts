/** One program in both worlds, and what a person needs to see when they differ. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import type { RunRecord } from "../../src/graph/events.ts";
import type { CPython } from "../support/cpython.ts";
import type { Bench } from "../support/running.ts";

export interface Compared {
  readonly files: Readonly<Record<string, string>>;
  readonly event?: unknown;
}

/** A program's end: what it returned, or the type and text of what it raised. */
type End = { readonly value: unknown } | { readonly error: { readonly type: string; readonly message: string } };

export async function bothWorlds(
  bench: Bench,
  python: CPython,
  { files, event }: Compared,
): Promise<{ ours: End; theirs: End; trace: string }> {
  const app = bench.write(files);
  const outDir = join(app, "out");
  const { value, error } = await bench.run(app, { event, outDir });
  let ours: End = { value };
  let trace = "";
  let splits: RunRecord["splits"] = {};
  if (error) {
    const { type, message } = error.details as { type?: string; message?: string };
    ours = {
      error: type === undefined ? { type: error.code, message: error.message } : { type, message: String(message) },
    };
    trace = `${error.code}: ${error.message}\n${JSON.stringify(error.details, null, 1)}`;
  }
  if (!error || error.code === "GuestRaised")
    splits = (JSON.parse(readFileSync(join(outDir, "run.json"), "utf8")) as RunRecord).splits;
  const plain = await python.run(app, { event, splits });
  const theirs: End = plain.error ? { error: plain.error } : { value: plain.value };
  return { ours, theirs, trace: `${trace}\n${plain.trace ?? ""}` };
}

export async function expectAgreement(bench: Bench, python: CPython, program: Compared, title: string): Promise<void> {
  const { ours, theirs, trace } = await bothWorlds(bench, python, program);
  if (JSON.stringify(ours) === JSON.stringify(theirs)) return;
  const texts = Object.entries(program.files).map(([path, text]) => `--- ${path}\n${text}`);
  console.log([title, ...texts, `event: ${JSON.stringify(program.event)}`, trace].join("\n"));
  expect(ours, `${title}: Sandloom (received) and CPython (expected) differ; the program stands above`).toEqual(theirs);
  throw new Error(`${title}: the same values in another order of keys`);
}
