import { describe, expect, test } from "vitest";
import type { TimelineRow } from "../../src/cluster/api.ts";
import { doctorText } from "../../src/cli/text/doctor.ts";
import { errorText } from "../../src/cli/text/error.ts";
import { graphText } from "../../src/cli/text/graph.ts";
import { jsonText } from "../../src/cli/text/json.ts";
import { harmless, padStart, type Paint, plain, table, widthOf } from "../../src/cli/text/paint.ts";
import { cancelledText, printedText, Progress, statusText } from "../../src/cli/text/progress.ts";
import { amountText, bytesText, durationText } from "../../src/cli/text/quantities.ts";
import { reportText } from "../../src/cli/text/report.ts";
import { barOf, timelineText } from "../../src/cli/text/timeline.ts";
import { CompileRefused, GuestRaised, MemoryCapExceeded, SandloomError, TimedOut } from "../../src/graph/errors.ts";
import { reportOf } from "../../src/materializer/report.ts";
import { timelineOf } from "../../src/materializer/timeline.ts";
import { begun, events, graph, image_bytes } from "./recorded.ts";

/** Colours as they come from a terminal. */
const colour: Paint = (_format, text) => `\u001B[31m${text}\u001B[39m`;

describe("quantities", () => {
  test.each([
    [0, "0 B"],
    [999, "999 B"],
    [999.6, "1.00 kB"],
    [1_050_000, "1.05 MB"],
    [134_217_728, "134 MB"],
    [999_900_000, "1.00 GB"],
    [4.3e9, "4.30 GB"],
  ])("%d bytes read %s", (bytes, text) => expect(bytesText(bytes)).toBe(text));

  test.each([
    [0.04, "0.0 ms"],
    [12.34, "12.3 ms"],
    [999, "999 ms"],
    [999.9, "1.00 s"],
    [12_340, "12.3 s"],
    [59_960, "1m00s"],
    [125_000, "2m05s"],
  ])("%d ms read %s", (ms, text) => expect(durationText(ms)).toBe(text));

  test.each([
    [0, "0"],
    [123.4, "123"],
    [1.2345, "1.23"],
    [0.0001234, "0.000123"],
    [1.2e-9, "1.2e-9"],
  ])("%d reads %s", (value, text) => expect(amountText(value)).toBe(text));
});

describe("text for a terminal", () => {
  test("is padded by the columns that are seen, not by its control sequences", () => {
    expect(widthOf(colour("red", "abc"))).toBe(3);
    expect(padStart(colour("red", "abc"), 5)).toBe(`  ${colour("red", "abc")}`);
  });

  test("of a guest cannot move the cursor or ring the bell", () => {
    expect(harmless("a\u001B[2Jb\u001B]0;title\u0007c\td\u0000\u009B")).not.toMatch(/[^\P{Cc}\t]/u);
  });

  test("in a table stands under its title, figures to the right", () => {
    const columns = [{ title: "name" }, { title: "n", align: "right" }] as const;
    expect(
      table(
        columns,
        [
          ["a", "1"],
          ["longer", "1000"],
        ],
        plain,
      ).split("\n"),
    ).toEqual(["name       n", "a          1", "longer  1000"]);
  });
});

describe("the graph", () => {
  test("is a tree of what triggers what, and a table of memory components and who uses them", () => {
    expect(graphText(graph, plain).split("\n")).toEqual([
      "regression: 3 compute components, 2 memory components, imports numpy",
      "",
      "main  app.py:14",
      "├── trigger ×n (fan-out) ──▶ gradient  app.py:4  called at app.py:18, app.py:21",
      "│   └── trigger (parallel) ──▶ gradient (above)  called at app.py:6",
      "└── trigger ──▶ scale  writes x  cpu=2  app.py:9  called at app.py:17",
      "",
      "memory component  made by       used by",
      "main.x            remote        main writes, gradient(x) reads rows of it          app.py:15",
      "main.spare        remote.zeros  not used by a component that the compiler can see  app.py:16",
    ]);
  });

  test("shows a component that nothing triggers by itself", () => {
    const apart = graphText({ ...graph, relations: [] }, plain);
    expect(apart).toContain("\nmain  app.py:14\ngradient  app.py:4\nscale");
  });
});

