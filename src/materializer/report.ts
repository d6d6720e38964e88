/**
 * What a run held, and for how long: spans from the events, and the report as the sum of the spans. Nothing is estimated; a
 * resource that no event names is not in the report.
 */
import type { EventOf, ResourceReport, RunEvent, Span } from "../graph/events.ts";
import { endOf, timelineOf, type TimelineRow } from "./timeline.ts";

const GB = 1e9;
const MS_PER_S = 1_000;
/** `sandbox-reset` counts pages of the kernel, as pagemap does. */
const PAGE_BYTES = 4_096;

/** CPUs that a component holds while it runs, unless the decision that admitted it says another number in `value`. */
const DEFAULT_CPUS = 1;

/**
 * The spans of a run. A compute component has one per stretch of running (CPU and memory) and one per wait (memory only: the
 * CPU is given back). Its memory is what its sandbox held of its own when it ended, for all of its life. An idle sandbox counts
 * when this run caused it: from its making on if it was made for the run, and in any case until it is reset.
 */
export function spansOf(events: readonly RunEvent[], options: { image_bytes: number }): Span[] {
  const end_ms = endOf(events);
  const spans: Span[] = [];
  if (options.image_bytes > 0 && end_ms > 0) {
    spans.push({ kind: "image", name: "image", id: 0, start_ms: 0, end_ms, bytes: options.image_bytes, cpu: 0 });
  }
  spans.push(...computeSpans(events), ...memorySpans(events, end_ms), ...idleSpans(events, end_ms));
  // What is freed or reset after the end was held until the end as far as this run goes.
  return spans
    .map((span) => ({ ...span, end_ms: Math.min(span.end_ms, end_ms) }))
    .filter((span) => span.end_ms > span.start_ms);
}

export function reportOf(events: readonly RunEvent[], options: { image_bytes: number }): ResourceReport {
  const spans = spansOf(events, options);
  const groups = new Map<string, Span[]>();
  for (const span of spans) {
    const key = `${span.kind} ${span.name}`;
    const group = groups.get(key);
    if (group) group.push(span);
    else groups.set(key, [span]);
  }
  const rows = [...groups.values()].map(rowOf);
  // A function has no second sandbox that idles: its box is sized for what is in use.
  const used = spans.filter((span) => span.kind !== "idle");
  const wall_s = endOf(events) / MS_PER_S;
  return {
    rows,
    total: {
      gb_s: gigabyteSeconds(spans),
      core_s: coreSeconds(spans),
      peak_bytes: peakOf(spans, "bytes"),
      peak_cpu: peakOf(spans, "cpu"),
    },
    one_function: { gb_s: (peakOf(used, "bytes") / GB) * wall_s, core_s: peakOf(used, "cpu") * wall_s },
    copied_bytes: sum(ofType(events, "memory-made").map((event) => event.copied_bytes)),
    message_bytes: messageBytes(events),
  };
}

function computeSpans(events: readonly RunEvent[]): Span[] {
  const ended = new Map(ofType(events, "component-ended").map((event) => [event.component, event]));
  const cpus = new Map<number, number>();
  for (const event of ofType(events, "decided")) {
    if (event.what === "admit" && event.component !== undefined && event.value !== undefined)
      cpus.set(event.component, event.value);
  }
  return timelineOf(events).flatMap((row) =>
    stretchesOf(row).map(({ start_ms, end_ms, runs }): Span => ({
      kind: "compute",
      name: row.name,
      id: row.component,
      start_ms,
      end_ms,
      bytes: ended.get(row.component)?.local_bytes ?? 0,
      cpu: runs ? (cpus.get(row.component) ?? DEFAULT_CPUS) : 0,
    })),
  );
}

/** A component's life, cut where it begins to wait and where it goes on. */
function stretchesOf(row: TimelineRow): { start_ms: number; end_ms: number; runs: boolean }[] {
  const stretches: { start_ms: number; end_ms: number; runs: boolean }[] = [];
  let at_ms = row.start_ms;
  for (const wait of row.waits) {
    stretches.push({ start_ms: at_ms, end_ms: wait.start_ms, runs: true }, { ...wait, runs: false });
    at_ms = wait.end_ms;
  }
  stretches.push({ start_ms: at_ms, end_ms: row.end_ms, runs: true });
  return stretches.filter((stretch) => stretch.end_ms > stretch.start_ms);
}

