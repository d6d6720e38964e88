/** The guest's root: environment and the files that are there before the interpreter starts, the same in build and in shells. */
import type { EmscriptenModule } from "../runtime/emscripten.ts";

export const SITE_PACKAGES = "/lib/python3.14/site-packages";
/** Where an application's own wheels are, if it requires any. */
export const PACKAGES = "/lib/python3.14/packages";
const STDLIB = "/lib/python314.zip";
const FIXED_MTIME = 1.7e12;

export const guestEnvironment: Readonly<Record<string, string>> = {
  HOME: "/home/pyodide",
  // Part of the image; fixed here, so that two builds of one base have the same layout.
  PYTHONHASHSEED: "0",
  // The time zone database: pytz brings one, and the wheel tzdata would be a second.
  PYTHONTZPATH: `${SITE_PACKAGES}/pytz/zoneinfo`,
};

/** Puts the standard library (one shared buffer, no copy) and the folders in place. */
export function installFiles(module: EmscriptenModule, stdlib: Uint8Array): void {
  const fs = module.FS;
  fs.mkdirTree("/lib");
  fs.mkdirTree(SITE_PACKAGES);
  fs.mkdirTree("/home/pyodide");
  module.API["sitePackages"] = SITE_PACKAGES;
  module.API["pyVersionTuple"] = [3, 14, 2];
  const zip = fs.create(STDLIB, 0o100777);
  zip.contents = stdlib;
  zip.usedBytes = stdlib.length;
  zip.mtime = zip.ctime = zip.atime = FIXED_MTIME;
}
