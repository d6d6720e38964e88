/** The table that a person reads. */
import type { Figure, Target } from "./bench.ts";
import type { Machine } from "./machine.ts";

export interface Result {
  readonly format: "sandloom-bench/1";
  readonly at: string;
  readonly quick: boolean;
  readonly machine: Machine;
  readonly load_before: readonly number[];
  readonly load_after: readonly number[];
  readonly peers: Readonly<Record<string, string>>;
  readonly not_measured: readonly string[];
  readonly figures: readonly Figure[];
}

const number = (value: number): string =>
  value === 0
    ? "0"
    : Math.abs(value) >= 100
      ? value.toFixed(0)
      : Math.abs(value) >= 10
        ? value.toFixed(1)
        : value.toFixed(2);

const HEAD = ["", "p50", "p99", "min", "max", "n", "unit", "target", "", "ratio to peers"];

export function tableText(result: Result, titles: ReadonlyMap<string, string>): string {
  const rows = result.figures.map(cells);
  const widths = HEAD.map((head, column) => Math.max(head.length, ...rows.map((row) => row[column]?.length ?? 0)));
  const line = (texts: readonly string[]): string =>
    texts
      .map((text, column) =>
        column === 0 || column > 5 ? text.padEnd(widths[column] ?? 0) : text.padStart(widths[column] ?? 0),
      )
      .join("  ")
      .trimEnd();
  const lines = [line(HEAD)];
  let row = "";
  result.figures.forEach((shown, i) => {
    if (shown.row !== row) lines.push("", titles.get(shown.row) ?? shown.row);
    row = shown.row;
    lines.push(line(rows[i] as string[]));
  });
  return [...lines, "", ...aboutText(result)].join("\n");
}

function cells({ what, unit, summary, target, target_p99, ratios }: Figure): string[] {
  const { n, min, p50, p99, max } = summary;
  return [
    `  ${what}`,
    ...[p50, p99, min, max].map(number),
    String(n),
    unit,
    [target ? boundText(target) : "", target_p99 ? `p99 ${boundText(target_p99)}` : ""].filter(Boolean).join(", "),
    metText(target, target_p99),
    Object.entries(ratios ?? {})
      .map(([peer, ratio]) => `${number(ratio)} x ${peer}`)
      .join(", "),
  ];
}

const boundText = ({ bound, at_least }: Target): string => `${at_least ? ">=" : "<="} ${number(bound)}`;

function metText(target: Target | undefined, target_p99: Target | undefined): string {
  if (!target && !target_p99) return "";
  const missed = [target?.met === false ? ["p50"] : [], target_p99?.met === false ? ["p99"] : []].flat();
  if (missed.length === 0) return "met";
  return target_p99 ? `MISSED (${missed.join(", ")})` : "MISSED";
}

function aboutText({ machine, load_before, load_after, peers, quick, not_measured }: Result): string[] {
  const versions = Object.entries({ ...machine.versions, ...peers });
  return [
    ...not_measured.map((line) => `Not measured: ${line}`),
    "Ratios: the median over the rounds of this figure / the peer's. p99 of fewer than 100 measurements lies next to their maximum.",
    `${machine.cpus} CPUs (${machine.cpu}), ${(machine.memory_bytes / 1e9).toFixed(0)} GB; load average ${load_before[0]} before, ${load_after[0]} after${busy(load_before, machine.cpus)}`,
    versions.map(([name, version]) => `${name} ${version}`).join(", "),
    ...(quick ? ["A quick run: too few rounds for any of these to be quoted."] : []),
  ];
}

function busy(load_before: readonly number[], cpus: number): string {
  const [minute = 0] = load_before;
  return minute > cpus / 2 ? " (the machine was BUSY with other work: the figures are too high)" : "";
}