function memorySpans(events: readonly RunEvent[], end_ms: number): Span[] {
  const open = new Map<number, EventOf<"memory-made">>();
  const spans: Span[] = [];
  const close = (made: EventOf<"memory-made">, at_ms: number): void => {
    spans.push({
      kind: "memory",
      name: made.name,
      id: made.region,
      start_ms: made.t_ms,
      end_ms: at_ms,
      bytes: made.bytes,
      cpu: 0,
    });
  };
  for (const event of events) {
    if (event.type === "memory-made") open.set(event.region, event);
    if (event.type !== "memory-freed") continue;
    const made = open.get(event.region);
    if (made) close(made, event.t_ms);
    open.delete(event.region);
  }
  for (const made of open.values()) close(made, end_ms);
  return spans;
}

function idleSpans(events: readonly RunEvent[], end_ms: number): Span[] {
  const spans: Span[] = [];
  const idle = new Map<number, { since_ms: number; bytes: number }>();
  const madeForRun = new Set<number>();
  const sandboxOf = new Map<number, number>();
  const stop = (sandbox: number, at_ms: number): void => {
    const since = idle.get(sandbox);
    idle.delete(sandbox);
    if (since === undefined || at_ms <= since.since_ms) return;
    spans.push({
      kind: "idle",
      name: "idle sandboxes",
      id: sandbox,
      start_ms: since.since_ms,
      end_ms: at_ms,
      bytes: since.bytes,
      cpu: 0,
    });
  };
  for (const event of events) {
    if (event.type === "sandbox-made") {
      madeForRun.add(event.sandbox);
      // Clean: all of its pages are still the image's.
      idle.set(event.sandbox, { since_ms: event.t_ms, bytes: 0 });
    } else if (event.type === "component-started") {
      sandboxOf.set(event.component, event.sandbox);
      stop(event.sandbox, event.t_ms);
    } else if (event.type === "component-ended") {
      const sandbox = sandboxOf.get(event.component);
      if (sandbox !== undefined) idle.set(sandbox, { since_ms: event.t_ms, bytes: event.local_bytes });
    } else if (event.type === "sandbox-reset") {
      stop(event.sandbox, event.t_ms);
      // Pages that were copied back stay the sandbox's own.
      if (madeForRun.has(event.sandbox)) {
        idle.set(event.sandbox, { since_ms: event.t_ms, bytes: event.dirty_pages * PAGE_BYTES });
      }
    } else if (event.type === "sandbox-discarded") stop(event.sandbox, event.t_ms);
  }
  for (const sandbox of idle.keys()) stop(sandbox, end_ms);
  return spans;
}

function rowOf(spans: readonly Span[]): ResourceReport["rows"][number] {
  const { kind, name } = spans[0]!;
  return {
    kind,
    name,
    count: new Set(spans.map((span) => span.id)).size,
    gb_s: gigabyteSeconds(spans),
    core_s: coreSeconds(spans),
    peak_bytes: peakOf(spans, "bytes"),
  };
}

function gigabyteSeconds(spans: readonly Span[]): number {
  return sum(spans.map((span) => (span.bytes / GB) * ((span.end_ms - span.start_ms) / MS_PER_S)));
}

function coreSeconds(spans: readonly Span[]): number {
  return sum(spans.map((span) => span.cpu * ((span.end_ms - span.start_ms) / MS_PER_S)));
}

/** The most that was held at one time. A span that ends when another starts does not overlap it. */
function peakOf(spans: readonly Span[], what: "bytes" | "cpu"): number {
  const changes = spans.flatMap((span) => [
    { at_ms: span.start_ms, by: span[what] },
    { at_ms: span.end_ms, by: -span[what] },
  ]);
  changes.sort((a, b) => a.at_ms - b.at_ms || a.by - b.by);
  let held = 0;
  let peak = 0;
  for (const change of changes) {
    held += change.by;
    peak = Math.max(peak, held);
  }
  return peak;
}

/** Messages are the only bytes that are copied between components: arrays in them are references. The entry's event and result are not among them. */
function messageBytes(events: readonly RunEvent[]): number {
  const inner = new Set<number>();
  let bytes = 0;
  for (const event of events) {
    if (event.type === "component-triggered" && event.parent !== undefined) {
      inner.add(event.component);
      bytes += event.message_bytes;
    } else if (event.type === "component-ended" && inner.has(event.component)) bytes += event.result_bytes;
  }
  return bytes;
}

function ofType<T extends RunEvent["type"]>(events: readonly RunEvent[], type: T): EventOf<T>[] {
  return events.filter((event): event is EventOf<T> => event.type === type);
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
