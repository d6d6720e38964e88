/** The compiler as tests use it: CPython's parser as a child process, and text in, text out. */
import { spawn, spawnSync } from "node:child_process";
import { join } from "node:path";
import {
  compile,
  type CompiledApplication,
  type CompileOptions,
  type Parse,
  type Refusal,
} from "../../src/compiler/index.ts";
import { SandloomError } from "../../src/graph/errors.ts";

const root = join(import.meta.dirname, "../..");
export const python: string = process.env["SANDLOOM_TEST_PYTHON"] ?? "python3";

const PARSER = `
import sys
sys.path.insert(0, sys.argv[1])
from parse import parse_files
for line in sys.stdin:
    print(parse_files(line), flush=True)
`;

/** One interpreter for all parses of a test file: starting one takes longer than parsing. */
const child = spawn(python, ["-c", PARSER, join(root, "runtimes/python/sandloom_compiler")], {
  stdio: ["pipe", "pipe", "inherit"],
});
child.unref();
const waiting: ((answer: string) => void)[] = [];
let received = "";
child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
  received += chunk;
  for (let end = received.indexOf("\n"); end >= 0; end = received.indexOf("\n")) {
    waiting.shift()?.(received.slice(0, end));
    received = received.slice(end + 1);
  }
});

export const parse: Parse = async (files) => {
  const answer = new Promise<string>((resolve) => waiting.push(resolve));
  child.stdin.write(`${JSON.stringify(files)}\n`);
  return JSON.parse(await answer) as Awaited<ReturnType<Parse>>;
};

/** Files by name; the entry is app.py. */
export async function compiled(
  files: Readonly<Record<string, string>>,
  options: CompileOptions = {},
): Promise<CompiledApplication> {
  const sources = Object.entries(files).map(([path, text]) => ({ path, text }));
  return compile({ name: "app", entryFile: "app.py", files: sources }, parse, options);
}

export async function refusals(
  files: Readonly<Record<string, string>>,
  options: CompileOptions = {},
): Promise<readonly Refusal[]> {
  try {
    await compiled(files, options);
  } catch (error) {
    if (error instanceof SandloomError && error.code === "CompileRefused")
      return error.details["refusals"] as readonly Refusal[];
    throw error;
  }
  return [];
}

/** Runs Python and gives what it printed; its own failures fail the test. */
export function runPython(args: readonly string[], input = ""): string {
  const result = spawnSync(python, args, {
    input,
    encoding: "utf8",
    env: { ...process.env, PYTHONDONTWRITEBYTECODE: "1" },
  });
  if (result.status !== 0) throw new Error(`${result.stderr}\n${result.stdout}`);
  return result.stdout;
}
