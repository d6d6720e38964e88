/** The options of @split: constants that become caps of the component, and the parameters that it writes. */
import { parameters, type Call, type Expression, type FunctionNode } from "./ast.ts";
import type { Static } from "typebox";
import type { Caps } from "../graph/resource-graph.ts";
import type { Findings } from "./refusals.ts";
import type { SourceText } from "./text.ts";

const BYTES: Readonly<Record<string, number>> = {
  B: 1,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  KIB: 1024,
  MIB: 1024 ** 2,
  GIB: 1024 ** 3,
};
const MS: Readonly<Record<string, number>> = { ms: 1, s: 1000, min: 60_000, h: 3_600_000 };

export interface Options {
  readonly caps: Static<typeof Caps>;
  readonly writes: readonly string[];
}

function quantity(value: string, units: Readonly<Record<string, number>>, unit: (text: string) => string): number {
  const found = /^\s*(\d+(?:\.\d+)?)\s*([A-Za-z]+)\s*$/.exec(value);
  return found ? Number(found[1]) * (units[unit(found[2] ?? "")] ?? Number.NaN) : Number.NaN;
}

/** An integer or float constant; bool is none. */
function number(node: Expression): number | undefined {
  if (node._ !== "Constant" || (node.kind !== "int" && node.kind !== "float")) return undefined;
  return typeof node.value === "number" ? node.value : Number.NaN;
}

function text(node: Expression): string | undefined {
  return node._ === "Constant" && node.kind === "str" ? String(node.value ?? "") : undefined;
}

export function readOptions(call: Call, owner: FunctionNode, source: SourceText, findings: Findings): Options {
  const caps: { cpu?: number; memory_bytes?: number; timeout_ms?: number } = {};
  let writes: readonly string[] = [];
  const refuse = (node: Expression, message: string): void =>
    findings.refuse(source, node, "bad-split-option", message);
  for (const arg of call.args) refuse(arg, "@split takes its options by name");
  for (const { arg, value } of call.keywords) {
    if (arg === "cpu") {
      const cpu = number(value);
      if (cpu !== undefined && cpu > 0) caps.cpu = cpu;
      else refuse(value, "cpu= is a number of CPUs above 0, as a constant");
    } else if (arg === "memory") {
      const bytes = number(value) ?? quantity(text(value) ?? "", BYTES, (unit) => unit.toUpperCase());
      if (Number.isInteger(bytes) && bytes >= 1) caps.memory_bytes = bytes;
      else refuse(value, 'memory= is bytes, or a text such as "256MiB", as a constant');
    } else if (arg === "timeout") {
      const seconds = number(value);
      const ms = seconds === undefined ? quantity(text(value) ?? "", MS, (unit) => unit) : seconds * 1000;
      if (Math.round(ms) >= 1) caps.timeout_ms = Math.round(ms);
      else refuse(value, 'timeout= is seconds, or a text such as "10s" or "500ms", as a constant');
    } else if (arg === "writes") {
      const names = value._ === "Tuple" || value._ === "List" ? value.elts.map(text) : [undefined];
      if (names.every((name) => name !== undefined)) writes = checkWrites(names, value, owner, source, findings);
      else refuse(value, 'writes= is a tuple of parameter names, such as ("x",)');
    } else refuse(value, arg === undefined ? "@split takes no **options" : `@split has no option ${arg}=`);
  }
  return { caps, writes };
}

function checkWrites(
  names: readonly string[],
  node: Expression,
  owner: FunctionNode,
  source: SourceText,
  findings: Findings,
): readonly string[] {
  const known = new Set(parameters(owner.args).map((arg) => arg.arg));
  for (const name of names) {
    if (known.has(name)) continue;
    findings.refuse(
      source,
      node,
      "writes-unknown-parameter",
      `writes= names ${JSON.stringify(name)}, which is no parameter of ${owner.name}`,
      `Name parameters of ${owner.name} in writes=: ${[...known].join(", ") || "it has none"}.`,
    );
  }
  return names.filter((name) => known.has(name));
}

/** `split(x)`, `split(x, n)`. */
export function checkSplitCall(call: Call, source: SourceText, findings: Findings): void {
  const option = call.keywords.find((keyword) => keyword.arg !== undefined);
  if (option)
    findings.refuse(
      source,
      call,
      "bad-split-option",
      `split(x, n) takes its arguments by position, not ${option.arg}=`,
    );
  const n = call.args[1];
  if (!n) return;
  const negative = n._ === "UnaryOp" && n.op === "USub";
  const whole = n._ === "Constant" && n.kind === "int" && Number(n.value ?? 1) >= 1;
  if (negative || (n._ === "Constant" && n.kind !== "NoneType" && !whole)) {
    findings.refuse(source, n, "bad-split-option", "split(x, n) cuts into n >= 1 row ranges");
  }
}
