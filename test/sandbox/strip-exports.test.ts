// Main without exports that nobody uses.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { stripExports } from "../../src/sandbox/image/strip-exports.ts";
import { pyodideDirectory } from "../../src/sandbox/runtime/paths.ts";

const exportsOf = (wasm: Uint8Array<ArrayBuffer>): string[] =>
  WebAssembly.Module.exports(new WebAssembly.Module(wasm)).map(({ name, kind }) => `${kind} ${name}`);

test("of the exports only C++ names go, and of those none that is used", () => {
  const wasm = readFileSync(join(pyodideDirectory, "pyodide.asm.wasm"));
  const all = exportsOf(wasm);
  const used = "_Znwm";
  expect(all).toContain(`function ${used}`);
  const kept = exportsOf(Uint8Array.from(stripExports(wasm, (name) => name === used)));
  expect(kept).toEqual(all.filter((each) => !/ _Z/.test(each) || each === `function ${used}`));
  expect(kept.length).toBeLessThan(all.length - 3000);
  expect(exportsOf(Uint8Array.from(stripExports(wasm, () => true)))).toEqual(all);
});

test("what is no module is refused", () => {
  const empty = Uint8Array.of(0, 97, 115, 109, 1, 0, 0, 0);
  expect(() => stripExports(empty, () => true)).toThrow("has no exports");
  expect(() => stripExports(Uint8Array.of(...empty, 7, 2, 1), () => true)).toThrow("ends early");
});
