/** Generated programs mean the same as written and as lowered (see meaning.test.ts for how both are run). */
import { join } from "node:path";
import { expect, test } from "vitest";
import { compiled, runPython } from "./compiling.ts";

const PROGRAMS = 300;

const PRELUDE = `from sandloom import split


@split
def double(x, by=2):
    return x * by


@split
def check(x):
    if x < 0:
        raise ValueError(f"negative: {x}")
    return x + 1


@split
def nested(x, y=1):
    a = double(x)
    b = check(y)
    return sum(double(i) for i in range(a % 3)) + a - b


`;

/** A small generator with a seed: the same programs in every run. */
class Generator {
  #state: number;
  #names = 0;
  readonly #scope: string[] = ["n"];

  constructor(seed: number) {
    this.#state = seed * 2654435761 + 1;
  }

  #below(limit: number): number {
    this.#state = (Math.imul(this.#state, 1664525) + 1013904223) >>> 0;
    return Math.floor((this.#state / 2 ** 32) * limit);
  }

  #pick<T>(items: readonly T[]): T {
    return items[this.#below(items.length)] as T;
  }

  #name(): string {
    return `v${this.#names++}`;
  }

  /** Space between tokens inside brackets: sometimes a line end, a comment, a letter of two UTF-16 units. */
  #gap(): string {
    return this.#pick(["", "", "", "", " ", "\n", "  # 🙂 (\n\t "]);
  }

  #atom(): string {
    const chosen = this.#below(10);
    if (chosen < 4) return String(this.#below(5));
    if (chosen < 5) return `(${-this.#below(4)})`;
    if (chosen < 6) return `event[${this.#below(5)}]`;
    return this.#pick(this.#scope);
  }

  #call(depth: number): string {
    const gap = this.#gap();
    const arg = this.#expression(depth - 1);
    switch (this.#below(5)) {
      case 0:
        return `check(${gap}${arg})`;
      case 1:
        return `double(${arg},${gap} by=${this.#atom()})`;
      case 2:
        return `nested(${arg},${gap}${this.#atom()},${gap})`;
      case 3:
        return `(${gap}double)(${arg})`;
      default:
        return `double(${arg}${gap})`;
    }
  }

  #comprehension(depth: number): string {
    const name = this.#name();
    const before = this.#scope.length;
    const first = this.#pick([
      "event",
      "range(3)",
      `[${this.#expression(1)}, ${this.#expression(1)}]`,
      "stream()",
      "zip(event)",
    ]);
    this.#scope.push(name);
    const target = first === "zip(event)" ? `(${name},)` : name;
    let clause = `${this.#gap()} for ${target} in${this.#gap()} ${first}`;
    if (this.#below(4) === 0) {
      const second = this.#name();
      clause += ` for ${second} in range(${name} % 3)`;
      this.#scope.push(second);
    }
    if (this.#below(4) === 0) clause += ` if${this.#gap()} ${this.#expression(this.#below(3))}`;
    const element = `${this.#gap()}${this.#expression(depth - 1)}`;
    const shape = this.#below(6);
    const key = this.#expression(this.#below(2));
    this.#scope.length = before;
    switch (shape) {
      case 0:
        return `len({${element}${clause}})`;
      case 1:
        return `sum({${key}: ${element}${clause}}.values())`;
      case 2:
        return `any(${element}${clause})`;
      case 3:
        return `max([${element}${clause}], default=0)`;
      case 4:
        return `max((${element}${clause}), key=lambda z: -z, default=0)`;
      default:
        return `sum(${element}${clause})`;
    }
  }

  #expression(depth: number): string {
    if (depth <= 0) return this.#atom();
    const part = (): string => this.#expression(depth - 1);
    switch (this.#below(14)) {
      case 0:
      case 1:
      case 2:
      case 3:
        return this.#call(depth);
      case 4:
      case 5:
        return this.#comprehension(depth);
      case 6:
        return `(${part()} ${this.#pick(["+", "-", "*"])}${this.#gap()} ${part()})`;
      case 7:
        return `(${part()} // ${part()})`;
      case 8:
        return `(${part()} if ${this.#atom()} else ${part()})`;
      case 9:
        return `note(${part()})`;
      case 10:
        return `(${part()} ${this.#pick(["and", "or", "<", "=="])} ${part()})`;
      case 11:
        return `[${part()}, ${part()}][${this.#below(2)}]`;
      case 12:
        return `max(${part()}, ${part()})`;
      default:
        return this.#atom();
    }
  }

  #statement(indent: string, depth: number): string {
    const inside = `${indent}${this.#pick(["    ", "  ", "\t"])}`;
    switch (depth > 0 ? this.#below(12) : this.#below(9)) {
      case 9:
        return `${indent}if ${this.#expression(1)}:\n${this.#block(inside, depth - 1)}`;
      case 10: {
        const block = this.#block(inside, depth - 1);
        return `${indent}for n in range(2):\n${block}`;
      }
      case 11:
        return `${indent}try:\n${this.#block(inside, depth - 1)}${indent}except (ValueError, ArithmeticError, IndexError) as error:\n${inside}print(error)\n`;
      case 0:
        return `${indent}print(${this.#expression(3)})\n`;
      case 1:
        return `${indent}n = ${this.#expression(3)}\n`;
      case 2:
        return `${indent}${this.#call(1)}\n`;
      case 3:
        return `${indent}${this.#pick(["a", "b"])}: int = ${this.#call(1)}${this.#pick(["", "; ", "  # done"])}\n`;
      case 4:
        return `${indent}a = ${this.#call(1)}; b = ${this.#call(1)}; ${this.#call(1)}\n`;
      default:
        return `${indent}${this.#pick(["a", "b", "c", "n"])} = ${this.#call(1)}\n${this.#pick(["", "\n", `${indent}# more\n`])}`;
    }
  }

  #block(indent: string, depth: number): string {
    return Array.from({ length: 1 + this.#below(4) }, () => this.#statement(indent, depth)).join("");
  }

  program(): string {
    this.#scope.push("a", "b", "c");
    const body = Array.from({ length: 2 + this.#below(5) }, () => this.#statement("    ", 2)).join("");
    return `${PRELUDE}def main(event):
    n = a = b = c = 1
    seen = []
    def note(x):
        seen.append(x)
        print("note", x)
        return len(seen)
    def stream():
        for x in event:
            note(x)
            yield x
    try:
        return step(event, note, stream)
    finally:
        print(seen)


def step(event, note, stream):
    n = a = b = c = 1
${body}    return n, a, b, c
`;
  }
}

test(`${PROGRAMS} generated programs give the same results, prints and failures when lowered`, async () => {
  const input = [];
  for (let seed = 1; seed <= PROGRAMS; seed++) {
    const text = new Generator(seed).program();
    const { files } = await compiled({ "app.py": text });
    const lowered = files.get("modules/app.py") ?? "";
    input.push({ name: String(seed), event: [1, 2, -1], plain: { "app.py": text }, lowered: { "app.py": lowered } });
  }
  const answer = runPython([join(import.meta.dirname, "python/run.py")], JSON.stringify(input));
  const pairs = JSON.parse(answer) as [unknown[], [string, string, number[]]][];
  let together = 0;
  for (const [index, [plain, low]] of pairs.entries()) {
    const {
      name,
      plain: source,
      lowered,
    } = input[index] ?? { name: "", plain: { "app.py": "" }, lowered: { "app.py": "" } };
    const shown = `program ${name}\n${source["app.py"].slice(PRELUDE.length)}\nlowered\n${lowered["app.py"].slice(PRELUDE.length)}`;
    expect(low.slice(0, 2), shown).toEqual(plain.slice(0, 2));
    expect(lowered["app.py"].split("\n").length, shown).toBe(source["app.py"].split("\n").length);
    together += low[2].filter((inFlight) => inFlight > 1).length;
  }
  expect(together).toBeGreaterThan(PROGRAMS / 4);
});
