/** What cannot be compiled: one rule a reason, each with what to write instead. */
import type { At } from "./ast.ts";
import type { SourceText } from "./text.ts";

/** Rule → what to write instead. A refusal may name a closer fix. */
export const rules = {
  "syntax-error": "Correct the syntax: CPython would not read this file either.",
  "no-main":
    "Write `def main(event):` at the top level of the entry file, with exactly one required positional parameter.",
  "main-is-component":
    "Leave `main` without @split or @remote: it is the entry, and runs in a component of its own anyway.",
  "split-not-top-level":
    "Move the function to the top level of its module, give it what it needs as parameters, and mark that `def` with @split.",
  "split-async": "Write a plain `def`: calls of components in one comprehension run side by side without async.",
  "split-generator": "Collect the values in a list and return it: the result of a component travels once.",
  "bad-split-option":
    "@split takes cpu=, memory=, timeout= and writes=, all of them constants; split(x, n) takes n >= 1.",
  "writes-unknown-parameter": "Name parameters of the function in writes=.",
  "remote-target":
    "Write `x = remote(value)`, `x: remote = value`, `remote.empty(shape, dtype)` or `remote.zeros(shape, dtype)`.",
  "duplicate-component": "Give every component of a module a name of its own.",
  "conditional-definition":
    "Define the component at the top level, and put the condition into its body or around its call.",
  "component-decorated": "Call the other decorator's function inside the component instead.",
  "call-at-import": "Call it from main or from a function that main calls: the top level runs once, before any run.",
  "star-import": "Import the components by name: `from helpers import f, g`.",
  "global-mutation": "Pass the value as an argument and return the new one: components share no module globals.",
  "argument-mutation": "Copy it first (`p = list(p)`, `p = dict(p)`), change the copy and return it.",
  "unsupported-module": "Split the work with @split: sandboxes have no threads, processes or sockets.",
  "missing-module":
    "Use a module of the standard library, of the application's folder or of the packages that are available.",
  "import-beyond-folder": "Import modules of the application's folder by name, without leading dots that leave it.",
  "reserved-name": "Choose another name: this one is used by the code that the compiler writes.",
} as const;
export type Rule = keyof typeof rules;

export interface Refusal {
  readonly file: string;
  readonly line: number;
  /** From 1, in characters. */
  readonly column: number;
  readonly rule: Rule;
  readonly message: string;
  readonly fix: string;
}

/** Something that compiles, but hardly as it was meant. */
export interface Warning {
  readonly file: string;
  readonly line: number;
  readonly column: number;
  readonly message: string;
}

/** Collects what is wrong: the user sees every place at once. */
export class Findings {
  readonly refusals: Refusal[] = [];
  readonly warnings: Warning[] = [];
  readonly #seen = new Set<string>();

  refuse(
    source: SourceText,
    node: { at: At } | undefined,
    rule: Rule,
    message: string,
    fix: string = rules[rule],
  ): void {
    const [line, column] = node?.at ?? [1, 0];
    const key = `${source.path}:${line}:${column}:${rule}`;
    if (this.#seen.has(key)) return;
    this.#seen.add(key);
    this.refusals.push({ file: source.path, line, column: column + 1, rule, message, fix });
  }

  warn(source: SourceText, node: { at: At }, message: string): void {
    this.warnings.push({ file: source.path, line: node.at[0], column: node.at[1] + 1, message });
  }
}
