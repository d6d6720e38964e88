/** When each component ran: a bar a component over the run's time. */
import type { TimelineRow } from "../../cluster/api.ts";
import { padEnd, padStart, type Paint, widthOf } from "./paint.ts";

/** Beyond this many rows the first and the last stand for all: `run.json` has them. */
const MOST_ROWS = 40;
const NARROWEST_BAR = 20;
const RUNS = "█";
const WAITS = "░";
const QUEUED = "·";

export function timelineText(rows: readonly TimelineRow[], o: { columns: number; paint: Paint }): string {
  if (rows.length === 0) return "no component started";
  const shown = rows.length <= MOST_ROWS ? rows : [...rows.slice(0, MOST_ROWS / 2), ...rows.slice(-MOST_ROWS / 2)];
  const end_ms = Math.max(...rows.map((row) => row.end_ms));
  const labels = shown.map((row) => `${row.name}#${row.component}`);
  const sandboxes = shown.map((row) => `s${row.sandbox}`);
  const times = shown.map((row) => timesText(row, end_ms));
  const labelWidth = widest(labels);
  const sandboxWidth = widest(sandboxes);
  const timesWidth = widest(times);
  const room = o.columns - labelWidth - sandboxWidth - timesWidth - 8;
  const barWidth = Math.max(NARROWEST_BAR, Math.min(100, room));
  const lines = shown.map((row, at) => {
    const mark =
      row.outcome === "returned" ? " " : row.outcome === "cancelled" ? o.paint("yellow", "–") : o.paint("red", "✗");
    const bar = paintBar(barOf(row, end_ms, barWidth), row, o.paint);
    return `${padEnd(labels[at]!, labelWidth)}  ${padEnd(sandboxes[at]!, sandboxWidth)}  ${bar} ${mark} ${padStart(times[at]!, timesWidth)}`;
  });
  if (shown.length < rows.length) {
    const left = rows.length - shown.length;
    lines.splice(MOST_ROWS / 2, 0, o.paint("dim", `… ${left.toLocaleString("en")} more components are in run.json …`));
  }
  lines.push(o.paint("dim", `${RUNS} runs  ${WAITS} waits for components  ${QUEUED} queued   s1: the sandbox`));
  return lines.join("\n");
}

/** One character for each slice of the run: what took most of it. A component that is shorter than a slice still shows. */
export function barOf(row: TimelineRow, end_ms: number, width: number): string {
  const slice_ms = end_ms / width || 1;
  const cells = Array.from({ length: width }, (_, at) => {
    const slice = { start_ms: at * slice_ms, end_ms: (at + 1) * slice_ms };
    const waits_ms = row.waits.reduce((sum, wait) => sum + overlap(wait, slice), 0);
    const runs_ms = overlap(row, slice) - waits_ms;
    const queued_ms = overlap({ start_ms: row.triggered_ms, end_ms: row.start_ms }, slice);
    const most = Math.max(waits_ms, runs_ms, queued_ms);
    // Less than a twentieth of a slice is not seen at this scale.
    if (most < slice_ms / 20) return " ";
    if (most === runs_ms) return RUNS;
    return most === waits_ms ? WAITS : QUEUED;
  });
  if (!cells.includes(RUNS)) cells[Math.min(width - 1, Math.floor(row.start_ms / slice_ms))] = RUNS;
  return cells.join("");
}

function paintBar(bar: string, row: TimelineRow, paint: Paint): string {
  const colour =
    row.outcome === "returned" ? "green" : row.outcome === "raised" || row.outcome === "failed" ? "red" : "yellow";
  return bar.replaceAll(/█+|[░·]+/g, (part) => paint(part.startsWith(RUNS) ? colour : "dim", part));
}

/** `start–end ms`, or seconds when the run is long; all of one unit. */
function timesText(row: TimelineRow, end_ms: number): string {
  if (end_ms >= 10_000) return `${(row.start_ms / 1_000).toFixed(2)}–${(row.end_ms / 1_000).toFixed(2)} s`;
  return `${row.start_ms.toFixed(1)}–${row.end_ms.toFixed(1)} ms`;
}

interface Range {
  readonly start_ms: number;
  readonly end_ms: number;
}

function overlap(a: Range, b: Range): number {
  return Math.max(0, Math.min(a.end_ms, b.end_ms) - Math.max(a.start_ms, b.start_ms));
}

function widest(texts: readonly string[]): number {
  return Math.max(...texts.map(widthOf));
}
