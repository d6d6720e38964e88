/** A run of a small application as it was recorded: two rounds of a fan-out of two over one memory component. */
import type { Cluster, CompiledApp, RunOptions } from "../../src/cluster/api.ts";
import type { Api } from "../../src/cli/context.ts";
import type { Terminal } from "../../src/cli/terminal.ts";
import { plain } from "../../src/cli/text/paint.ts";
import type { RunEvent } from "../../src/graph/events.ts";
import type { SandloomError } from "../../src/graph/errors.ts";
import type { ResourceGraph } from "../../src/graph/resource-graph.ts";
import { reportOf } from "../../src/materializer/report.ts";

const place = (line: number): { file: string; line: number; column: number } => ({ file: "app.py", line, column: 1 });
const compute = (name: string, line: number, more: object = {}): ResourceGraph["components"][number] => ({
  kind: "compute",
  name,
  program: `components/${name}.py`,
  source: place(line),
  entry: false,
  parameters: [],
  writes: [],
  caps: {},
  ...more,
});

export const graph: ResourceGraph = {
  format: "sandloom-graph/1",
  application: { name: "regression", hash: "ab12", files: [{ path: "app.py", sha256: "ab12" }] },
  imports: ["numpy"],
  modules: [{ name: "app", path: "modules/app.py", source: "app.py" }],
  components: [
    compute("main", 14, { entry: true, parameters: ["event"] }),
    compute("gradient", 4, { parameters: ["x", "w"] }),
    compute("scale", 9, { parameters: ["x"], writes: ["x"], caps: { cpu: 2 } }),
    { kind: "memory", name: "main.x", source: place(15), origin: "remote" },
    { kind: "memory", name: "main.spare", source: place(16), origin: "remote.zeros" },
  ],
  relations: [
    {
      kind: "trigger",
      from: "main",
      to: "gradient",
      site: place(18),
      mode: "fan-out",
      reason: "a comprehension in sum()",
    },
    {
      kind: "trigger",
      from: "main",
      to: "gradient",
      site: place(21),
      mode: "fan-out",
      reason: "a comprehension in sum()",
    },
    { kind: "trigger", from: "main", to: "scale", site: place(17), mode: "sequential", reason: "one call" },
    {
      kind: "trigger",
      from: "gradient",
      to: "gradient",
      site: place(6),
      mode: "parallel",
      reason: "consecutive calls",
    },
    { kind: "communicate", compute: "main", memory: "main.x", access: "write", range: "whole" },
    { kind: "communicate", compute: "gradient", memory: "main.x", parameter: "x", access: "read", range: "rows" },
  ],
};

export const compiled: CompiledApp = {
  graph,
  files: new Map([
    ["components/gradient.py", "def main(params, action): ...\n"],
    ["modules/app.py", "from sandloom import split\n"],
  ]),
  hash: "ab12",
  cached: false,
};

const trigger = (t_ms: number, component: number, name: string, parent?: number): RunEvent => ({
  type: "component-triggered",
  t_ms,
  component,
  name,
  ...(parent === undefined ? {} : { parent }),
  depth: parent === undefined ? 1 : 2,
  message_bytes: 100,
});
const ended = (
  t_ms: number,
  component: number,
  outcome: "returned" | "raised" | "cancelled" = "returned",
): RunEvent => ({
  type: "component-ended",
  t_ms,
  component,
  outcome,
  local_bytes: 5_000_000,
  cpu_ms: 8,
  result_bytes: 50,
});

/** Everything up to where the two gradients run. */
export const begun: readonly RunEvent[] = [
  {
    type: "run-accepted",
    t_ms: 0,
    run: "r1",
    application: "regression",
    at: "2026-01-31T14:25:07Z",
    server: { cpus: 2, memory_bytes: 8e9 },
  },
  trigger(0, 0, "main"),
  { type: "component-started", t_ms: 1, component: 0, sandbox: 1 },
  { type: "printed", t_ms: 5, component: 0, stream: "stdout", text: "hello\n" },
  {
    type: "memory-made",
    t_ms: 10,
    region: 1,
    name: "main.x",
    component: 0,
    bytes: 80_000_000,
    copied_bytes: 80_000_000,
  },
  trigger(20, 1, "gradient", 0),
  trigger(20, 2, "gradient", 0),
  { type: "component-waiting", t_ms: 20, component: 0 },
  { type: "component-started", t_ms: 21, component: 1, sandbox: 2 },
];
export const events: readonly RunEvent[] = [
  ...begun,
  { type: "component-started", t_ms: 22, component: 2, sandbox: 3 },
  { type: "printed", t_ms: 30, component: 1, stream: "stderr", text: "half\rdone \u001B[2Jevil\u0007" },
  ended(50, 1),
  ended(60, 2),
  { type: "component-resumed", t_ms: 61, component: 0 },
  { type: "memory-freed", t_ms: 90, region: 1 },
  ended(100, 0),
  { type: "run-ended", t_ms: 100, outcome: "returned" },
];
export const raised: readonly RunEvent[] = [
  ...begun,
  ended(40, 1, "raised"),
  ended(41, 0, "raised"),
  { type: "run-ended", t_ms: 41, outcome: "failed" },
];
export const image_bytes = 50_000_000;

