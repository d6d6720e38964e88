/**
 * Programs in the programming model, made from a seed. What they compute is exact (float64 that hold integers, taken modulo
 * 1009), so that the order of additions and the machine do not matter; everything else about them may be compared bit by bit.
 */
import { Random } from "./random.ts";

/** Array, number, list of int, dict of int, text, frame. */
type Kind = "A" | "N" | "L" | "D" | "S" | "F";
const KINDS: readonly Kind[] = ["A", "A", "A", "N", "L", "D", "S", "F"];

interface Signature {
  readonly name: string;
  readonly takes: readonly Kind[];
  readonly gives: Kind;
}

/** What stands in every program: `plain` makes any value JSON, and keeps dtypes and shapes. */
const PRELUDE = `import numpy as np
import pandas as pd
from sandloom import remote, split

SIZES = {"x": 3, "y": 5}
WEIGHTS = np.array([1.0, 2.0, 3.0, 5.0, 7.0])


class AppError(Exception):
    def __init__(self, what, value):
        super().__init__(what, value)
        self.value = value


def small(a):
    return a % 1009.0


def pair(a, b):
    m = min(len(a), len(b))
    return a[:m] + b[:m]


def weighted(a):
    return small(a * WEIGHTS[np.arange(len(a)) % len(WEIGHTS)])


def frame(n):
    n = n % 7 + 2
    v = np.arange(float(n)) * 3.0 % 5.0
    return pd.DataFrame({"k": [i % 3 for i in range(n)], "v": v, "s": [f"s{i % 4}" for i in range(n)]})


def tidy(f):
    return f.assign(v=f["v"] % 1009.0).sort_values(["k", "v", "s"], kind="stable").reset_index(drop=True)


def plain(v):
    if isinstance(v, np.ndarray):
        return [str(v.dtype), list(v.shape), v.tolist()]
    if isinstance(v, pd.DataFrame):
        return {"dtypes": [str(t) for t in v.dtypes], "index": v.index.tolist(), **{c: v[c].tolist() for c in v.columns}}
    if isinstance(v, (list, tuple)):
        return [type(v).__name__, *[plain(x) for x in v]]
    if isinstance(v, dict):
        return {str(k): plain(x) for k, x in v.items()}
    if isinstance(v, np.generic):
        return [str(v.dtype), v.item()]
    return v


@split(writes=("x",))
def fill(x, by):
    x[:] = small(x + by)


@split
def double(x):
    x *= 2.0
    x %= 1009.0


@split(writes=("x",))
def shift(x, y, by):
    for i in range(len(x)):
        x[i] = small(y[i % len(y)] + by) if len(y) else by
    return float(x.sum())


@split
def middle(x):
    return x[len(x) // 4 : 3 * len(x) // 4 + 1]


@split
def both_ends(x):
    return x[: len(x) // 2], x[len(x) // 2 :][::-1]


@split
def head(x, n):
    if n % 4 == 0:
        raise ValueError(f"no head for {n}")
    if n % 4 == 1:
        raise AppError("odd head", n)
    if n % 4 == 2:
        return int(x[int(x.sum()) % 13 + 20])
    return len(x)


@split
def halve(x, n):
    if n <= 0 or len(x) < 2:
        return float(x.sum()) + n
    a, b = split(x, 2)
    return sum(halve(p, n - 1) for p in (a, b)) % 1009.0


@split(writes=("x",))
def climb(x, n):
    if n > 0 and len(x) > 1:
        [climb(p, n - 1) for p in split(x, 2)]
        x[0] = x[-1] + 1.0
    else:
        x[:] = small(x * 2.0 + n)


@split
def fib(n):
    return n if n < 2 else fib(n - 1) + fib(n - 2)
`;

export interface Program {
  readonly files: Readonly<Record<string, string>>;
  readonly event: { readonly n: number; readonly flag: boolean };
}

export function generate(seed: number): Program {
  return new Generator(new Random(seed)).program();
}

