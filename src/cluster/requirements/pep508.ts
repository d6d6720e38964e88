/** Requirements as PEP 508 writes them: `name[extra] >=1,<2 ; marker`. URLs are not taken: what is loaded comes from the index. */
import { satisfies, valid, validRange } from "@renovatebot/pep440";
import { RequirementRefused, type SandloomError } from "../../graph/errors.ts";

export interface Requirement {
  /** As it was written. */
  readonly text: string;
  readonly name: string;
  /** The name as all its spellings compare (PEP 503): `Foo.Bar_baz` is `foo-bar-baz`. */
  readonly key: string;
  readonly extras: readonly string[];
  /** PEP 440; empty: any version. */
  readonly specifier: string;
  readonly marker: Marker | undefined;
}

type MarkerValue = { readonly variable: string } | { readonly literal: string };
export type Marker =
  | { readonly op: "and" | "or"; readonly left: Marker; readonly right: Marker }
  | { readonly op: "compare"; readonly compare: string; readonly left: MarkerValue; readonly right: MarkerValue };

/** What a sandbox is, in the words of PEP 508. */
export const SANDBOX: Readonly<Record<string, string>> = {
  os_name: "posix",
  sys_platform: "emscripten",
  platform_system: "Emscripten",
  platform_machine: "wasm32",
  platform_release: "5.0.3",
  platform_version: "",
  platform_python_implementation: "CPython",
  implementation_name: "cpython",
  implementation_version: "3.14.2",
  python_version: "3.14",
  python_full_version: "3.14.2",
};

export const nameKey = (name: string): string => name.toLowerCase().replaceAll(/[-_.]+/g, "-");

const NAME = /^[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?/;
const SPECIFIER = /^(?:===|~=|==|!=|<=|>=|<|>)\s*[^\s,;)#]+/;
/** Nesting of a marker's parentheses. */
const MAX_DEPTH = 20;

/** @throws RequirementRefused for what is not a requirement, or asks for what is not done */
export function parseRequirement(text: string): Requirement {
  const reader = new Reader(text);
  const name = reader.take(NAME);
  if (name === undefined) throw malformed(text, "it begins with no package name");
  const extras = reader.extras();
  if (reader.take(/^@/) !== undefined)
    throw malformed(
      text,
      "it names a URL or path: packages come from the package index or a folder of wheels, by name",
    );
  const specifier = reader.specifier();
  const marker = reader.take(/^;/) === undefined ? undefined : reader.marker(0);
  if (!reader.ended) throw malformed(text, `${JSON.stringify(reader.rest.slice(0, 40))} is not understood`);
  if (specifier !== "" && !validRange(specifier))
    throw malformed(text, `${JSON.stringify(specifier)} is no version specifier of PEP 440`);
  return { text, name, key: nameKey(name), extras, specifier, marker };
}

const malformed = (text: string, why: string): SandloomError =>
  new RequirementRefused(`the requirement ${JSON.stringify(text.slice(0, 200))} cannot be read: ${why}`, {
    requirement: text.slice(0, 200),
    reason: "malformed",
  });

class Reader {
  readonly text: string;
  rest: string;

  constructor(text: string) {
    this.text = text;
    this.rest = text.trim();
  }

  get ended(): boolean {
    return this.rest === "";
  }

  take(pattern: RegExp): string | undefined {
    const found = pattern.exec(this.rest)?.[0];
    if (found === undefined) return undefined;
    this.rest = this.rest.slice(found.length).trimStart();
    return found;
  }

  extras(): string[] {
    if (this.take(/^\[/) === undefined) return [];
    const found = new Set<string>();
    while (this.take(/^\]/) === undefined) {
      const extra = this.take(NAME);
      if (extra === undefined) throw malformed(this.text, "the list of extras does not end");
      found.add(nameKey(extra));
      this.take(/^,/);
    }
    return [...found].toSorted();
  }

  specifier(): string {
    const inside = this.take(/^\(/) !== undefined;
    const parts: string[] = [];
    for (let part = this.take(SPECIFIER); part !== undefined; part = this.take(SPECIFIER)) {
      parts.push(part.replaceAll(/\s+/g, ""));
      if (this.take(/^,/) === undefined) break;
    }
    if (inside && this.take(/^\)/) === undefined) throw malformed(this.text, "a parenthesis is not closed");
    return parts.join(",");
  }

  marker(depth: number): Marker {
    let left = this.#both(depth);
    while (this.take(/^or\b/) !== undefined) left = { op: "or", left, right: this.#both(depth) };
    return left;
  }

  #both(depth: number): Marker {
    let left = this.#single(depth);
    while (this.take(/^and\b/) !== undefined) left = { op: "and", left, right: this.#single(depth) };
    return left;
  }

  #single(depth: number): Marker {
    if (depth > MAX_DEPTH) throw malformed(this.text, `its marker nests deeper than ${MAX_DEPTH}`);
    if (this.take(/^\(/) !== undefined) {
      const inner = this.marker(depth + 1);
      if (this.take(/^\)/) === undefined) throw malformed(this.text, "a parenthesis of its marker is not closed");
      return inner;
    }
    const left = this.#value();
    const compare = this.take(/^(?:===|~=|==|!=|<=|>=|<|>|not\s+in\b|in\b)/);
    if (compare === undefined) throw malformed(this.text, "its marker has no comparison");
    return { op: "compare", compare: compare.replace(/\s+/, " "), left, right: this.#value() };
  }

  #value(): MarkerValue {
    const quoted = this.take(/^(?:"[^"]*"|'[^']*')/);
    if (quoted !== undefined) return { literal: quoted.slice(1, -1) };
    // os.name and the like are the old spelling.
    const variable = this.take(/^[a-z_]+(?:\.[a-z_]+)?/)?.replace(".", "_");
    const known = variable === "python_implementation" ? "platform_python_implementation" : variable;
    if (known === undefined || !(known === "extra" || Object.hasOwn(SANDBOX, known)))
      throw malformed(this.text, `its marker names ${variable ?? "nothing"}, which PEP 508 does not know`);
    return { variable: known };
  }
}

/** Whether the requirement applies in a sandbox, for one extra (empty: for none). */
export function applies({ marker }: Requirement, extra: string): boolean {
  return marker === undefined || holds(marker, extra);
}

function holds(marker: Marker, extra: string): boolean {
  if (marker.op !== "compare") {
    const left = holds(marker.left, extra);
    return marker.op === "and" ? left && holds(marker.right, extra) : left || holds(marker.right, extra);
  }
  const isExtra = [marker.left, marker.right].some((side) => "variable" in side && side.variable === "extra");
  const value = (side: MarkerValue): string => {
    const text = "literal" in side ? side.literal : side.variable === "extra" ? extra : (SANDBOX[side.variable] ?? "");
    return isExtra ? nameKey(text) : text;
  };
  const [left, right] = [value(marker.left), value(marker.right)];
  if (marker.compare === "in") return right.includes(left);
  if (marker.compare === "not in") return !right.includes(left);
  // By version where both are, as PEP 508 has it; else as text.
  if (!isExtra && valid(left) !== null && validRange(`${marker.compare}${right}`))
    return satisfies(left, `${marker.compare}${right}`, { prereleases: true });
  switch (marker.compare) {
    case "==":
    case "===":
      return left === right;
    case "!=":
      return left !== right;
    case "<":
      return left < right;
    case "<=":
      return left <= right;
    case ">":
      return left > right;
    case ">=":
      return left >= right;
    default:
      return false;
  }
}
