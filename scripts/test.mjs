// Everything that a change must pass, in order: the static checks, the C++ unit tests under sanitizers, and vitest. All
// steps run even when one fails; the last line counts them together, a static check as one test.
//
//   node scripts/test.mjs [--full] [--only=checks|native|vitest]
//   node scripts/test.mjs [--full] <what vitest takes>   only those tests, and nothing else
import { spawn } from "node:child_process";
import { availableParallelism } from "node:os";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { styleText } from "node:util";

/** @typedef {{ passed: number, failed: number, skipped: number }} Count */

/**
 * @typedef {object} Step
 * @property {string} name
 * @property {string} group
 * @property {string[]} command
 * @property {RegExp} [count] finds in a line how many passed, failed and were skipped; a step without it counts as one test
 */

const root = fileURLToPath(new URL("..", import.meta.url));
const flags = process.argv.slice(2);
const full = flags.includes("--full");
const forVitest = flags.filter((flag) => flag !== "--full" && !flag.startsWith("--only="));
const asked = flags.find((flag) => flag.startsWith("--only="))?.slice("--only=".length);
const only = asked ?? (forVitest.length > 0 ? "vitest" : undefined);

/** @type {Step[]} */
const steps = [
  { name: "types", group: "checks", command: ["tsc", "--noEmit"] },
  { name: "lint and import arrows", group: "checks", command: ["oxlint", "--type-aware", "--deny-warnings"] },
  { name: "format", group: "checks", command: ["oxfmt", "--check"] },
  { name: "dead code and dependencies", group: "checks", command: ["knip", "--no-progress"] },
  {
    name: "native tests, compiled",
    group: "native",
    command: ["make", "--silent", "--file=scripts/native-tests.mk", `--jobs=${availableParallelism()}`],
  },
  {
    name: "native tests under AddressSanitizer and UBSan",
    group: "native",
    command: [".sandloom/native-tests/native-tests", "--no-colors=true"],
    count:
      /^\[doctest\] test cases: +\d+ \| +(?<passed>\d+) passed \| +(?<failed>\d+) failed \| +(?<skipped>\d+) skipped/,
  },
  {
    name: "what comes from other servers, as garbage",
    group: "native",
    command: [".sandloom/native-tests/wire_fuzz", "200000"],
  },
  {
    name: "tests",
    group: "vitest",
    command: ["vitest", "run", ...forVitest],
    count: /^(?<passed>\d+) passed, (?<failed>\d+) failed, (?<skipped>\d+) skipped$/, // test/summary.ts
  },
];

const env = {
  ...process.env,
  PATH: `${root}node_modules/.bin:${process.env.PATH}`,
  ...(process.stdout.isTTY ? { FORCE_COLOR: "1" } : { NO_COLOR: "1" }), // the steps write to a pipe either way
  ...(full ? { SANDLOOM_TEST_FULL: "1" } : {}),
  LSAN_OPTIONS: `suppressions=${root}native/test/leaks-of-others.txt:print_suppressions=0`,
};

/**
 * @param {Step} step
 * @returns {Promise<Count>}
 */
async function run({ command: [command = "", ...args], count }) {
  const child = spawn(command, args, { cwd: root, env, stdio: ["ignore", "pipe", "inherit"] });
  /** @type {Count | undefined} */
  let counted;
  const ended = new Promise((resolve) => {
    child.on("error", (error) => {
      console.log(`cannot run ${command}: ${error.message}`);
      resolve(undefined);
    });
    child.on("close", resolve);
  });
  for await (const line of createInterface({ input: child.stdout })) {
    const found = count?.exec(line)?.groups;
    if (found) counted = { passed: Number(found.passed), failed: Number(found.failed), skipped: Number(found.skipped) };
    else console.log(line);
  }
  const ok = (await ended) === 0;
  if (!count) return { passed: ok ? 1 : 0, failed: ok ? 0 : 1, skipped: 0 };
  counted ??= { passed: 0, failed: 0, skipped: 0 };
  // A program that broke off, or found something outside its tests, has failed whatever it counted.
  return ok ? counted : { ...counted, failed: Math.max(counted.failed, 1) };
}

/** @type {Count} */
const total = { passed: 0, failed: 0, skipped: 0 };
const chosen = steps.filter(({ group }) => only === undefined || group === only);
if (chosen.length === 0) throw new Error(`--only=${only} names no group of steps`);
for (const step of chosen) {
  const started = performance.now();
  console.log(styleText("bold", `\n> ${step.name}`));
  const { passed, failed, skipped } = await run(step);
  total.passed += passed;
  total.failed += failed;
  total.skipped += skipped;
  const seconds = `${((performance.now() - started) / 1000).toFixed(1)} s`;
  console.log(failed === 0 ? styleText("green", `ok, ${seconds}`) : styleText("red", `FAILED, ${seconds}`));
}
process.exitCode = total.failed === 0 ? 0 : 1;
console.log(`\n${total.passed} passed, ${total.failed} failed${total.skipped > 0 ? `, ${total.skipped} skipped` : ""}`);