describe("progress", () => {
  test("counts components by what they do, and the bytes of live memory components", () => {
    const progress = new Progress();
    for (const event of begun) progress.take(event);
    expect(statusText(progress, 1_234, plain)).toBe(
      "1 running · 1 waiting · 1 queued · 0 done · 80.0 MB in memory components · 1.23 s",
    );
    expect(cancelledText(progress)).toBe("1 running, 1 waiting and 1 queued stopped; 0 had returned");
    const rest = events.slice(begun.length);
    for (const event of rest) progress.take(event);
    expect(statusText(progress, 1_234, plain)).toBe(
      "0 running · 0 waiting · 3 done · 0 B in memory components · 1.23 s",
    );
  });

  test("shows prints under the component's name, line by line, carriage returns as lines", () => {
    const printed = { type: "printed", t_ms: 1, component: 3, text: "one\ntwo\r\nthree\r100%\n" } as const;
    expect(printedText({ ...printed, stream: "stdout" }, "gradient#3", 12, plain).split("\n")).toEqual([
      "gradient#3   │ one",
      "gradient#3   │ two",
      "gradient#3   │ three",
      "gradient#3   │ 100%",
    ]);
  });

  test("says what components did when they were cancelled, also after they have ended", () => {
    const progress = new Progress();
    for (const event of begun) progress.take(event);
    const cancelled = {
      type: "component-ended",
      t_ms: 50,
      outcome: "cancelled",
      local_bytes: 0,
      cpu_ms: 0,
      result_bytes: 0,
    } as const;
    for (const component of [0, 1, 2]) progress.take({ ...cancelled, component });
    expect(cancelledText(progress)).toBe("1 running, 1 waiting and 1 queued stopped; 0 had returned");
    expect(progress.counts).toMatchObject({ running: 0, waiting: 0, queued: 0, failed: 0, cancelled: 3 });
  });

  test("of a run that was cancelled before anything ran says so", () => {
    expect(cancelledText(new Progress())).toBe("before any component ran");
  });
});

