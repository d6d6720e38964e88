import { execFile, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { RunRecord } from "../../src/graph/events.ts";
import type { ResourceGraph } from "../../src/graph/resource-graph.ts";

const root = join(import.meta.dirname, "../..");
const data = join(root, ".sandloom/data");
const tpcds = join(data, "tpcds-sf0.1");
const answer = join(tpcds, "expected.json");
const scratch = mkdtempSync(join(tmpdir(), "sandloom-examples-"));
// `--local` looks there too.
const packages = [process.env["PYTHONPATH"], join(root, ".sandloom/cpython")].filter(Boolean).join(delimiter);
const hasCPython =
  spawnSync("python3", ["-c", "import numpy, pandas"], {
    stdio: "ignore",
    env: { ...process.env, PYTHONPATH: packages },
  }).status === 0;

afterAll(() => rmSync(scratch, { recursive: true, force: true }));

/** What `sandloom run` answers and leaves in its folder. */
interface Outcome {
  readonly result: unknown;
  readonly record: RunRecord;
  readonly graph: ResourceGraph;
}

async function command(args: readonly string[], variables: NodeJS.ProcessEnv = {}): Promise<{ result: unknown }> {
  const all = [join(root, "bin/sandloom.js"), "run", ...args, "--json"];
  const env = { ...process.env, ...variables };
  const { stdout } = await promisify(execFile)(process.execPath, all, { env, maxBuffer: 64 * 1024 * 1024 });
  return JSON.parse(stdout) as { result: unknown };
}

function application(example: string, options: readonly string[]): string[] {
  const folder = join(root, "examples", example);
  return [folder, "--event", `@${join(folder, "event.json")}`, ...options];
}

async function run(example: string, ...options: string[]): Promise<Outcome> {
  const out = mkdtempSync(join(scratch, `${example}-`));
  const { result } = await command([...application(example, options), "--out", out]);
  const read = (name: string): unknown => JSON.parse(readFileSync(join(out, name), "utf8"));
  return { result, record: read("run.json") as RunRecord, graph: read("graph.json") as ResourceGraph };
}

/** Runs it both ways; CPython takes the number of parts that the run chose for each `split` without one. */
async function runBothWays(example: string, ...options: string[]): Promise<{ ours: unknown; theirs: unknown }> {
  const { result: ours, record } = await run(example, ...options);
  const variables = { SANDLOOM_SPLITS: JSON.stringify(record.splits) };
  const { result: theirs } = await command([...application(example, options), "--local"], variables);
  return { ours, theirs };
}

/** A component of another module may carry the module's name before its own. */
function ownName(name: string): string {
  return name.slice(name.lastIndexOf(".") + 1);
}

/** How often each component ran. */
function runsOf(record: RunRecord): Record<string, number> {
  const runs: Record<string, number> = {};
  for (const event of record.events)
    if (event.type === "component-triggered") {
      const name = ownName(event.name);
      runs[name] = (runs[name] ?? 0) + 1;
    }
  return runs;
}

function relationsOf(graph: ResourceGraph, mode: string): string[] {
  return graph.relations
    .flatMap((each) => (each.kind === "trigger" && each.mode === mode ? [ownName(each.to)] : []))
    .sort();
}

describe("TPC-DS query 1", () => {
  beforeAll(() => {
    spawnSync(process.execPath, [join(root, "scripts/example-data.mjs")], { stdio: "inherit" });
  });

  test("gives DuckDB's own answer, its four tables read side by side", async (context) => {
    if (!existsSync(answer)) context.skip("the tables could not be made here: scripts/example-data.mjs says why");
    const { result, record, graph } = await run("tpcds-q1", "--mount", `${tpcds}:/data`);
    expect(result).toEqual(JSON.parse(readFileSync(answer, "utf8")));
    const readers = ["customers", "dates_of_year", "store_returns", "stores_in_state"];
    expect(relationsOf(graph, "parallel")).toEqual(readers);
    expect(runsOf(record)).toMatchObject(Object.fromEntries(readers.map((name) => [name, 1])));
    expect(record.report.message_bytes).toBeLessThan(16_384); // names of regions, not their content
  });

  test.skipIf(!hasCPython)("gives the same answer for other years and states under CPython", async (context) => {
    if (!existsSync(answer)) context.skip("the tables could not be made here: scripts/example-data.mjs says why");
    const mount = ["--mount", `${tpcds}:/data`];
    for (const options of [
      [...mount, "--set", "year=2002"],
      [...mount, "--set", "state=AK"],
    ]) {
      const { ours, theirs } = await runBothWays("tpcds-q1", ...options);
      expect(ours).toEqual(theirs);
    }
  });
});

describe("logistic regression", () => {
  /** Native BLAS and its WebAssembly build add in different orders; gradient descent does not amplify that. */
  const TOLERANCE = 1e-9;

  interface Fit {
    readonly weights: readonly number[];
    readonly bias: number;
    readonly accuracy: number;
  }

  function expectSameFit(ours: Fit, theirs: Fit): void {
    const scale = Math.max(...[...theirs.weights, theirs.bias].map(Math.abs));
    const distance = (a: number, b: number): number => Math.abs(a - b) / scale;
    expect(ours.weights).toHaveLength(theirs.weights.length);
    for (const [i, weight] of theirs.weights.entries())
      expect(distance(ours.weights[i] ?? Number.NaN, weight)).toBeLessThan(TOLERANCE);
    expect(distance(ours.bias, theirs.bias)).toBeLessThan(TOLERANCE);
    expect(ours.accuracy).toBe(theirs.accuracy);
  }

  test("classifies 561 of scikit-learn's 569 breast cancer rows right", async () => {
    const { result, graph } = await run("logistic-regression", "--mount", `${data}:/data`);
    expect((result as Fit).weights).toHaveLength(30);
    expect((result as Fit).accuracy).toBe(561 / 569);
    expect(relationsOf(graph, "fan-out")).toContain("gradient");
  });

  test.skipIf(!hasCPython)("learns from breast cancer data the weights that CPython learns", async () => {
    const options = ["--mount", `${data}:/data`];
    const { ours, theirs } = await runBothWays("logistic-regression", ...options);
    expectSameFit(ours as Fit, theirs as Fit);
  });

  test.skipIf(!hasCPython)("learns from synthetic rows the weights that CPython learns", async () => {
    const options = ["--set", "rows=120000", "--set", "cols=12", "--set", "rounds=10"];
    const { ours, theirs } = await runBothWays("logistic-regression", ...options);
    expectSameFit(ours as Fit, theirs as Fit);
  });

  test("has components write synthetic rows straight into memory components", async () => {
    const options = ["--set", "rows=120000", "--set", "cols=12", "--set", "rounds=1"];
    const { record } = await run("logistic-regression", ...options);
    expect(runsOf(record)).toMatchObject({ fill: 3 }); // blocks of 50,000 rows
    const made = record.events.filter((event) => event.type === "memory-made");
    expect(made.find((event) => event.bytes >= 120_000 * 12 * 8)).toMatchObject({ copied_bytes: 0 });
    expect(record.report.message_bytes).toBeLessThan(16_384); // names of regions, not their content
  });
});

describe("small functions", () => {
  test("hand one 1 MiB array through a chain of 16 and to a fan-out of 64 without a copy of it", async () => {
    const { result, record } = await run("small-functions");
    expect(runsOf(record)).toMatchObject({ link: 16, leaf: 64 });
    expect(record.events.filter((event) => event.type === "memory-made" && event.bytes >= 1024 * 1024)).toHaveLength(1);
    expect(record.report.copied_bytes).toBe(0);
    expect(record.report.message_bytes).toBeLessThan(16_384); // names of regions, not their content
    const { chain, leaves } = result as { chain: number; leaves: number[] };
    expect(leaves).toHaveLength(64);
    // The first leaf's checksum starts at 0, as that of the chain's end does.
    expect(leaves[0]).toBe(chain);
    expect(chain).toBe(1_247_409_561);
  });

  test("print from every link, in order", async () => {
    const { record } = await run("small-functions", "--set", "fan_out=0");
    const prints = record.events.flatMap((event) => (event.type === "printed" ? [event.text] : [])).join("");
    const links = [...prints.matchAll(/link (\d+): checksum/g)].map((match) => Number(match[1]));
    expect(links).toEqual(Array.from({ length: 16 }, (_, i) => i));
  });

  test.skipIf(!hasCPython)("give the checksums that CPython gives", async () => {
    const options = ["--set", "chain=5", "--set", "fan_out=7"];
    const { ours, theirs } = await runBothWays("small-functions", ...options);
    expect(ours).toEqual(theirs);
  });
});
