/** One folder a case: the application's sources, and in `expected/` the compiled folder, graph and all. */
import { globSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { Check } from "typebox/value";
import { ResourceGraph } from "../../src/graph/resource-graph.ts";
import { compiled, runPython } from "./compiling.ts";

const golden = join(import.meta.dirname, "golden");

function sources(name: string): Record<string, string> {
  const paths = globSync("**/*.py", { cwd: join(golden, name), exclude: ["expected/**"] }).sort();
  return Object.fromEntries(paths.map((path) => [path, readFileSync(join(golden, name, path), "utf8")]));
}

test.each(readdirSync(golden))("the application %s compiles to the folder that is expected", async (name) => {
  const files = sources(name);
  const { graph, files: output } = await compiled(files);
  for (const [path, text] of output) await expect(text).toMatchFileSnapshot(join(golden, name, "expected", path));
  expect(globSync("**/*.*", { cwd: join(golden, name, "expected") }).sort()).toEqual([...output.keys()].sort());
  expect(Check(ResourceGraph, graph)).toBe(true);
});

test.each(readdirSync(golden))("the output of %s is Python, line for line with its source", async (name) => {
  const files = sources(name);
  const { files: output } = await compiled(files);
  const programs = [...output].filter(([path]) => path.endsWith(".py"));
  runPython(
    ["-c", "import json, sys\nfor path, text in json.load(sys.stdin): compile(text, path, 'exec')"],
    JSON.stringify(programs),
  );
  for (const [path, text] of Object.entries(files)) {
    const lowered = output.get(`modules/${path}`)?.split("\n") ?? [];
    const lines = text.split("\n");
    expect(lowered.length).toBe(lines.length);
    // A definition begins where it began.
    for (const [index, line] of lines.entries())
      if (/^(def|class|if|for|return)\b/.test(line)) expect(lowered[index]).toBe(line);
  }
});
