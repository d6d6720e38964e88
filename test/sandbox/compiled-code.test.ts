import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, symlinkSync, truncateSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { createCluster } from "../../src/index.ts";
import { baseOf } from "../../src/sandbox/image/base.ts";
import { compiledCodePath } from "../../src/sandbox/image/format.ts";
import { cacheDirectory } from "../../src/sandbox/runtime/paths.ts";
import { SANDBOX_FLAGS } from "../../src/sandbox/runtime/v8-flags.ts";
import type { CodeUse } from "../../src/sandbox/shell/parts.ts";
import { useBench } from "../support/running.ts";

const bench = useBench();
const APP = "def main(event):\n    import numpy as np\n    return float(np.arange(8.0).sum())\n";

/** What a process with these flags, the sandboxes' by default, can use of a base's code. */
function codeUse(args: readonly string[], flags: readonly string[] = SANDBOX_FLAGS): CodeUse {
  const script = fileURLToPath(new URL("../support/code-used.ts", import.meta.url));
  const { stdout, stderr } = spawnSync(process.execPath, [...flags, script, ...args], { encoding: "utf8" });
  expect(stderr).toBe("");
  return JSON.parse(stdout) as CodeUse;
}

/** A cache of its own, with its own copy of the base. */
function cacheWith(name: string): { cacheDir: string; prefix: string; code: string } {
  const cacheDir = join(bench.folder, name);
  mkdirSync(join(cacheDir, "images"), { recursive: true });
  symlinkSync(join(cacheDirectory(), "compile-cache"), join(cacheDir, "compile-cache"));
  const original = baseOf(cacheDirectory()).prefix;
  for (const file of readdirSync(dirname(original)).filter((each) => each.startsWith(basename(original))))
    execFileSync("cp", ["--sparse=always", join(dirname(original), file), join(cacheDir, "images")]);
  const { prefix } = baseOf(cacheDir);
  return { cacheDir, prefix, code: compiledCodePath(prefix) };
}

test("a process with the sandboxes' flags starts with the code of all modules that have some", () => {
  const { offered, used, refused } = codeUse([baseOf(cacheDirectory()).prefix]);
  expect(refused).toBeUndefined();
  expect(offered).toBeGreaterThan(10);
  expect(used).toBe(offered);
});

test("code that was made under other flags is not used, and that is said", () => {
  const { used, refused } = codeUse([baseOf(cacheDirectory()).prefix], [...SANDBOX_FLAGS, "--no-wasm-loop-unrolling"]);
  expect(used).toBe(0);
  expect(refused).toMatch(/another V8 or processor, or of other modules/);
});

test("a module is not given the code of another: that would end the process", () => {
  const { prefix, code } = cacheWith("other-modules");
  codeUse([prefix, code]);
  const { offered, used, refused } = codeUse([prefix]);
  expect(offered).toBeGreaterThan(10);
  expect(used).toBe(0);
  expect(refused).toMatch(/another V8 or processor, or of other modules/);
});

test("a file that is damaged is told of, and made again by the next cluster", async () => {
  const { cacheDir, code } = cacheWith("damaged-code");
  const app = bench.write({ "app.py": APP });
  const said: string[] = [];
  const runs = async (): Promise<unknown> => {
    said.length = 0;
    await using cluster = await createCluster({ cpus: 1, cacheDir, onProgress: (line) => said.push(line) });
    return (await cluster.run(app).result).value;
  };
  expect(await runs()).toBe(28);
  expect(said).toEqual([]);
  truncateSync(code, 100_000);
  expect(await runs()).toBe(28);
  expect(said).toEqual([expect.stringContaining("compiled code cannot be used")]);
  expect(existsSync(code)).toBe(false);
  expect(await runs()).toBe(28);
  expect(said).toEqual([expect.stringContaining("compiling"), expect.stringContaining("compiled in")]);
  expect(await runs()).toBe(28);
  expect(said).toEqual([]);
}, 120_000);
