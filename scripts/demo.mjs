// The demonstration (`npm start`): runs the shipped examples with the command as anyone would, shows what the command
// shows, then checks each result against an independent one: DuckDB's answer, or the same program under plain CPython.
import { spawn, spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { delimiter, join, relative } from "node:path";
import { isDeepStrictEqual, styleText } from "node:util";
import { data, root, state } from "./bootstrap/paths.mjs";

/** Native BLAS and its WebAssembly build add in different orders. */
const TOLERANCE = 1e-9;

/** @typedef {{ good: boolean, text: string }} Verdict */
/** @typedef {{ app: string[], out: string, result: unknown }} Run the command's arguments, its folder, what it returned */
/**
 * @typedef {object} Demonstration
 * @property {string} title
 * @property {string} example folder under examples/
 * @property {string} folder name of the folder under .sandloom/demo that the run writes to
 * @property {string[]} options
 * @property {(run: Run) => Promise<Verdict>} check
 */

// Relative, as a person would type them: the command runs in the root.
const dataFolder = relative(root, data);
const tpcdsFolder = join(dataFolder, "tpcds-sf0.1");
const tpcdsAnswer = join(root, tpcdsFolder, "expected.json");

/** @type {Demonstration[]} */
const demonstrations = [
  {
    title: "TPC-DS query 1 at scale factor 0.1",
    example: "tpcds-q1",
    folder: "tpcds-q1",
    options: ["--mount", `${tpcdsFolder}:/data`],
    check: async ({ result }) => equalsDuckDB(result),
  },
  {
    title: "Logistic regression on scikit-learn's breast cancer data",
    example: "logistic-regression",
    folder: "logistic-regression",
    options: ["--mount", `${dataFolder}:/data`],
    check: (run) => equalsCPython(run, closeEnough),
  },
  {
    title: "The same program on 200,000 synthetic rows",
    example: "logistic-regression",
    folder: "logistic-regression-synthetic",
    options: ["--set", "rows=200000", "--set", "rounds=20"],
    check: (run) => equalsCPython(run, closeEnough),
  },
  {
    title: "A chain of 16 and a fan-out of 64 small functions over a 1 MiB array",
    example: "small-functions",
    folder: "small-functions",
    options: [],
    check: (run) => equalsCPython(run, exactlyEqual),
  },
];

/** @param {unknown} result @returns {Verdict} */
function equalsDuckDB(result) {
  const expected = readJson(tpcdsAnswer);
  return isDeepStrictEqual(result, expected)
    ? { good: true, text: `equals DuckDB's answer (${expected.c_customer_id.length} rows)` }
    : { good: false, text: "differs from DuckDB's answer" };
}

/**
 * @param {Run} run
 * @param {(result: unknown, expected: unknown) => Verdict} compare
 * @returns {Promise<Verdict>}
 */
async function equalsCPython({ app, out, result }, compare) {
  // `--local` looks there too.
  const PYTHONPATH = [process.env.PYTHONPATH, join(state, "cpython")].filter(Boolean).join(delimiter);
  const env = { ...process.env, PYTHONPATH };
  if (spawnSync("python3", ["-c", "import numpy"], { stdio: "ignore", env }).status !== 0)
    return { good: true, text: "ran; not compared with CPython, because python3 here has no NumPy" };
  // CPython takes the number of parts that the run chose for each `split` without one.
  const { splits } = readJson(join(out, "run.json"));
  const { code, output } = await sandloom([...app, "--local", "--json"], "pipe", {
    SANDLOOM_SPLITS: JSON.stringify(splits),
  });
  if (code !== 0) return { good: false, text: `the same program under CPython ended with exit code ${code}` };
  return compare(result, JSON.parse(output).result);
}

/** @param {string} path */
function readJson(path) {
  return JSON.parse(readFileSync(path, "utf8"));
}

/** @param {unknown} result @param {unknown} expected @returns {Verdict} */
function exactlyEqual(result, expected) {
  return isDeepStrictEqual(result, expected)
    ? { good: true, text: "equals the same program under CPython" }
    : { good: false, text: "differs from the same program under CPython" };
}

/** @param {unknown} result @param {unknown} expected @returns {Verdict} */
function closeEnough(result, expected) {
  const [ours, theirs] = [weightsOf(result), weightsOf(expected)];
  const scale = Math.max(...theirs.map(Math.abs));
  const difference = Math.max(...theirs.map((each, i) => Math.abs(each - (ours[i] ?? Number.NaN)))) / scale;
  const good = ours.length === theirs.length && difference <= TOLERANCE;
  const what = `by at most ${difference.toExponential(1)} of the largest weight`;
  const text = good ? "weights equal those under CPython" : "weights differ from those under CPython";
  return { good, text: `${text} (they differ ${what})` };
}

/** @param {unknown} result @returns {number[]} */
function weightsOf(result) {
  const { weights, bias } = /** @type {{ weights: number[], bias: number }} */ (result);
  return [...weights, bias];
}

/**
 * @param {string[]} args what follows `sandloom run`
 * @param {"inherit" | "pipe"} stdout
 * @param {Record<string, string>} [variables]
 * @returns {Promise<{ code: number, output: string }>}
 */
function sandloom(args, stdout, variables) {
  const command = [join(root, "bin/sandloom.js"), "run", ...args];
  return new Promise((resolve, reject) => {
    const env = { ...process.env, ...variables };
    const child = spawn(process.execPath, command, { cwd: root, env, stdio: ["inherit", stdout, "inherit"] });
    let output = "";
    child.stdout?.setEncoding("utf8").on("data", (chunk) => (output += chunk));
    child.on("error", reject);
    child.on("close", (code) => resolve({ code: code ?? 1, output }));
  });
}

/** @param {string} title */
function heading(title) {
  console.log(`\n${styleText("bold", `━━ ${title} ${"━".repeat(Math.max(2, 90 - title.length))}`)}\n`);
}

/** @param {Demonstration} demonstration @returns {Promise<Verdict>} */
async function demonstrate({ example, folder, options, check }) {
  const app = [`examples/${example}`, "--event", `@examples/${example}/event.json`, ...options];
  const out = join(state, "demo", folder);
  const shown = [...app, "--out", relative(root, out)];
  console.log(styleText("dim", `$ sandloom run ${shown.join(" ")}\n`));
  const { code } = await sandloom(shown, "inherit");
  if (interrupted || code !== 0) return { good: false, text: `ended with exit code ${code}` };
  return check({ app, out, result: readJson(join(out, "result.json")) });
}

// The command that runs at the moment gets Ctrl-C too, and cleans up; this process waits for it and then stops.
let interrupted = false;
process.on("SIGINT", () => (interrupted = true));

// A process of its own: it holds the lock of the set-up until it exits.
spawnSync(process.execPath, [join(root, "scripts/example-data.mjs")], { stdio: "inherit" });

/** @type {string[]} */
const summary = [];
for (const [i, demonstration] of demonstrations.entries()) {
  if (interrupted) break;
  const { title, example } = demonstration;
  heading(`${i + 1}. ${title}`);
  if (example === "tpcds-q1" && !existsSync(tpcdsAnswer)) {
    const text = "left out: its tables could not be made (the set-up says why, above)";
    console.log(text);
    summary.push(`${styleText("yellow", "–")} ${title}: ${text}`);
    continue;
  }
  const started = performance.now();
  const { good, text } = await demonstrate(demonstration);
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  summary.push(`${good ? styleText("green", "✓") : styleText("red", "✗")} ${title}: ${text}, ${seconds} s`);
  if (!good) process.exitCode = 1;
}
if (interrupted) process.exitCode = 130;

heading("Summary");
for (const line of summary) console.log(line);
console.log(`\nGraphs, low-level programs, events and results: ${relative(process.cwd(), join(state, "demo"))}/`);
