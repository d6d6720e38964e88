/**
 * What happens in a run, as a list of events in one order. Times are milliseconds since the run was accepted. The live view,
 * `run.json`, the timeline and the resource report are all made from this list and from nothing else.
 */
import Type, { type Static, type TObject, type TProperties } from "typebox";
import { RUN_FORMAT } from "./formats.ts";

const closed = { additionalProperties: false } as const;
const Ms = Type.Number({ description: "milliseconds since the run was accepted" });
const Id = Type.Integer({
  minimum: 0,
  description: "number of the physical compute component in the run; the entry is 0",
});

const event = <const T extends string, P extends TProperties>(
  type: T,
  properties: P,
): TObject<{ type: ReturnType<typeof Type.Literal<T>>; t_ms: typeof Ms } & P> =>
  Type.Object({ type: Type.Literal(type), t_ms: Ms, ...properties }, closed);

export const ErrorDocument = Type.Object(
  { code: Type.String(), message: Type.String(), details: Type.Record(Type.String(), Type.Unknown()) },
  closed,
);

export const RunAccepted = event("run-accepted", {
  run: Type.String(),
  application: Type.String(),
  at: Type.String({ description: "wall clock, ISO 8601" }),
  server: Type.Object({ cpus: Type.Number(), memory_bytes: Type.Number() }, closed),
});
/** The materializer decided: what, about which component, and why. */
export const Decided = event("decided", {
  what: Type.Union([
    Type.Literal("admit"),
    Type.Literal("queue"),
    Type.Literal("split"),
    Type.Literal("size"),
    Type.Literal("sandbox"),
  ]),
  component: Type.Optional(Id),
  value: Type.Optional(Type.Number()),
  reason: Type.String(),
});
export const ComponentTriggered = event("component-triggered", {
  component: Id,
  name: Type.String(),
  parent: Type.Optional(Id),
  line: Type.Optional(Type.Integer()),
  depth: Type.Integer(),
  message_bytes: Type.Integer(),
});
/** It has a sandbox and a CPU. `image`: the sandbox had this image mapped already. */
export const ComponentStarted = event("component-started", { component: Id, sandbox: Type.Integer() });
/** It waits for children: its CPU is given back, its memory kept. */
export const ComponentWaiting = event("component-waiting", { component: Id });
export const ComponentResumed = event("component-resumed", { component: Id });
export const ComponentEnded = event("component-ended", {
  component: Id,
  outcome: Type.Union([
    Type.Literal("returned"),
    Type.Literal("raised"),
    Type.Literal("failed"),
    Type.Literal("cancelled"),
  ]),
  /** Private bytes of the sandbox when the component ended: pages copied from the image, heap growth, files. */
  local_bytes: Type.Number(),
  cpu_ms: Type.Number(),
  result_bytes: Type.Number({ description: "bytes of the result message, arrays excluded" }),
  error: Type.Optional(ErrorDocument),
});
export const Printed = event("printed", {
  component: Id,
  stream: Type.Union([Type.Literal("stdout"), Type.Literal("stderr")]),
  text: Type.String(),
});
export const MemoryMade = event("memory-made", {
  region: Type.Integer(),
  name: Type.String(),
  component: Id,
  bytes: Type.Number(),
  copied_bytes: Type.Number({
    description: "bytes copied into it at publication; 0 for remote.empty and remote.zeros",
  }),
});
export const MemoryFreed = event("memory-freed", { region: Type.Integer() });
export const SandboxMade = event("sandbox-made", {
  sandbox: Type.Integer(),
  ms: Type.Number(),
  reason: Type.Optional(Type.String()),
});
export const SandboxReset = event("sandbox-reset", {
  sandbox: Type.Integer(),
  ms: Type.Number(),
  dirty_pages: Type.Integer(),
});
export const SandboxDiscarded = event("sandbox-discarded", { sandbox: Type.Integer(), reason: Type.String() });
export const RunEnded = event("run-ended", {
  outcome: Type.Union([Type.Literal("returned"), Type.Literal("failed"), Type.Literal("cancelled")]),
  error: Type.Optional(ErrorDocument),
});

export const RunEvent = Type.Union([
  RunAccepted,
  Decided,
  ComponentTriggered,
  ComponentStarted,
  ComponentWaiting,
  ComponentResumed,
  ComponentEnded,
  Printed,
  MemoryMade,
  MemoryFreed,
  SandboxMade,
  SandboxReset,
  SandboxDiscarded,
  RunEnded,
]);
export type RunEvent = Static<typeof RunEvent>;
export type EventOf<T extends RunEvent["type"]> = Extract<RunEvent, { type: T }>;

/** One physical component's resource over its span. */
export const Span = Type.Object(
  {
    kind: Type.Union([Type.Literal("compute"), Type.Literal("memory"), Type.Literal("image"), Type.Literal("idle")]),
    name: Type.String(),
    id: Type.Integer(),
    start_ms: Ms,
    end_ms: Ms,
    bytes: Type.Number(),
    cpu: Type.Number({ description: "CPUs held" }),
  },
  closed,
);
export type Span = Static<typeof Span>;

export const ReportRow = Type.Object(
  {
    kind: Type.String(),
    name: Type.String(),
    count: Type.Integer(),
    gb_s: Type.Number(),
    core_s: Type.Number(),
    peak_bytes: Type.Number(),
  },
  closed,
);
/** The sum of the spans, and beside it one function, sized for the run's peak, for the whole run. GB = 1e9 bytes. */
export const ResourceReport = Type.Object(
  {
    rows: Type.Array(ReportRow),
    total: Type.Object(
      { gb_s: Type.Number(), core_s: Type.Number(), peak_bytes: Type.Number(), peak_cpu: Type.Number() },
      closed,
    ),
    one_function: Type.Object({ gb_s: Type.Number(), core_s: Type.Number() }, closed),
    copied_bytes: Type.Number({ description: "at publication, each array once" }),
    message_bytes: Type.Number({ description: "between components, arrays excluded: those are mapped" }),
  },
  closed,
);
export type ResourceReport = Static<typeof ResourceReport>;

export const RunRecord = Type.Object(
  {
    format: Type.Literal(RUN_FORMAT),
    run: Type.String(),
    application: Type.String(),
    versions: Type.Record(Type.String(), Type.String()),
    /** rows → n of every `split` without n: CPython takes the same. */
    splits: Type.Record(Type.String(), Type.Integer()),
    events: Type.Array(RunEvent),
    report: ResourceReport,
  },
  { ...closed, $id: "sandloom-run-1", title: "Sandloom run record" },
);
export type RunRecord = Static<typeof RunRecord>;
