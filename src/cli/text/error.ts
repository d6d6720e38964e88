/** An error as one block: code, what went wrong, where, and what to do. */
import { type GuestFrame, SandloomError } from "../../graph/errors.ts";
import { harmless, indent, type Paint } from "./paint.ts";
import { bytesText, countText, durationText } from "./quantities.ts";

export interface ErrorContext {
  readonly paint: Paint;
  /** A line of the user's source, when it can be read. */
  sourceLine(file: string, line: number): string | undefined;
}

/** A place that the compiler refuses, as `details.refusals` of `CompileRefused` lists them. */
export interface RefusalShown {
  readonly file: string;
  readonly line: number;
  readonly column: number;
  readonly rule: string;
  readonly message: string;
  readonly fix?: string;
}

export function errorText(error: unknown, context: ErrorContext): string {
  const { paint } = context;
  if (!(error instanceof SandloomError)) {
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    return [
      headline("InternalError", "a defect of Sandloom", paint),
      indent(harmless(text), "  "),
      adviceLine(ADVICE["InternalError"]!, paint),
    ].join("\n");
  }
  const refusals = error.code === "CompileRefused" ? refusalsOf(error) : [];
  // The message of a refusal lists the same places without their source.
  const message = refusals.length > 0 ? `${countText(refusals.length, "place")} cannot be compiled` : error.message;
  const lines = [headline(error.code, harmless(message), paint)];
  lines.push(...refusals.map((refusal) => refusalText(refusal, context)));
  const frames = framesOf(error);
  if (frames.length > 0) lines.push(tracebackText(error, frames, context));
  const limit = limitText(error);
  if (limit) lines.push(`  ${limit}`);
  const advice = adviceOf(error);
  if (advice) lines.push(adviceLine(advice, paint));
  return lines.join("\n");
}

function headline(code: string, message: string, paint: Paint): string {
  const [first = "", ...rest] = message.split("\n");
  return [`${paint(["bold", "red"], code)}: ${first}`, ...rest.map((line) => `  ${line}`)].join("\n");
}

function adviceLine(advice: string, paint: Paint): string {
  return `  ${paint("cyan", "→")} ${advice}`;
}

function refusalText(refusal: RefusalShown, context: ErrorContext): string {
  const { paint } = context;
  const place = `${refusal.file}:${refusal.line}:${refusal.column}`;
  const lines = ["", `${paint("bold", place)} ${paint("yellow", refusal.rule)} ${harmless(refusal.message)}`];
  const source = context.sourceLine(refusal.file, refusal.line);
  if (source !== undefined) {
    // Tabs before the column stay tabs, so that the caret stands under it whatever a tab's width is.
    const before = Array.from(source)
      .slice(0, refusal.column - 1)
      .join("")
      .replaceAll(/[^\t]/gu, " ");
    lines.push(`    ${harmless(source)}`, `    ${before}${paint("red", "^")}`);
  }
  if (refusal.fix) lines.push(adviceLine(harmless(refusal.fix), paint));
  return lines.join("\n");
}

/** As Python writes it, with the frames of the user's own files. */
function tracebackText(error: SandloomError, frames: readonly GuestFrame[], context: ErrorContext): string {
  const component = error.details["component"];
  const where = typeof component === "string" || typeof component === "number" ? ` in component ${component}` : "";
  const lines = [`Traceback (most recent call last)${where}:`];
  for (const frame of frames) {
    lines.push(`  File "${context.paint("cyan", frame.file)}", line ${frame.line}, in ${frame.function}`);
    // Python may have seen the line as the compiler lowered it.
    const text = context.sourceLine(frame.file, frame.line) ?? frame.text;
    if (text?.trim()) lines.push(`    ${harmless(text.trim())}`);
  }
  const { type, message } = error.details;
  if (typeof type === "string")
    lines.push(typeof message === "string" && message !== "" ? `${type}: ${harmless(message)}` : type);
  return indent(lines.join("\n"), "  ");
}

/** `limit memory_bytes: 4.29 GB; wanted 5.00 GB`. */
function limitText(error: SandloomError): string | undefined {
  const { limit, bound, value } = error.details;
  if (typeof limit !== "string" || typeof bound !== "number") return undefined;
  const unit = limit.endsWith("_bytes") ? bytesText : limit.endsWith("_ms") ? durationText : String;
  const got = typeof value === "number" ? `; this would have been ${unit(value)}` : "";
  return `the limit ${limit} is ${unit(bound)}${got}`;
}

/** For errors whose message does not say itself what to do. */
const ADVICE: Readonly<Record<string, string>> = {
  MemoryCapExceeded: "raise the cap with --memory, or let memory components go (del) before making others",
  FabricFull: "the machine has no more memory for memory components: free some, or run with less data at a time",
  WindowFull:
    "one sandbox can map a limited range at a time: split() the array, or let go of what the component no longer uses",
  HeapCapExceeded:
    "the component's own heap is full: split() its input into more parts, or keep large arrays in remote()",
  ExecutorDied:
    "the process that held the run's sandboxes ended: 'sandloom doctor' checks the machine, --keep keeps its log",
  Unsupported: "'sandloom doctor' says what is missing and how to get it",
  InternalError: "please report it, with the program and this text",
};

function adviceOf(error: SandloomError): string | undefined {
  const fix = error.details["fix"];
  return typeof fix === "string" ? fix : ADVICE[error.code];
}

function framesOf(error: SandloomError): GuestFrame[] {
  const { frames } = error.details;
  return Array.isArray(frames) ? (frames as GuestFrame[]).filter((frame) => typeof frame?.file === "string") : [];
}

function refusalsOf(error: SandloomError): RefusalShown[] {
  const { refusals } = error.details;
  return Array.isArray(refusals) ? (refusals as RefusalShown[]) : [];
}