/** The names that a function's code may use, and how deep it stands. */
class Scope {
  readonly names: Record<Kind, string[]> = { A: [], N: [], L: [], D: [], S: [], F: [] };
  /** Arrays in memory components that this function may write; never rebound. */
  readonly remote: string[] = [];
  readonly callable: readonly Signature[];
  calls: number;

  constructor(callable: readonly Signature[], calls: number) {
    this.callable = callable;
    this.calls = calls;
  }
}

class Generator {
  readonly #random: Random;
  #count = 0;

  constructor(random: Random) {
    this.#random = random;
  }

  program(): Program {
    const r = this.#random;
    const leaves = Array.from({ length: r.int(2, 4) }, () => this.#signature());
    const inner = Array.from({ length: r.int(1, 3) }, () => this.#signature());
    const helpers = Array.from({ length: r.int(0, 2) }, () => this.#signature());
    const parts = [
      ...leaves.map((one) => this.#function(one, [], true)),
      ...inner.map((one) => this.#function(one, leaves, true)),
      ...helpers.map((one) => this.#function(one, leaves, false)),
    ];
    const main = this.#main([...leaves, ...inner, ...helpers]);
    const event = { n: r.int(0, 40), flag: r.chance(0.5) };
    if (!r.chance(0.3)) return { files: { "app.py": [PRELUDE, ...parts, main].join("\n\n") }, event };
    const names = [...leaves, ...inner, ...helpers].map(({ name }) => name);
    const own =
      "fill double shift middle both_ends head halve climb fib small pair weighted frame tidy plain AppError SIZES np pd".split(
        " ",
      );
    const imports = `from parts import ${[...own, ...names].join(", ")}\nfrom sandloom import remote, split\n`;
    return { files: { "app.py": [imports, main].join("\n\n"), "parts.py": [PRELUDE, ...parts].join("\n\n") }, event };
  }

  #name(prefix: string): string {
    return `${prefix}${this.#count++}`;
  }

  #signature(): Signature {
    const r = this.#random;
    const takes = [r.pick(KINDS), ...Array.from({ length: r.int(0, 2) }, () => r.pick(KINDS))];
    return { name: this.#name("f"), takes, gives: r.pick(KINDS) };
  }

  #function({ name, takes, gives }: Signature, callable: readonly Signature[], component: boolean): string {
    const scope = new Scope(callable, callable.length > 0 ? 3 : 0);
    const parameters = takes.map((kind) => {
      const parameter = this.#name("p");
      scope.names[kind].push(parameter);
      return parameter;
    });
    const lines = Array.from({ length: this.#random.int(0, 3) }, () => this.#statement(scope, 1, false)).flat();
    const result = this.#fresh(gives, this.#expression(gives, scope, 2));
    const head = component
      ? [this.#random.pick(["@split", "@split", "@split()", "@split(cpu=1)", '@split(memory="512MiB", timeout=60)'])]
      : [];
    const defaults = component && takes.at(-1) === "N" && this.#random.chance(0.3) ? "=4" : "";
    return [...head, `def ${name}(${parameters.join(", ")}${defaults}):`, ...lines, `    return ${result}`, ""].join(
      "\n",
    );
  }

  #main(callable: readonly Signature[]): string {
    const r = this.#random;
    const scope = new Scope(callable, 12);
    scope.names.N.push('event["n"]');
    const lines: string[] = ["    out = []"];
    for (let i = r.int(1, 3); i > 0; i--) lines.push(...this.#remote(scope, 1));
    for (let i = r.int(4, 9); i > 0; i--) lines.push(...this.#statement(scope, 1, true));
    const named = [...Object.values(scope.names).flat(), ...scope.remote].filter((name) => !name.startsWith("event"));
    const pairs = named.map((name) => `"${name}": plain(${name})`);
    return `def main(event):\n${lines.join("\n")}\n    return {"out": plain(out), ${pairs.join(", ")}}\n`;
  }

  /** A result must not be a view of a parameter that travelled by value: CPython would see writes through it. */
  #fresh(kind: Kind, expression: string): string {
    return kind === "A" ? `small(${expression})` : expression;
  }

  #remote(scope: Scope, depth: number): string[] {
    const r = this.#random;
    const pad = "    ".repeat(depth);
    const name = this.#name("r");
    const n = r.int(1, 40);
    const lines = r.pick([
      [`${name} = remote(np.arange(${n}.0))`],
      [`${name}: remote = small(np.arange(${n}.0) * 7.0)`],
      [`${name} = remote(${this.#expression("A", scope, 1)})`],
      [`${name} = remote.zeros(${n})`, `${name}[::2] = 3.0`],
      [`${name} = remote.empty(${n}, np.float64)`, `np.multiply(np.arange(${n}.0), 2.0, out=${name})`],
      [`${name} = remote.zeros((4, ${n}))[::2].T[:, 1]`],
      [`${name} = remote.zeros((${n}, 3))`, `${name} = ${name}[:, ${r.int(0, 2)}]`],
    ]);
    scope.remote.push(name);
    return lines.map((line) => pad + line);
  }

  /** An array in a memory component, whole or a part of it. */
  #slice(scope: Scope): string {
    const r = this.#random;
    const name = r.pick(scope.remote);
    return r.pick([
      name,
      name,
      `${name}[${r.int(0, 4)}:]`,
      `${name}[:${r.int(1, 9)}]`,
      `${name}[${r.int(0, 3)}:${r.int(4, 9)}]`,
      `${name}[::2]`,
      `${name}[1::2]`,
      `${name}[::-1]`,
    ]);
  }

  #statement(scope: Scope, depth: number, main: boolean): string[] {
    const r = this.#random;
    const pad = "    ".repeat(depth);
    const kinds = ["assign", "assign", "if", "loop"];
    if (main) kinds.push("assign", "parallel", "try", "try", "fan-out", "recursion");
    if (main && scope.remote.length > 0)
      kinds.push("write", "write", "writers", "writers", "alias", "climb", "in-place");
    switch (r.pick(kinds)) {
      case "if": {
        const [kind, name] = this.#bound(scope);
        if (name === undefined) return this.#assign(scope, pad);
        const condition = r.pick([
          `${this.#expression("N", scope, 1)} % 2 == 0`,
          `${name} is not None`,
          ...(main ? ['event["flag"]'] : []),
        ]);
        const lines = [
          `${pad}if ${condition}:`,
          `${pad}    ${name} = ${this.#fresh(kind, this.#expression(kind, scope, 2))}`,
        ];
        return r.chance(0.5)
          ? lines
          : [...lines, `${pad}else:`, `${pad}    ${name} = ${this.#fresh(kind, this.#expression(kind, scope, 2))}`];
      }
      case "loop": {
        const [kind, name] = this.#bound(scope);
        if (name === undefined || kind === "S" || kind === "L" || kind === "F") return this.#assign(scope, pad);
        const step = `${pad}    ${name} = ${this.#fresh(kind, this.#expression(kind, scope, 1))}`;
        const stop = r.chance(0.3) ? [`${pad}    if len(str(${name})) % 5 == 0:`, `${pad}        break`] : [];
        return [`${pad}for i in range(${r.int(1, 3)}):`, step, ...stop];
      }
      case "parallel": {
        const calls = Array.from({ length: r.int(2, 4) }, () => this.#leafCall(scope));
        return calls.map(({ kind, text }) => {
          const name = this.#name("v");
          scope.names[kind].push(name);
          return `${pad}${name} = ${text}`;
        });
      }
      case "try": {
        const caught = r.pick(["ValueError", "AppError", "(ValueError, IndexError)", "Exception", "Exception"]);
        const array = this.#expression("A", scope, 1);
        const body = r.pick([
          `out.append(head(${array}, ${this.#expression("N", scope, 1)}))`,
          `out.append([head(p, i + ${r.int(0, 3)}) for i, p in enumerate(split(${array}, ${r.int(2, 4)}))])`,
          `out.append(sum(head(${array}, n) for n in (3, ${r.int(0, 7)}, ${r.int(0, 7)})))`,
        ]);
        const handler = r.pick([
          `out.append([type(e).__name__, str(e)])`,
          `out.append(list(e.args))`,
          `out.append(getattr(e, "value", None))`,
        ]);
        const last = r.pick([
          [],
          [],
          [`${pad}else:`, `${pad}    out.append("fine")`],
          [`${pad}finally:`, `${pad}    out.append("done")`],
        ]);
        // What is not caught ends the program: both must end alike.
        return [`${pad}try:`, `${pad}    ${body}`, `${pad}except ${caught} as e:`, `${pad}    ${handler}`, ...last];
      }
      case "fan-out": {
        const array = this.#expression("A", scope, 1);
        const n = r.pick(["", ", 2", ", 3", ", 4"]);
        const one = `halve(p, ${r.int(0, 2)})`;
        return [
          `${pad}out.append(${r.pick([
            `[${one} for p in split(${array}${n})]`,
            `sum(${one} for p in split(${array}${n}))`,
            `max(${one} for p in split(${array}${n}))`,
            `{i: ${one} for i, p in enumerate(split(${array}${n}))}`,
            `sorted({${one} for p in split(${array}${n})})`,
            `[halve(pair(p, q), 1) for p, q in zip(split(${array}${n}), split(${array}${n}))]`,
            `[${one} + i for i, p in enumerate(split(${array}${n})) if i != 1]`,
          ])})`,
        ];
      }
      case "recursion":
        return [
          `${pad}out.append(${r.pick([`fib(${r.int(2, 5)})`, `halve(${this.#expression("A", scope, 1)}, ${r.int(1, 3)})`])})`,
        ];
      case "write": {
        const target = this.#slice(scope);
        const value = this.#expression("N", scope, 1);
        return [
          pad +
            r.pick([
              `fill(${target}, ${value})`,
              `double(${target})`,
              `out.append(shift(${target}, ${this.#slice(scope)}, ${value}))`,
              `fill(${target}, ${value}); double(${target})`,
            ]),
        ];
      }
      case "writers": {
        const n = r.int(2, 4);
        const lines = Array.from({ length: r.int(2, 4) }, () => {
          const name = this.#name("v");
          const reads = r.pick([
            `halve(${this.#slice(scope)}, 1)`,
            `shift(${this.#slice(scope)}, ${this.#slice(scope)}, ${r.int(0, 9)})`,
          ]);
          return r.pick([
            [`fill(${this.#slice(scope)}, ${r.int(1, 9)})`],
            [`double(${this.#slice(scope)})`],
            [`${name} = ${reads}`, `out.append(${name})`],
            [`[fill(p, i) for i, p in enumerate(split(${this.#slice(scope)}, ${n}))]`],
            [
              `out.append([shift(p, q, 1.0) for p, q in zip(split(${r.pick(scope.remote)}, ${n}), split(${this.#slice(scope)}, ${n}))])`,
            ],
            [`[double(p) for p in split(${this.#slice(scope)})]`],
          ]);
        }).flat();
        return lines.map((line) => pad + line);
      }
      case "alias": {
        const name = this.#name("r");
        if (r.chance(0.3)) {
          const other = this.#name("r");
          const lines = [`${pad}${name}, ${other} = both_ends(${r.pick(scope.remote)})`];
          scope.remote.push(name, other);
          return lines;
        }
        const lines = [`${pad}${name} = middle(${this.#slice(scope)})`];
        scope.remote.push(name);
        return lines;
      }
      case "climb":
        return [`${pad}climb(${this.#slice(scope)}, ${r.int(1, 3)})`];
      case "in-place": {
        const target = this.#slice(scope);
        return [
          pad +
            r.pick([
              `${target}${target.endsWith("]") ? "" : "[:]"} += ${r.int(1, 9)}.0`,
              `${r.pick(scope.remote)}[0:1] = ${this.#expression("N", scope, 1)}`,
            ]),
        ];
      }
      default:
        return this.#assign(scope, pad);
    }
  }

  #assign(scope: Scope, pad: string): string[] {
    const kind = this.#random.pick(KINDS);
    const text = this.#expression(kind, scope, 3);
    const name = this.#name("v");
    scope.names[kind].push(name);
    return [`${pad}${name} = ${text}`];
  }

  /** A name that a statement may rebind. */
  #bound(scope: Scope): readonly [Kind, string | undefined] {
    const kind = this.#random.pick(KINDS);
    const names = scope.names[kind].filter((name) => name.startsWith("v"));
    return [kind, names.length > 0 ? this.#random.pick(names) : undefined];
  }

  #call(scope: Scope, gives: Kind, depth: number): string | undefined {
    const fitting = scope.callable.filter((one) => one.gives === gives);
    if (fitting.length === 0 || scope.calls <= 0) return undefined;
    scope.calls--;
    const { name, takes } = this.#random.pick(fitting);
    return `${name}(${takes.map((kind) => this.#expression(kind, scope, depth - 1)).join(", ")})`;
  }

  #leafCall(scope: Scope): { kind: Kind; text: string } {
    const { name, takes, gives } = this.#random.pick(scope.callable);
    // Names and constants only: that is what consecutive calls run side by side with.
    const simple = (kind: Kind): string =>
      scope.names[kind].length > 0 ? this.#random.pick(scope.names[kind]) : this.#constant(kind);
    return { kind: gives, text: `${name}(${takes.map(simple).join(", ")})` };
  }

  /** A fan-out whose parts are put together again. */
  #gathered(gives: Kind, scope: Scope, depth: number): string | undefined {
    const r = this.#random;
    const over = scope.callable.filter((one) => one.takes[0] === "A" || one.takes[0] === "F" || one.takes[0] === "N");
    const fitting = over.filter((one) => one.gives === gives);
    if (fitting.length === 0 || scope.calls <= 0) return undefined;
    scope.calls--;
    const { name, takes } = r.pick(fitting);
    const rest = takes
      .slice(1)
      .map((kind) => `, ${scope.names[kind].length > 0 ? r.pick(scope.names[kind]) : this.#constant(kind)}`);
    const first = takes[0] as Kind;
    const items =
      first === "N"
        ? this.#expression("L", scope, depth - 1)
        : `split(${this.#expression(first, scope, depth - 1)}${r.pick(["", "", ", 2", ", 3"])})`;
    const each = `${name}(p${rest.join("")}) for p in ${items}`;
    switch (gives) {
      case "A":
        // A list may be empty; concatenation of nothing is an error of its own.
        return r.pick([`np.concatenate([np.zeros(1)] + [${each}])`, `np.hstack([np.zeros(1), *[${each}]])`]);
      case "N":
        return r.pick([`sum(${each})`, `max((${each}), default=0)`, `sum([${each}])`]);
      case "L":
        return `sum([${each}], [])`;
      case "D":
        return `{k: v for d in [${each}] for k, v in d.items()}`;
      case "S":
        return `"".join(${each})`;
      case "F":
      default:
        return `tidy(pd.concat([frame(2), *[${each}]], ignore_index=True))`;
    }
  }

  #constant(kind: Kind): string {
    const r = this.#random;
    switch (kind) {
      case "A":
        return r.pick([
          `np.arange(${r.int(0, 12)}.0)`,
          `np.ones(${r.int(1, 30)})`,
          `np.array([${r.int(0, 9)}.0, ${r.int(0, 9)}.0])`,
          `np.full(${r.int(1, 5)}, 4.0)`,
        ]);
      case "N":
        return String(r.int(0, 9));
      case "L":
        return `[${Array.from({ length: r.int(0, 4) }, () => r.int(0, 9)).join(", ")}]`;
      case "D":
        return `{"a": ${r.int(0, 9)}, "b": ${r.int(0, 9)}}`;
      case "S":
        return r.pick(['"abc"', '"é€😀"', '""', '"x y"']);
      case "F":
      default:
        return `frame(${r.int(0, 9)})`;
    }
  }

  #expression(kind: Kind, scope: Scope, depth: number): string {
    const r = this.#random;
    const names = kind === "A" ? [...scope.names.A, ...scope.remote] : scope.names[kind];
    if (depth <= 0 || r.chance(0.15)) return names.length > 0 ? r.pick(names) : this.#constant(kind);
    if (r.chance(0.35)) {
      const call = r.chance(0.4) ? this.#gathered(kind, scope, depth) : this.#call(scope, kind, depth);
      if (call !== undefined) return call;
    }
    const of = (other: Kind): string => this.#expression(other, scope, depth - 1);
    switch (kind) {
      case "A": {
        const a = of("A");
        return r.pick([
          () => `small(${a} + ${r.int(1, 9)}.0)`,
          () => `small(${a} * ${r.int(2, 7)}.0)`,
          () => `${a}[::-1]`,
          () => `(${a})[${r.int(0, 2)}:${r.int(3, 12)}]`,
          () => `(${a})[::${r.int(2, 3)}]`,
          () => `np.sort(${a})`,
          () => `small(np.cumsum(${a}))`,
          () => `np.where(${a} % 2.0 == 0.0, 1.0, 2.0)`,
          () => `small(pair(${a}, ${of("A")}))`,
          () => `np.concatenate([${a}, ${of("A")}])`,
          () => `np.stack([${a}, ${a}], axis=1)[:, 0]`,
          () => `weighted(${a})`,
          () => `np.array(${of("L")}, dtype=np.float64)`,
          () => `(${of("F")})["v"].to_numpy()`,
        ])();
      }
      case "N":
        return r.pick([
          () => `int((${of("A")}).sum()) % 1009`,
          () => `len(${of("A")})`,
          () => `(${of("N")} * ${r.int(2, 5)} + ${r.int(0, 9)}) % 1009`,
          () => `sum(${of("L")}) % 101`,
          () => `len(${of("S")})`,
          () => `len(${of("F")})`,
          () => `(${of("D")}).get("a", ${r.int(0, 9)})`,
          () => `int((${of("A")}).max(initial=0.0))`,
          () => `min(${of("N")}, ${of("N")})`,
        ])();
      case "L":
        return r.pick([
          () => `[x % 7 for x in ${of("L")}]`,
          () => `sorted(${of("L")})`,
          () => `(${of("L")} + [${of("N")}])[:5]`,
          () => `list(range(${of("N")} % 4))`,
          () => `[int(x) for x in (${of("A")})[:4]]`,
          () => `(${of("L")})[::-1]`,
          () => `sorted((${of("D")}).values())`,
        ])();
      case "D":
        return r.pick([
          () => `{k: x + 1 for k, x in (${of("D")}).items()}`,
          () => `{**${of("D")}, "c": ${of("N")}}`,
          () => `{str(x): x for x in ${of("L")}}`,
          () => `{"len": len(${of("S")}), "size": SIZES["x"]}`,
        ])();
      case "S":
        return r.pick([
          () => `(${of("S")} + "z")[:12]`,
          () => `(${of("S")}).upper()[:12]`,
          () => `str(${of("N")}) + "-" + str(SIZES["y"])`,
          () => `",".join(str(x) for x in ${of("L")})[:12]`,
          () => `"".join(sorted(${of("D")}))[:12]`,
        ])();
      case "F":
      default: {
        const f = of("F");
        return r.pick([
          () => `tidy(${f})`,
          () => `frame(${of("N")})`,
          () => `tidy((${f})[(${f})["k"] > ${r.int(0, 2)}])`,
          () => `tidy((${f}).groupby(["k", "s"], as_index=False)["v"].sum())`,
          () => `tidy((${f}).merge(frame(${r.int(2, 6)})[["k"]].drop_duplicates(), on="k", how="inner"))`,
          () => `tidy(pd.concat([${f}, frame(${r.int(0, 5)})]).head(20))`,
          () => `(${f}).assign(v=(${f})["v"] + ${r.int(1, 5)}.0).head(20)`,
          () => `(${f}).head(20)`,
        ])();
      }
    }
  }
}
