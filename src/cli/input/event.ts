/** The event of a run from `--event` and `--set`. */
import { readFileSync } from "node:fs";
import { BadInput } from "../../graph/errors.ts";

/** What may be read besides the command line itself. */
export interface EventSources {
  /** Relative to which `@file` is meant. */
  readonly cwd: string;
  readStdin(): Promise<string>;
}

/** `spec`: JSON, `@file` or `-`; `{}` when absent. `sets`: `key=value`, applied in their order. */
export async function readEvent(
  spec: string | undefined,
  sets: readonly string[],
  sources: EventSources,
): Promise<unknown> {
  const event = spec === undefined ? {} : await parseSpec(spec, sources);
  return sets.reduce(applySet, event);
}

async function parseSpec(spec: string, sources: EventSources): Promise<unknown> {
  if (spec === "-") return parseJson(await sources.readStdin(), "standard input");
  if (!spec.startsWith("@")) return parseJson(spec, "--event");
  const { resolve } = await import("node:path");
  const name = spec.slice(1);
  if (name === "") throw new BadInput("--event @ names no file: write --event @event.json");
  return parseJson(readText(resolve(sources.cwd, name), name), name);
}

function readText(path: string, name: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    const why =
      code === "ENOENT" ? "there is no such file" : code === "EISDIR" ? "it is a folder" : (error as Error).message;
    throw new BadInput(`--event @${name}: ${why}`, { file: name });
  }
}

/** JSON with an error that shows the place. `where` names the text to the person. */
export function parseJson(text: string, where: string): unknown {
  const source = text.startsWith("\uFEFF") ? text.slice(1) : text;
  if (source.trim() === "") throw new BadInput(`${where} is empty, and an event is JSON: write {} for none`);
  try {
    return JSON.parse(source);
  } catch (error) {
    const position = errorPosition(source, error as SyntaxError);
    const before = source.slice(0, position).split("\n");
    const line = before.length;
    const column = before.at(-1)!.length + 1;
    const { excerpt, caret } = excerptOf(source.split("\n")[line - 1] ?? "", column);
    const message = `${where} is not JSON: ${complaintOf(source, position)} at line ${line}, column ${column}\n  ${excerpt}\n  ${caret}`;
    throw new BadInput(message, { where, line, column, position });
  }
}

function complaintOf(source: string, position: number): string {
  if (position >= source.length) return "it ends too early";
  const character = source[position]!;
  const hint = character === "'" ? " (JSON has double quotes)" : "";
  return `${JSON.stringify(character)} is not expected${hint}`;
}

/** A window of a long line around the column, and the caret under it. */
function excerptOf(line: string, column: number): { excerpt: string; caret: string } {
  const first = Math.max(0, column - 41);
  const excerpt = line.slice(first, first + 80).replaceAll(/\p{Cc}/gu, " ");
  return { excerpt, caret: `${" ".repeat(column - 1 - first)}^` };
}

/** V8 names the position in some messages only; where it does not, the shortest prefix that is wrong for another reason than its end tells. */
function errorPosition(source: string, error: SyntaxError): number {
  const named = positionIn(error.message);
  if (named !== undefined) return named;
  let good = 0;
  let wrong = source.length + 1;
  while (wrong - good > 1) {
    const middle = (good + wrong) >> 1;
    if (couldGoOn(source.slice(0, middle))) good = middle;
    else wrong = middle;
  }
  return good;
}

function couldGoOn(prefix: string): boolean {
  try {
    JSON.parse(prefix);
    return true;
  } catch (error) {
    const { message } = error as SyntaxError;
    return (
      message.includes("end of JSON") ||
      (positionIn(message) ?? -1) >= prefix.length ||
      message.startsWith("Unterminated")
    );
  }
}

function positionIn(message: string): number | undefined {
  const found = /at position (\d+)/.exec(message);
  return found ? Number(found[1]) : undefined;
}

type JsonObject = Record<string, unknown>;

/** `rounds=5`, `model.rate=0.1`, `name=x`: the value is JSON if it parses, else text. */
function applySet(event: unknown, set: string): unknown {
  const equals = set.indexOf("=");
  const path = equals < 0 ? set : set.slice(0, equals);
  const keys = path.split(".");
  if (equals < 0 || keys.includes("")) {
    throw new BadInput(`--set ${set}: write it as key=value, or outer.inner=value`, { set });
  }
  if (!isObject(event))
    throw new BadInput(`--set ${set}: the event is ${kindOf(event)}, and only an object has keys`, { set });
  let at: JsonObject = event;
  for (const [depth, key] of keys.slice(0, -1).entries()) {
    const inner = Object.hasOwn(at, key) ? at[key] : put(at, key, {});
    if (!isObject(inner)) {
      const reached = keys.slice(0, depth + 1).join(".");
      throw new BadInput(`--set ${set}: "${reached}" is ${kindOf(inner)}, and only an object has keys`, { set });
    }
    at = inner;
  }
  put(at, keys.at(-1)!, jsonOrText(set.slice(equals + 1)));
  return event;
}

/** Defined, not assigned: a key named `__proto__` is a key like any other. */
function put(object: JsonObject, key: string, value: unknown): unknown {
  Object.defineProperty(object, key, { value, writable: true, enumerable: true, configurable: true });
  return value;
}

function jsonOrText(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function kindOf(value: unknown): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return "an array";
  return `a ${typeof value}`;
}