export interface Replay {
  readonly events?: readonly RunEvent[];
  readonly value?: unknown;
  readonly error?: SandloomError;
  readonly compileError?: SandloomError;
  /** Does not go on after the events until it is cancelled. */
  readonly hangs?: boolean;
}

/** The Node API over a recording; remembers what it was asked. */
export function replay(o: Replay = {}): Api & { options: RunOptions[]; compiledApps: string[]; closed: number } {
  const api = {
    options: [] as RunOptions[],
    compiledApps: [] as string[],
    closed: 0,
    createCluster: async (): Promise<Cluster> => {
      const close = async (): Promise<void> => void api.closed++;
      return {
        image_bytes,
        createSandbox: async () => {
          throw new Error("no sandbox was recorded");
        },
        close,
        [Symbol.asyncDispose]: close,
        async compile(app) {
          api.compiledApps.push(app);
          if (o.compileError) throw o.compileError;
          return compiled;
        },
        run(_app, options = {}) {
          api.options.push(options);
          const { promise: cancelled, resolve } = Promise.withResolvers<void>();
          options.signal?.addEventListener("abort", () => resolve());
          const recorded = o.events ?? events;
          const result = (async () => {
            if (o.hangs) {
              await cancelled;
              throw options.signal!.reason;
            }
            if (o.error) throw o.error;
            const record = {
              format: "sandloom-run/1" as const,
              run: options.id ?? "r1",
              application: "regression",
              versions: {},
              splits: {},
              events: [...recorded],
              report: reportOf(recorded, { image_bytes }),
            };
            return { value: o.value ?? { w: [1, 2.5] }, artifacts: [{ path: "out/plot.svg", bytes: 1234 }], record };
          })();
          const replayed = async function* (): AsyncGenerator<RunEvent> {
            yield* recorded;
            if (o.hangs) await cancelled;
          };
          return { id: options.id ?? "r1", events: replayed(), result, cancel: () => resolve() };
        },
      };
    },
    startServer: async () => {
      throw new Error("no server was recorded");
    },
    doctor: async () => ({
      checks: [
        { name: "Node", status: "ok" as const, found: "26.10.0" },
        {
          name: "libfabric",
          status: "degraded" as const,
          found: "not installed",
          costs: "one machine only",
          get: "apt-get install libfabric1",
        },
      ],
    }),
  };
  return api;
}

/** A terminal in memory. */
export function memoryTerminal(o: { cwd: string; columns?: number; isTTY?: boolean; stdin?: string }): Terminal & {
  stdout: string;
  stderr: string;
  exits: number[];
  interrupt(signal?: "SIGINT" | "SIGTERM"): void;
} {
  const listeners = new Set<(signal: "SIGINT" | "SIGTERM") => void>();
  const isTTY = o.isTTY ?? false;
  const columns = o.columns ?? 100;
  const terminal = {
    stdout: "",
    stderr: "",
    exits: [] as number[],
    cwd: o.cwd,
    out: { isTTY, columns, paint: plain, write: (text: string): void => void (terminal.stdout += text) },
    err: { isTTY, columns, paint: plain, write: (text: string): void => void (terminal.stderr += text) },
    readStdin: async () => o.stdin ?? "",
    onInterrupt(listener: (signal: "SIGINT" | "SIGTERM") => void): Disposable {
      listeners.add(listener);
      return { [Symbol.dispose]: () => void listeners.delete(listener) };
    },
    interrupt: (signal: "SIGINT" | "SIGTERM" = "SIGINT"): void => {
      for (const listener of listeners) listener(signal);
    },
    exit: (code: number): void => void terminal.exits.push(code),
  };
  return terminal;
}
