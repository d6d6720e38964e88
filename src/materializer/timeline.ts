/** When each component ran, in which sandbox, and when it waited for children. */
import type { EventOf, RunEvent } from "../graph/events.ts";

export interface TimelineRow {
  readonly component: number;
  readonly name: string;
  readonly sandbox: number;
  /** When it was triggered: until `start_ms` it was queued. */
  readonly triggered_ms: number;
  readonly start_ms: number;
  readonly end_ms: number;
  readonly waits: readonly { readonly start_ms: number; readonly end_ms: number }[];
  /** As in `component-ended`, or `unfinished` when the run ended first. */
  readonly outcome: EventOf<"component-ended">["outcome"] | "unfinished";
}

interface Open {
  readonly component: number;
  readonly name: string;
  readonly triggered_ms: number;
  sandbox: number;
  start_ms: number;
  end_ms: number | undefined;
  wait_start_ms: number | undefined;
  waits: { start_ms: number; end_ms: number }[];
  outcome: TimelineRow["outcome"];
}

/** One row for each component that started, in order of their starts. What never left the queue has no row. */
export function timelineOf(events: readonly RunEvent[]): TimelineRow[] {
  const triggered = new Map<number, EventOf<"component-triggered">>();
  const open = new Map<number, Open>();
  for (const event of events) {
    if (event.type === "component-triggered") triggered.set(event.component, event);
    else if (event.type === "component-started")
      open.set(event.component, started(event, triggered.get(event.component)));
    else if (event.type === "component-waiting") {
      const row = open.get(event.component);
      if (row) row.wait_start_ms = event.t_ms;
    } else if (event.type === "component-resumed") {
      const row = open.get(event.component);
      if (row) closeWait(row, event.t_ms);
    } else if (event.type === "component-ended") {
      const row = open.get(event.component);
      if (!row) continue;
      closeWait(row, event.t_ms);
      row.end_ms = event.t_ms;
      row.outcome = event.outcome;
    }
  }
  const end_ms = endOf(events);
  return [...open.values()].map((row) => {
    if (row.end_ms === undefined) closeWait(row, end_ms);
    const { component, name, sandbox, triggered_ms, start_ms, waits, outcome } = row;
    return { component, name, sandbox, triggered_ms, start_ms, end_ms: row.end_ms ?? end_ms, waits, outcome };
  });
}

/** The last instant that the events know: that of `run-ended` once it is there. */
export function endOf(events: readonly RunEvent[]): number {
  let end_ms = 0;
  for (const event of events) {
    if (event.type === "run-ended") return event.t_ms;
    end_ms = Math.max(end_ms, event.t_ms);
  }
  return end_ms;
}

function started(event: EventOf<"component-started">, trigger: EventOf<"component-triggered"> | undefined): Open {
  return {
    component: event.component,
    name: trigger?.name ?? `component ${event.component}`,
    triggered_ms: trigger?.t_ms ?? event.t_ms,
    sandbox: event.sandbox,
    start_ms: event.t_ms,
    end_ms: undefined,
    wait_start_ms: undefined,
    waits: [],
    outcome: "unfinished",
  };
}

function closeWait(row: Open, t_ms: number): void {
  if (row.wait_start_ms === undefined) return;
  row.waits.push({ start_ms: row.wait_start_ms, end_ms: t_ms });
  row.wait_start_ms = undefined;
}
