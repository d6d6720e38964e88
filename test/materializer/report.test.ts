import { describe, expect, test } from "vitest";
import type { RunEvent } from "../../src/graph/events.ts";
import { reportOf, spansOf } from "../../src/materializer/report.ts";
import { timelineOf } from "../../src/materializer/timeline.ts";

const MB = 1_000_000;

/** main (1 s) waits 0.6 s for two components that read x (100 MB, held 0.8 s); sandbox 2 is made for the run. */
const events: RunEvent[] = [
  {
    type: "run-accepted",
    t_ms: 0,
    run: "r1",
    application: "app",
    at: "2026-01-01T00:00:00Z",
    server: { cpus: 2, memory_bytes: 8e9 },
  },
  { type: "component-triggered", t_ms: 0, component: 0, name: "main", depth: 1, message_bytes: 20 },
  { type: "decided", t_ms: 0, what: "admit", component: 0, value: 1, reason: "first in trigger order" },
  { type: "component-started", t_ms: 0, component: 0, sandbox: 1 },
  { type: "memory-made", t_ms: 100, region: 5, name: "main.x", component: 0, bytes: 100 * MB, copied_bytes: 90 * MB },
  {
    type: "component-triggered",
    t_ms: 200,
    component: 1,
    name: "part",
    parent: 0,
    line: 9,
    depth: 2,
    message_bytes: 300,
  },
  {
    type: "component-triggered",
    t_ms: 200,
    component: 2,
    name: "part",
    parent: 0,
    line: 9,
    depth: 2,
    message_bytes: 300,
  },
  { type: "sandbox-made", t_ms: 200, sandbox: 2, ms: 3 },
  { type: "component-waiting", t_ms: 200, component: 0 },
  { type: "decided", t_ms: 200, what: "admit", component: 1, value: 2, reason: "clamped" },
  { type: "component-started", t_ms: 300, component: 1, sandbox: 2 },
  {
    type: "component-ended",
    t_ms: 500,
    component: 1,
    outcome: "returned",
    local_bytes: 10 * MB,
    cpu_ms: 150,
    result_bytes: 40,
  },
  { type: "sandbox-reset", t_ms: 510, sandbox: 2, ms: 1, dirty_pages: 100 },
  { type: "component-started", t_ms: 600, component: 2, sandbox: 2 },
  {
    type: "component-ended",
    t_ms: 800,
    component: 2,
    outcome: "returned",
    local_bytes: 20 * MB,
    cpu_ms: 150,
    result_bytes: 40,
  },
  { type: "component-resumed", t_ms: 800, component: 0 },
  { type: "memory-freed", t_ms: 900, region: 5 },
  {
    type: "component-ended",
    t_ms: 1000,
    component: 0,
    outcome: "returned",
    local_bytes: 30 * MB,
    cpu_ms: 300,
    result_bytes: 70,
  },
  { type: "run-ended", t_ms: 1000, outcome: "returned" },
];
const options = { image_bytes: 50 * MB };

