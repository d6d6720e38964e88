/** Where things lie on disk: the package's own files, the pinned Pyodide, its wheels, and the cache of built images. */
import { accessSync, constants, existsSync, mkdirSync } from "node:fs";
import { createRequire } from "node:module";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { BadInput } from "../../graph/errors.ts";

export const packageRoot: string = fileURLToPath(new URL("../../..", import.meta.url));
export const pyodideDirectory: string = dirname(createRequire(import.meta.url).resolve("pyodide/package.json"));
export const guestPackages: string = join(packageRoot, "runtimes", "python");

const stateDirectory = join(packageRoot, ".sandloom");

/** `$SANDLOOM_WHEELS`: the user's own folder of wheels, of whatever packages. */
export function userWheels(): string | undefined {
  return process.env["SANDLOOM_WHEELS"] || undefined;
}

/** Where the base image's wheels are looked for: in the user's folder, then where the bootstrap puts them. */
export function wheelDirectories(): string[] {
  const own = userWheels();
  return [...(own === undefined ? [] : [own]), join(stateDirectory, "wheels")];
}

/** Where a wheel is; undefined: in none of those folders. */
export function wheelPath(file: string): string | undefined {
  return wheelDirectories()
    .map((folder) => join(folder, file))
    .find((path) => existsSync(path));
}

/**
 * The cache for images: `option`, `$SANDLOOM_CACHE`, the package's own state folder when it can be written (a checkout), else
 * the user's cache folder.
 * @throws BadInput when the folder that was asked for cannot be written.
 */
export function cacheDirectory(option?: string): string {
  const asked = option ?? process.env["SANDLOOM_CACHE"];
  const folder = asked ?? (writable(packageRoot) ? stateDirectory : userCache());
  try {
    mkdirSync(folder, { recursive: true });
    accessSync(folder, constants.W_OK);
  } catch (error) {
    throw new BadInput(`the cache folder ${folder} cannot be written: ${(error as Error).message}`, { folder });
  }
  return folder;
}

function userCache(): string {
  return join(process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"), "sandloom");
}

function writable(folder: string): boolean {
  try {
    accessSync(existsSync(stateDirectory) ? stateDirectory : folder, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}
