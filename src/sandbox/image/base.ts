/** The base image in the cache: its name says everything that went into it; it is built when it is not there. */
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { basename, dirname, extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { InternalError, Unsupported } from "../../graph/errors.ts";
import { cacheDirectory, packageRoot, pyodideDirectory, wheelPath } from "../runtime/paths.ts";
import type { BaseKind } from "../../graph/resource-graph.ts";
import { guestSources, lockedPackages, packagesOfBase } from "../runtime/catalogue.ts";
import { TUNING_FLAGS } from "../runtime/v8-flags.ts";
import { compiledCodePath, IMAGE_FORMAT } from "./format.ts";

/** How many bases of other versions stay in the cache: one to go back to. */
const KEPT_BASES = 2;

/** Sources of this engine that shape an image, or its compiled code. */
const shaping = [
  "./build-base",
  "./compile-code",
  "../runtime/v8-flags",
  "./fill-holes",
  "./libraries",
  "./strip-exports",
  "../shell/allocator-module",
  "../runtime/glue",
  "../shell/guest-root",
];

export interface Base {
  readonly kind: BaseKind;
  readonly hash: string;
  /** `${prefix}.img`, `.json`, `.main.wasm`, `.site.bin`, `.site.json`, `.glue.js` */
  readonly prefix: string;
}

export function baseOf(cacheDir: string, kind: BaseKind = "standard"): Base {
  const hash = createHash("sha256");
  hash.update(`${IMAGE_FORMAT}\n${process.version}\n`);
  hash.update(readFileSync(join(pyodideDirectory, "package.json")));
  const locked = lockedPackages();
  for (const name of packagesOfBase[kind]) hash.update(`${name} ${locked[name]?.sha256}\n`);
  for (const name of shaping) hash.update(readFileSync(new URL(name + extname(import.meta.filename), import.meta.url)));
  for (const path of guestSources()) hash.update(path).update(readFileSync(path));
  const digest = hash.digest("hex").slice(0, 32);
  return { kind, hash: digest, prefix: join(cacheDir, "images", `${stemOf(kind)}${digest}`) };
}

/** Makes sure that the base image is in the cache, with its compiled code. Building takes seconds; several builders at once do no harm. */
export async function ensureBase(
  cacheDir: string,
  onProgress: (line: string) => void,
  kind: BaseKind = "standard",
): Promise<Base> {
  const base = baseOf(cacheDir, kind);
  const { hash, prefix } = base;
  const since = (start: number): string => `${((performance.now() - start) / 1000).toFixed(1)} s`;
  if (!existsSync(`${prefix}.json`)) {
    await ensureWheels(kind, onProgress);
    mkdirSync(join(cacheDir, "images"), { recursive: true });
    onProgress(`building the base image (${CONTENTS[kind]}; once for this version) ...`);
    const start = performance.now();
    await runTool("build-base", [], [prefix, hash, kind]);
    if (!existsSync(`${prefix}.json`)) throw new InternalError("the base image was built, and is not there");
    dropOldBases(join(cacheDir, "images"), base);
    onProgress(`base image built in ${since(start)}`);
  }
  if (!existsSync(compiledCodePath(prefix))) {
    onProgress("compiling what the base image uses (once for this version) ...");
    const start = performance.now();
    await runTool("compile-code", TUNING_FLAGS, [prefix]);
    onProgress(`compiled in ${since(start)}`);
  }
  return base;
}

const CONTENTS: Readonly<Record<BaseKind, string>> = {
  standard: "Python, NumPy and pandas",
  scipy: "Python, NumPy, pandas and SciPy",
  sklearn: "Python, NumPy, pandas, SciPy and scikit-learn",
};

/** Those of a larger base are no part of the set-up. */
async function ensureWheels(kind: BaseKind, onProgress: (line: string) => void): Promise<void> {
  const locked = lockedPackages();
  const missing = packagesOfBase[kind].filter((name) => wheelPath(locked[name]?.file_name ?? name) === undefined);
  const script = join(packageRoot, "scripts", "bootstrap", "larger-base.mjs");
  // Without the set-up's own scripts, building says what is missing.
  if (missing.length === 0 || !existsSync(script)) return;
  onProgress(`getting ${missing.join(", ")} ...`);
  const { code, output } = await run([script, ...missing]);
  if (code !== 0) throw new Unsupported(`${missing.join(", ")} cannot be had: ${output.trim()}`, { packages: missing });
}

/** Runs a script of this folder in a process of its own. */
async function runTool(name: string, flags: readonly string[], args: readonly string[]): Promise<void> {
  const script = fileURLToPath(new URL(`./${name}${extname(import.meta.filename)}`, import.meta.url));
  const { code, output } = await run(["--no-warnings", ...flags, script, ...args]);
  if (code !== 0)
    throw new InternalError(`the base image could not be made: ${name} ended with exit code ${code}:\n${output}`);
}

async function run(args: readonly string[]): Promise<{ code: number | null; output: string }> {
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  for (const stream of [child.stdout, child.stderr])
    stream.on("data", (chunk: Buffer) => (output = (output + chunk.toString()).slice(-4000)));
  const code = await new Promise<number | null>((resolve) => child.once("close", resolve));
  return { code, output };
}

const stemOf = (kind: BaseKind): string => (kind === "standard" ? "base-" : `${kind}-`);

/** Takes a base that is damaged out of the cache: {@link ensureBase} then builds it anew. */
export function dropBase({ prefix }: Base): void {
  // The record first: without it the others are not looked at.
  rmSync(`${prefix}.json`, { force: true });
  for (const file of readdirSync(dirname(prefix)))
    if (file.startsWith(`${basename(prefix)}.`)) rmSync(join(dirname(prefix), file), { force: true });
}

function dropOldBases(folder: string, { hash: current, kind }: Base): void {
  const records = readdirSync(folder)
    .filter((name) => name.startsWith(stemOf(kind)) && /^\w+-[0-9a-f]+\.json$/.test(name) && !name.includes(current))
    .map((name) => ({ name, at_ms: statSync(join(folder, name)).mtimeMs }))
    .sort((a, b) => b.at_ms - a.at_ms);
  for (const { name } of records.slice(KEPT_BASES - 1)) {
    const stem = name.slice(0, -".json".length);
    for (const file of readdirSync(folder))
      if (file.startsWith(`${stem}.`)) rmSync(join(folder, file), { force: true });
  }
}

if (import.meta.main) await ensureBase(cacheDirectory(), (line) => console.log(line));
