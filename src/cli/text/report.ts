/** The resource report as a table, with what one function would have held beside it. */
import type { ResourceReport } from "../../graph/events.ts";
import { type Paint, table } from "./paint.ts";
import { amountText, bytesText, durationText } from "./quantities.ts";

export function reportText(report: ResourceReport, wall_ms: number, paint: Paint): string {
  const { rows, total, one_function } = report;
  const cells = rows.map((row) => [
    row.name,
    row.kind,
    String(row.count),
    bytesText(row.peak_bytes),
    amountText(row.gb_s),
    row.kind === "compute" ? amountText(row.core_s) : "",
  ]);
  cells.push(
    ["total", "", "", bytesText(total.peak_bytes), amountText(total.gb_s), amountText(total.core_s)].map((cell) =>
      paint("bold", cell),
    ),
    ["one function", "", "", "", amountText(one_function.gb_s), amountText(one_function.core_s)],
  );
  const columns = [
    { title: "component" },
    { title: "kind" },
    { title: "count", align: "right" },
    { title: "peak", align: "right" },
    { title: "GB·s", align: "right" },
    { title: "core·s", align: "right" },
  ] as const;
  return [table(columns, cells, paint), comparison(report, wall_ms, paint), copies(report)].join("\n");
}

function comparison({ total, one_function }: ResourceReport, wall_ms: number, paint: Paint): string {
  const box = `${bytesText(wall_ms > 0 ? (one_function.gb_s * 1e12) / wall_ms : 0)} and ${cpusText(wall_ms > 0 ? (one_function.core_s * 1e3) / wall_ms : 0)}`;
  const memory = ratioText(one_function.gb_s, total.gb_s);
  const cpu = ratioText(one_function.core_s, total.core_s);
  return `one function of ${box}, held for ${durationText(wall_ms)}: ${paint("bold", memory)} the memory and ${paint("bold", cpu)} the CPU`;
}

function copies(report: ResourceReport): string {
  const published = `copied at publication: ${bytesText(report.copied_bytes)}`;
  return `${published} · in messages between components: ${bytesText(report.message_bytes)} (arrays are mapped, not copied)`;
}

function cpusText(cpus: number): string {
  const rounded = Math.round(cpus * 100) / 100;
  return `${rounded} CPU${rounded === 1 ? "" : "s"}`;
}

function ratioText(one: number, total: number): string {
  return total > 0 ? `${(one / total).toFixed(1)}×` : "as much as";
}
