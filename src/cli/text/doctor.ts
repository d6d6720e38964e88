/** What `sandloom doctor` found, as text. */
import type { Check, Doctor } from "../../cluster/api.ts";
import { padEnd, type Paint } from "./paint.ts";

const MARKS: Readonly<Record<Check["status"], readonly [string, "green" | "yellow" | "red"]>> = {
  ok: ["✓", "green"],
  degraded: ["!", "yellow"],
  missing: ["✗", "red"],
};

export function doctorText({ checks }: Doctor, paint: Paint): string {
  const width = Math.max(0, ...checks.map((check) => check.name.length));
  const lines = checks.flatMap((check) => {
    const [mark, colour] = MARKS[check.status];
    const more = (label: string, text: string | undefined): string[] =>
      text === undefined || check.status === "ok" ? [] : [`${" ".repeat(width + 4)}${paint("dim", label)} ${text}`];
    return [
      `${paint(colour, mark)} ${padEnd(check.name, width)}  ${check.found}`,
      ...more("costs:", check.costs),
      ...more("get it:", check.get),
    ];
  });
  return [...lines, "", verdict(checks, paint)].join("\n");
}

function verdict(checks: readonly Check[], paint: Paint): string {
  const missing = checks.filter((check) => check.status === "missing");
  if (missing.length > 0) {
    return paint(
      "red",
      `Sandloom does not run on this machine as it is: ${missing.map((check) => check.name).join(", ")}.`,
    );
  }
  const degraded = checks.filter((check) => check.status === "degraded").length;
  if (degraded > 0)
    return `Sandloom runs on this machine, with ${degraded} thing${degraded === 1 ? "" : "s"} less good than it could be.`;
  return paint("green", "Sandloom runs on this machine with all it can use.");
}
