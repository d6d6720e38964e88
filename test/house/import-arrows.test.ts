// The layers of src/ and who may import whom, held against what the lint says of every possible import.
import { spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, test } from "vitest";

const ARROWS: Record<string, string[]> = {
  graph: [],
  compiler: ["graph"],
  materializer: ["graph"],
  simulator: ["graph", "materializer"],
  fabric: ["graph"],
  sandbox: ["fabric", "graph"],
  cluster: ["compiler", "fabric", "graph", "materializer", "sandbox"],
  gateway: ["cluster", "graph"],
  cli: ["cluster", "graph"],
};

const layers = Object.keys(ARROWS);
const root = fileURLToPath(new URL("../..", import.meta.url));
const tree = mkdtempSync(join(tmpdir(), "sandloom-arrows-"));
afterAll(() => rmSync(tree, { recursive: true, force: true }));

interface Complaint {
  code: string;
  message: string;
  filename: string;
}

/** Lints sources as if they stood at these paths of this repository. */
function lint(sources: Record<string, string>): Complaint[] {
  copyFileSync(join(root, ".oxlintrc.json"), join(tree, ".oxlintrc.json"));
  for (const [path, source] of Object.entries(sources)) {
    mkdirSync(dirname(join(tree, path)), { recursive: true });
    writeFileSync(join(tree, path), source);
  }
  const oxlint = join(root, "node_modules/.bin/oxlint");
  const paths = Object.keys(sources);
  const { stdout } = spawnSync(oxlint, ["--format=json", ...paths], { cwd: tree, encoding: "utf8" });
  return (JSON.parse(stdout) as { diagnostics: Complaint[] }).diagnostics;
}

/** What a file of each layer may try to import, from a folder at this depth below its own. */
function everyImport(up: string) {
  return [
    ...layers.map((layer) => `${up}/${layer}/index.ts`),
    `${up}/index.ts`,
    `${up}/../native/build/Release/sandloom.node`,
    `${up}/../test/summary.ts`,
    `${up}/../scripts/bootstrap.mjs`,
  ];
}

function importing(paths: string[]): string {
  return paths.map((path) => `import "${path}";\n`).join("");
}

describe("the lint lets", () => {
  const probes = layers.flatMap((layer) => [
    [`src/${layer}/probe.ts`, importing(everyImport(".."))],
    [`src/${layer}/inner/probe.ts`, importing(everyImport("../.."))],
  ]);
  const refused = lint(Object.fromEntries(probes)).filter(({ code }) => code === "eslint(no-restricted-imports)");

  test.each(Object.entries(ARROWS))("src/%s import no other folders than %j", (layer, allowed) => {
    for (const [file, up] of [
      ["probe.ts", ".."],
      ["inner/probe.ts", "../.."],
    ] as const) {
      const complaints = refused.filter(({ filename }) => filename === `src/${layer}/${file}`);
      const passed = everyImport(up).filter((path) => !complaints.some(({ message }) => message.includes(`'${path}'`)));
      const expected = [
        ...layers
          .filter((other) => other === layer || allowed.includes(other))
          .map((other) => `${up}/${other}/index.ts`),
        ...(layer === "cli" ? [`${up}/index.ts`] : []),
        ...(layer === "fabric" ? [`${up}/../native/build/Release/sandloom.node`] : []),
      ];
      expect(passed).toEqual(expected);
    }
  });

  test("no folder of src go without an arrow", () => {
    const folders = readdirSync(join(root, "src"), { withFileTypes: true }).filter((entry) => entry.isDirectory());
    expect(folders.map(({ name }) => name).filter((name) => !layers.includes(name))).toEqual([]);
  });
});

describe("the lint refuses", () => {
  test("a forbidden import that is made while running", () => {
    const complaints = lint({ "src/graph/late.ts": 'export const late = () => import("../cluster/index.ts");\n' });
    expect(complaints.map(({ code }) => code)).toContain("eslint(no-restricted-imports)");
  });

  test("I/O, clocks and randomness in the materializer, and only there", () => {
    const source = 'import "node:fs";\nexport const impure = [Date.now(), performance.now(), Math.random()];\n';
    const complaints = lint({ "src/materializer/impure.ts": source, "src/cluster/impure.ts": source });
    expect(complaints.map(({ filename, message }) => `${filename}: ${message}`).toSorted()).toEqual([
      expect.stringContaining("materializer/impure.ts: 'Math.random'"),
      expect.stringContaining("materializer/impure.ts: 'node:fs'"),
      expect.stringContaining("materializer/impure.ts: Unexpected use of 'Date'"),
      expect.stringContaining("materializer/impure.ts: Unexpected use of 'performance'"),
    ]);
  });

  test("a cycle of imports", () => {
    const one = 'import { b } from "./b.ts";\nexport const a = (): number => b();\n';
    const other = 'import { a } from "./a.ts";\nexport const b = (): number => a();\n';
    const complaints = lint({ "src/cluster/a.ts": one, "src/cluster/b.ts": other });
    expect(complaints.map(({ code }) => code)).toContain("import(no-cycle)");
  });

  test("`any`", () => {
    const complaints = lint({ "src/cluster/any.ts": "export const f = (x: any): unknown => x;\n" });
    expect(complaints.map(({ code }) => code)).toEqual(["typescript(no-explicit-any)"]);
  });
});

test("only src/fabric names the file of the native addon", () => {
  // It is loaded by `createRequire`, which no lint of imports sees.
  const { stdout } = spawnSync("grep", ["-rl", "sandloom\\.node", "src"], { cwd: root, encoding: "utf8" });
  expect(stdout.split("\n").filter((path) => path !== "" && !path.startsWith("src/fabric/"))).toEqual([]);
});