describe("resource report", () => {
  test("a component that waits keeps its memory and gives its CPU back", () => {
    expect(spansOf(events, options).filter((span) => span.id === 0 && span.kind === "compute")).toEqual([
      { kind: "compute", name: "main", id: 0, start_ms: 0, end_ms: 200, bytes: 30 * MB, cpu: 1 },
      { kind: "compute", name: "main", id: 0, start_ms: 200, end_ms: 800, bytes: 30 * MB, cpu: 0 },
      { kind: "compute", name: "main", id: 0, start_ms: 800, end_ms: 1000, bytes: 30 * MB, cpu: 1 },
    ]);
  });

  test("a memory component counts from its making to its freeing, and the shared image for the whole run", () => {
    const spans = spansOf(events, options);
    expect(spans.filter((span) => span.kind === "memory")).toEqual([
      { kind: "memory", name: "main.x", id: 5, start_ms: 100, end_ms: 900, bytes: 100 * MB, cpu: 0 },
    ]);
    expect(spans.filter((span) => span.kind === "image")).toEqual([
      { kind: "image", name: "image", id: 0, start_ms: 0, end_ms: 1000, bytes: 50 * MB, cpu: 0 },
    ]);
  });

  test("a sandbox that was made for the run counts while it idles, one that was warm only until it is reset", () => {
    const idle = spansOf(events, options).filter((span) => span.kind === "idle");
    expect(idle.map(({ id, start_ms, end_ms, bytes }) => ({ id, start_ms, end_ms, bytes }))).toEqual([
      { id: 2, start_ms: 200, end_ms: 300, bytes: 0 },
      { id: 2, start_ms: 500, end_ms: 510, bytes: 10 * MB },
      { id: 2, start_ms: 510, end_ms: 600, bytes: 100 * 4096 },
      { id: 2, start_ms: 800, end_ms: 1000, bytes: 20 * MB },
    ]);
    const warm = events.filter((event) => event.type !== "sandbox-made");
    expect(
      spansOf(warm, options)
        .filter((span) => span.kind === "idle")
        .map((span) => [span.start_ms, span.end_ms]),
    ).toEqual([
      [500, 510],
      [800, 1000],
    ]);
  });

  test("rows are the sums of the spans by component name and kind, and the total is the sum of the rows", () => {
    const report = reportOf(events, options);
    const row = (name: string): unknown => report.rows.find((one) => one.name === name);
    expect(row("main")).toEqual({
      kind: "compute",
      name: "main",
      count: 1,
      gb_s: 0.03,
      core_s: 0.4,
      peak_bytes: 30 * MB,
    });
    expect(row("part")).toMatchObject({ kind: "compute", count: 2, peak_bytes: 20 * MB });
    expect((row("part") as { gb_s: number }).gb_s).toBeCloseTo(0.002 + 0.004, 12);
    expect((row("part") as { core_s: number }).core_s).toBeCloseTo(0.4 + 0.2, 12);
    expect((row("main.x") as { gb_s: number }).gb_s).toBeCloseTo(0.08, 12);
    expect(report.total.gb_s).toBeCloseTo(
      report.rows.reduce((sum, one) => sum + one.gb_s, 0),
      12,
    );
    expect(report.total.core_s).toBeCloseTo(1.0, 12);
  });

  test("one function is the run's peak in use, held for all of its wall time", () => {
    const { total, one_function } = reportOf(events, options);
    expect(total.peak_bytes).toBe((50 + 100 + 30 + 20) * MB);
    expect(total.peak_cpu).toBe(2);
    expect(one_function.gb_s).toBeCloseTo(0.2, 12);
    expect(one_function.core_s).toBe(2);
  });

  test("copies are counted at publication, and between components as the bytes of their messages", () => {
    const report = reportOf(events, options);
    expect(report.copied_bytes).toBe(90 * MB);
    expect(report.message_bytes).toBe(300 + 300 + 40 + 40);
  });

  test("what is still open when the run is cancelled counts until its end, and nothing counts after it", () => {
    const cut: RunEvent[] = [
      ...events.slice(0, 11),
      { type: "run-ended", t_ms: 400, outcome: "cancelled" },
      { type: "memory-freed", t_ms: 900, region: 5 },
    ];
    const spans = spansOf(cut, options);
    expect(Math.max(...spans.map((span) => span.end_ms))).toBe(400);
    expect(spans.find((span) => span.kind === "memory")).toMatchObject({ start_ms: 100, end_ms: 400 });
  });

  test("a region number that is given out again is a new memory component", () => {
    const made = (t_ms: number, name: string): RunEvent => ({
      type: "memory-made",
      t_ms,
      region: 1,
      name,
      component: 0,
      bytes: MB,
      copied_bytes: 0,
    });
    const spans = spansOf(
      [
        made(0, "a"),
        { type: "memory-freed", t_ms: 10, region: 1 },
        made(20, "b"),
        { type: "run-ended", t_ms: 50, outcome: "returned" },
      ],
      { image_bytes: 0 },
    );
    expect(spans.map(({ name, start_ms, end_ms }) => [name, start_ms, end_ms])).toEqual([
      ["a", 0, 10],
      ["b", 20, 50],
    ]);
  });

  test("a run without events holds nothing", () => {
    expect(reportOf([], options)).toMatchObject({
      rows: [],
      total: { gb_s: 0, peak_bytes: 0 },
      one_function: { gb_s: 0, core_s: 0 },
    });
  });
});

describe("timeline", () => {
  test("has a row for each component that started, with its sandbox, its waits and when it was triggered", () => {
    expect(timelineOf(events)).toEqual([
      {
        component: 0,
        name: "main",
        sandbox: 1,
        triggered_ms: 0,
        start_ms: 0,
        end_ms: 1000,
        waits: [{ start_ms: 200, end_ms: 800 }],
        outcome: "returned",
      },
      {
        component: 1,
        name: "part",
        sandbox: 2,
        triggered_ms: 200,
        start_ms: 300,
        end_ms: 500,
        waits: [],
        outcome: "returned",
      },
      {
        component: 2,
        name: "part",
        sandbox: 2,
        triggered_ms: 200,
        start_ms: 600,
        end_ms: 800,
        waits: [],
        outcome: "returned",
      },
    ]);
  });

  test("a component that never ended lasts, with its wait, until the end of the run", () => {
    const cut: RunEvent[] = [...events.slice(0, 9), { type: "run-ended", t_ms: 700, outcome: "failed" }];
    expect(timelineOf(cut)).toEqual([
      {
        component: 0,
        name: "main",
        sandbox: 1,
        triggered_ms: 0,
        start_ms: 0,
        end_ms: 700,
        waits: [{ start_ms: 200, end_ms: 700 }],
        outcome: "unfinished",
      },
    ]);
  });
});