describe("the timeline", () => {
  const row = (component: number, more: Partial<TimelineRow> = {}): TimelineRow => ({
    component,
    name: "part",
    sandbox: 1,
    triggered_ms: 0,
    start_ms: 0,
    end_ms: 100,
    waits: [],
    outcome: "returned",
    ...more,
  });

  test("has a row for each component: its sandbox, its bar with waits, its start and end", () => {
    expect(timelineText(timelineOf(events), { columns: 66, paint: plain }).split("\n")).toEqual([
      "main#0      s1  ███████░░░░░░░░░░░░░░█████████████   1.0–100.0 ms",
      "gradient#1  s2        ·██████████                    21.0–50.0 ms",
      "gradient#2  s3        ·██████████████                22.0–60.0 ms",
      "█ runs  ░ waits for components  · queued   s1: the sandbox",
    ]);
  });

  test("fits the columns that there are", () => {
    for (const columns of [60, 80, 133]) {
      for (const line of timelineText(timelineOf(events), { columns, paint: plain }).split("\n")) {
        expect(line.length).toBeLessThanOrEqual(columns);
      }
    }
  });

  test("a bar shows queueing, running and waiting in their places", () => {
    const waits = [{ start_ms: 40, end_ms: 80 }];
    expect(barOf(row(1, { start_ms: 20, waits }), 100, 10)).toBe("··██░░░░██");
  });

  test("a component that is shorter than a character still shows", () => {
    expect(barOf(row(1, { triggered_ms: 55, start_ms: 55, end_ms: 55.001 }), 100, 10)).toBe("     █    ");
    expect(barOf(row(1, { start_ms: 100, triggered_ms: 100 }), 100, 10)).toBe("         █");
    expect(barOf(row(1, { end_ms: 0 }), 0, 4)).toContain("█");
  });

  test("of more than 40 components shows the first and the last and says where the others are", () => {
    const lines = timelineText(
      Array.from({ length: 1_100 }, (_, at) => row(at)),
      { columns: 80, paint: plain },
    ).split("\n");
    expect(lines).toHaveLength(42);
    expect(lines[19]).toMatch(/^part#19 /);
    expect(lines[20]).toBe("… 1,060 more components are in run.json …");
    expect(lines[21]).toMatch(/^part#1080 /);
  });

  test("marks what raised and what was cancelled, and counts in seconds when the run is long", () => {
    const text = timelineText([row(1, { outcome: "raised" }), row(2, { outcome: "cancelled", end_ms: 12_345 })], {
      columns: 80,
      paint: plain,
    });
    expect(text).toMatch(/part#1 .* ✗ {2}0\.00–0\.10 s\n/);
    expect(text).toMatch(/part#2 .* – 0\.00–12\.35 s\n/);
  });

  test("of a run in which nothing started says so", () =>
    expect(timelineText([], { columns: 80, paint: plain })).toBe("no component started"));
});

describe("the resource report", () => {
  const lines = reportText(reportOf(events, { image_bytes }), 100, plain).split("\n");

  test("is a table of what was held, with the total and one function beside it", () => {
    expect(lines[0]).toBe("component       kind     count     peak      GB·s  core·s");
    expect(lines).toContain("main.x          memory       1  80.0 MB   0.00640");
    expect(lines).toContain("total                            145 MB    0.0127   0.125");
    expect(lines).toContain("one function                               0.0145   0.200");
  });

  test("says how much more one function of the run's peak would have held, and what was copied", () => {
    expect(lines.at(-2)).toBe("one function of 145 MB and 2 CPUs, held for 100 ms: 1.1× the memory and 1.6× the CPU");
    expect(lines.at(-1)).toBe(
      "copied at publication: 80.0 MB · in messages between components: 300 B (arrays are mapped, not copied)",
    );
  });

  test("of a run that held nothing has no ratios of nothing", () => {
    const empty = reportText(reportOf([], { image_bytes: 0 }), 0, plain);
    expect(empty).not.toMatch(/NaN|Infinity/);
  });
});

describe("JSON", () => {
  test("is on one line when it fits", () => expect(jsonText({ a: [1, 2] }, 80)).toBe('{"a":[1,2]}'));

  test("breaks where it does not fit, and fills lines with the items of arrays", () => {
    const text = jsonText(
      { name: "x", w: Array.from({ length: 12 }, (_, at) => at * 100), deep: [{ a: "y".repeat(30) }, 1] },
      40,
    );
    expect(text.split("\n")).toEqual([
      "{",
      '  "name": "x",',
      '  "w": [',
      "    0, 100, 200, 300, 400, 500, 600,",
      "    700, 800, 900, 1000, 1100",
      "  ],",
      '  "deep": [',
      "    {",
      `      "a": "${"y".repeat(30)}"`,
      "    },",
      "    1",
      "  ]",
      "}",
    ]);
    expect(JSON.parse(text).w).toHaveLength(12);
  });
});

describe("an error", () => {
  const lines = ["from sandloom import split", "", "", "def f(x):", "\treturn x / 0"];
  const context = {
    paint: plain,
    sourceLine: (file: string, line: number): string | undefined => (file === "app.py" ? lines[line - 1] : undefined),
  };

  test("of the program has Python's traceback with the user's file and line, and the source as the user wrote it", () => {
    const error = new GuestRaised("ZeroDivisionError: division by zero", {
      type: "ZeroDivisionError",
      message: "division by zero",
      component: "f#3",
      frames: [
        { file: "helpers.py", line: 18, function: "main", text: "    total = f(x)" },
        { file: "app.py", line: 5, function: "f", text: "return _lowered(x / 0)" },
        { file: "gone.py", line: 1, function: "g" },
      ],
    });
    expect(errorText(error, context).split("\n")).toEqual([
      "GuestRaised: ZeroDivisionError: division by zero",
      "  Traceback (most recent call last) in component f#3:",
      '    File "helpers.py", line 18, in main',
      "      total = f(x)",
      '    File "app.py", line 5, in f',
      "      return x / 0",
      '    File "gone.py", line 1, in g',
      "  ZeroDivisionError: division by zero",
    ]);
  });

  test("of the compiler names each place and rule, with the source line, a caret and what to write instead", () => {
    const refusals = [
      { file: "app.py", line: 5, column: 9, rule: "argument-mutation", message: "x is changed", fix: "Copy it first." },
      { file: "other.py", line: 1, column: 1, rule: "star-import", message: "import of *" },
    ];
    expect(
      errorText(
        new CompileRefused("app.py:5:9: x is changed [argument-mutation]\nother.py", { refusals }),
        context,
      ).split("\n"),
    ).toEqual([
      "CompileRefused: 2 places cannot be compiled",
      "",
      "app.py:5:9 argument-mutation x is changed",
      "    \treturn x / 0",
      "    \t       ^",
      "  → Copy it first.",
      "",
      "other.py:1:1 star-import import of *",
    ]);
  });

  test("of a limit says the bound, the value and what to do", () => {
    const memory = new MemoryCapExceeded("main.x does not fit", {
      limit: "memory_bytes",
      bound: 4 * 2 ** 30,
      value: 5e9,
    });
    expect(errorText(memory, context).split("\n")).toEqual([
      "MemoryCapExceeded: main.x does not fit",
      "  the limit memory_bytes is 4.29 GB; this would have been 5.00 GB",
      "  → raise the cap with --memory, or let memory components go (del) before making others",
    ]);
    expect(errorText(new TimedOut("f#3", { limit: "run_timeout_ms", bound: 30_000 }), context)).toContain(
      "\n  the limit run_timeout_ms is 30.0 s",
    );
  });

  test("that is not one of ours is a defect, with its stack", () => {
    expect(errorText(new TypeError("oops"), context)).toMatch(
      /^InternalError: a defect of Sandloom\n {2}TypeError: oops\n {6}at /,
    );
    expect(errorText("text", context)).toContain("\n  text\n");
  });

  test("with details of another shape than expected still shows its message", () => {
    const odd = new SandloomError("GuestRaised", "m", { frames: "none", type: 5, limit: 3, bound: "x" });
    expect(errorText(odd, context)).toBe("GuestRaised: m");
    expect(errorText(new CompileRefused("m", { refusals: null }), context)).toBe("CompileRefused: m");
  });

  test("cannot smuggle control sequences of the program to the terminal", () => {
    const error = new GuestRaised("ValueError: \u001B[2J", {
      type: "ValueError",
      message: "\u001B]0;x\u0007",
      frames: [{ file: "a.py", line: 1, function: "f" }],
    });
    expect(errorText(error, context)).not.toMatch(/[^\P{Cc}\t\n]/u);
  });
});

describe("the doctor", () => {
  const missing = {
    name: "Linux",
    status: "missing",
    found: "darwin",
    costs: "everything",
    get: "use Linux x64",
  } as const;

  test("says of what is missing what it costs and how to get it, and gives a verdict", () => {
    expect(
      doctorText({ checks: [{ name: "Node", status: "ok", found: "26", costs: "nothing" }, missing] }, plain).split(
        "\n",
      ),
    ).toEqual([
      "✓ Node   26",
      "✗ Linux  darwin",
      "         costs: everything",
      "         get it: use Linux x64",
      "",
      "Sandloom does not run on this machine as it is: Linux.",
    ]);
  });
});
