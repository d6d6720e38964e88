import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Value } from "typebox/value";
import { describe, expect, test } from "vitest";
import { RunRecord, type RunEvent } from "../../src/graph/events.ts";
import { ResourceGraph } from "../../src/graph/resource-graph.ts";
import { eventsOf, outcomeOf, useBench } from "../support/running.ts";

const SOURCE = `
import numpy as np
from sandloom import remote, split


@split
def part(x, by):
    print("part", by)
    return x * by


@split
def outer(x):
    return sum(part(p, i).sum() for i, p in enumerate(split(x, 3)))


def main(event):
    x = remote(np.arange(50_000.0))
    a = outer(x)
    return {"a": float(a), "b": float(sum(part(p, 1.0).sum() for p in split(x)))}
`;

/** Position of the first event that fits. */
function at(events: readonly RunEvent[], fits: (event: RunEvent) => boolean): number {
  const index = events.findIndex(fits);
  return index < 0 ? Number.POSITIVE_INFINITY : index;
}

/** They are listed as they became known; a sandbox may have told of one a moment after it happened. */
function inTime(events: readonly RunEvent[]): RunEvent[] {
  return events.toSorted((a, b) => a.t_ms - b.t_ms);
}

describe("the record of a run", () => {
  const bench = useBench();

  test("validates against its schema, as run.json too, when the run returns and when it fails", async () => {
    for (const source of [SOURCE, `${SOURCE}\n\ndef main(event):\n    return part(remote(np.ones(3)), 0)[5]\n`]) {
      const outDir = join(bench.folder, "record");
      const { record } = await bench.runSource(source, {}, { outDir, id: "run-1" });
      const written: unknown = JSON.parse(readFileSync(join(outDir, "run.json"), "utf8"));
      expect([...Value.Errors(RunRecord, written)]).toEqual([]);
      expect(written).toMatchObject({ run: "run-1" });
      if (record) expect(JSON.parse(JSON.stringify(record))).toEqual(written);
    }
  });

  test("has its events in the order of causes, from run-accepted to run-ended", async () => {
    const outcome = await bench.runSource(SOURCE);
    expect(outcome.error).toBeUndefined();
    const events = inTime(outcome.events);
    expect(outcome.events[0]?.type).toBe("run-accepted");
    expect(outcome.events.at(-1)?.type).toBe("run-ended");
    expect(events.filter(({ type }) => type === "run-ended")).toHaveLength(1);
    const ids = eventsOf({ events }, "component-triggered").map(({ component }) => component);
    expect(ids).toEqual(ids.map((_, i) => i));
    for (const id of ids) {
      const of = (type: RunEvent["type"]): number =>
        at(events, (event) => event.type === type && "component" in event && event.component === id);
      const order = [of("component-triggered"), of("decided"), of("component-started"), of("component-ended")];
      expect(order).toEqual(order.toSorted((a, b) => a - b));
      expect(order.every(Number.isFinite)).toBe(true);
    }
    for (const { component, parent, depth } of eventsOf({ events }, "component-triggered")) {
      if (parent === undefined) continue;
      const above = eventsOf({ events }, "component-triggered").find((event) => event.component === parent);
      expect(depth).toBe((above?.depth ?? 0) + 1);
      const ended = (id: number): number =>
        at(events, (event) => event.type === "component-ended" && event.component === id);
      expect(ended(component)).toBeLessThan(ended(parent));
    }
    for (const { region } of eventsOf({ events }, "memory-freed")) {
      const made = at(events, (event) => event.type === "memory-made" && event.region === region);
      expect(made).toBeLessThan(at(events, (event) => event.type === "memory-freed" && event.region === region));
    }
    expect(eventsOf({ events }, "memory-freed")).toHaveLength(eventsOf({ events }, "memory-made").length);
    for (const { reason } of eventsOf({ events }, "decided")) expect(reason).toMatch(/\w/);
    const waits = eventsOf({ events }, "component-waiting").length;
    expect(eventsOf({ events }, "component-resumed")).toHaveLength(waits);
  });

  test("names the parts that were chosen for split without n", async () => {
    const { record } = await bench.runSource(SOURCE);
    expect(record?.splits).toEqual({ 50000: expect.any(Number) as number });
    const chosen = record && eventsOf(record, "decided").filter(({ what }) => what === "split");
    expect(chosen?.map(({ value }) => value)).toEqual([record?.splits["50000"]]);
  });

  test("never gives more CPUs than there are, and no sandbox to two components at once", async () => {
    const events = inTime((await bench.runSource(SOURCE)).events);
    let held = 0; // from the decision that admits it to its wait or end
    const busy = new Set<number>();
    const sandboxes = new Map<number, number>();
    for (const event of events) {
      if (event.type === "decided" && event.what === "admit") held++;
      if (event.type === "component-started") {
        expect(busy.has(event.sandbox)).toBe(false);
        busy.add(event.sandbox);
        sandboxes.set(event.component, event.sandbox);
      } else if (event.type === "component-waiting") held--;
      else if (event.type === "component-ended") {
        held--;
        busy.delete(sandboxes.get(event.component) ?? -1);
      }
      expect(held).toBeLessThanOrEqual(2);
    }
    expect(held).toBe(0);
  });

  test("has a report that is the sum of its rows", async () => {
    const { record } = await bench.runSource(SOURCE);
    const report = record?.report;
    const total = report?.rows.reduce((sum, { gb_s }) => sum + gb_s, 0) ?? 0;
    expect(report?.total.gb_s).toBeCloseTo(total, 9);
    expect(report?.rows.map(({ kind, name }) => `${kind} ${name}`)).toEqual(
      expect.arrayContaining(["compute main", "compute outer", "compute part", "memory main.x"]),
    );
    expect(report?.rows.find(({ name }) => name === "part")?.count).toBeGreaterThanOrEqual(4);
  });

  test("can be read while the run goes on, by several, and from the start when it has ended", async () => {
    const run = bench.cluster.run(bench.write({ "app.py": SOURCE }));
    const types = async (): Promise<string[]> => {
      const seen: string[] = [];
      for await (const { type } of run.events) seen.push(type);
      return seen;
    };
    const [first, second] = await Promise.all([types(), types()]);
    const { events } = await outcomeOf(run);
    const third = await types();
    expect(first.at(-1)).toBe("run-ended");
    expect(second).toEqual(first);
    expect(third).toEqual(first);
    expect(events.map(({ type }) => type)).toEqual(first);
  });

  test("belongs to one run: two at once on one cluster do not mix", async () => {
    const runs = Array.from({ length: 4 }, (_, i) =>
      bench.runSource(
        `
import numpy as np
from sandloom import remote, split


@split
def f(x, n):
    print("run", n)
    return float(x.sum()) + n


def main(event):
    x = remote(np.full(1000, float(event["n"])))
    return [f(p, event["n"]) for p in split(x, 4)]
`,
        { n: i },
        { id: `run-${i}` },
      ),
    );
    for (const [i, outcome] of (await Promise.all(runs)).entries()) {
      expect(outcome.value).toEqual(Array.from({ length: 4 }, () => 250 * i + i));
      expect(eventsOf(outcome, "printed").map(({ text }) => text)).toEqual(
        Array.from({ length: 4 }, () => `run ${i}\n`),
      );
      expect(eventsOf(outcome, "run-accepted").map(({ run }) => run)).toEqual([`run-${i}`]);
      expect(outcome.record?.run).toBe(`run-${i}`);
    }
  });

  test("has a graph that validates against its schema", async () => {
    const { graph } = await bench.cluster.compile(bench.write({ "app.py": SOURCE }));
    expect([...Value.Errors(ResourceGraph, JSON.parse(JSON.stringify(graph)))]).toEqual([]);
  });
});
