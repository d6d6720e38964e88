/** The folder that a compile or a run writes. */
import { mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, relative, sep } from "node:path";
import type { CompiledApp } from "../cluster/api.ts";
import { BadInput } from "../graph/errors.ts";

/** What an earlier run or compile may have left: the files of two applications must not mix. */
const OURS = ["graph.json", "components", "modules", "run.json", "result.json", "artifacts"];

/** Writes the compiled application: `graph.json`, `components/`, `modules/`. */
export function writeCompiled(folder: string, app: CompiledApp): void {
  writing(folder, () => {
    for (const name of OURS) rmSync(join(folder, name), { recursive: true, force: true });
    write(join(folder, "graph.json"), `${JSON.stringify(app.graph, undefined, 2)}\n`);
    for (const [path, text] of app.files) write(join(folder, path), text);
  });
}

export function writeResult(folder: string, value: unknown): void {
  writing(folder, () => write(join(folder, "result.json"), `${JSON.stringify(value)}\n`));
}

/** A folder that cannot be written is the person's to mend, not a defect. */
function writing(folder: string, action: () => void): void {
  try {
    action();
  } catch (error) {
    throw new BadInput(`cannot write to ${folder}: ${(error as Error).message}; name another folder with --out`, {
      folder,
    });
  }
}

/** `.sandloom/runs/x: components/, graph.json, run.json`, for people; empty when nothing was written. */
export function folderText(folder: string, cwd: string): string {
  let names: string[];
  try {
    names = readdirSync(folder, { withFileTypes: true }).map((entry) =>
      entry.isDirectory() ? `${entry.name}/` : entry.name,
    );
  } catch {
    return "";
  }
  return `${shortPath(folder, cwd)}: ${names.sort().join(", ")}`;
}

/** Relative where that is shorter to read: below the working folder. */
function shortPath(path: string, cwd: string): string {
  const short = relative(cwd, path);
  return short === "" ? "." : short.startsWith(`..${sep}`) || short === ".." ? path : short;
}

function write(path: string, text: string): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
}
