/** The folders of the benchmarks, and the programs they run. */
import { existsSync, mkdirSync, rmSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { ensureBase } from "../src/sandbox/image/base.ts";
import { cacheDirectory } from "../src/sandbox/runtime/paths.ts";

export interface Workspace {
  readonly root: string;
  readonly folder: string;
  /** A cache with the base images of the usual one and applications of its own: those are deleted at the end. */
  readonly cacheDir: string;
  /** Path of a program in the folder `apps` of a suite, `main` if none is named. */
  readonly app: (name: string, suite?: string) => string;
  readonly dispose: () => void;
}

export async function openWorkspace(say: (line: string) => void): Promise<Workspace> {
  const root = fileURLToPath(new URL("..", import.meta.url));
  const usual = cacheDirectory();
  await ensureBase(usual, say);
  const folder = join(root, ".sandloom", "bench");
  const cacheDir = join(folder, `cache-${process.pid}`);
  mkdirSync(cacheDir, { recursive: true });
  for (const shared of ["images", "compile-cache"]) {
    mkdirSync(join(usual, shared), { recursive: true });
    if (!existsSync(join(cacheDir, shared))) symlinkSync(join(usual, shared), join(cacheDir, shared));
  }
  return {
    root,
    folder,
    cacheDir,
    app: (name, suite = "main") => fileURLToPath(new URL(`./${suite}/apps/${name}.py`, import.meta.url)),
    dispose: () => rmSync(cacheDir, { recursive: true, force: true }),
  };
}
