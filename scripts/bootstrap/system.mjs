import { accessSync, constants, existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import { say, SetupError } from "./log.mjs";
import { run } from "./run.mjs";

/**
 * @typedef {object} SystemPackage
 * @property {string} name Debian's
 * @property {string} why
 * @property {() => boolean} present looks for a file: asking dpkg would cost a process at every start
 */

const LIBRARY_FOLDERS = ["/usr/lib/x86_64-linux-gnu", "/lib/x86_64-linux-gnu", "/usr/lib64", "/usr/lib"];

/** @type {SystemPackage[]} */
const NEEDED = [
  { name: "libatomic1", why: "Node 26 links it", present: () => hasLibrary("libatomic.so.1") },
  { name: "g++", why: "compiles the native addon", present: () => hasCommand("g++") },
  { name: "make", why: "compiles the native addon", present: () => hasCommand("make") },
  { name: "python3", why: "node-gyp is written in it", present: () => hasCommand("python3") },
];

/** Sandloom maps memory and isolates processes by means that only Linux has. */
export function checkPlatform() {
  const { platform, arch } = process;
  if (platform !== "linux" || arch !== "x64")
    throw new SetupError(`Sandloom runs on Linux on x64 only; this is ${platform} on ${arch}.`);
  if (!existsSync("/lib64/ld-linux-x86-64.so.2"))
    throw new SetupError("Sandloom needs a Linux with glibc (Debian, Ubuntu, Fedora ...); this one has none.");
}

export async function ensureSystemPackages() {
  const missing = NEEDED.filter((each) => !each.present());
  if (missing.length > 0) await installSystemPackages(missing);
}

/** @param {Pick<SystemPackage, "name" | "why">[]} packages */
export async function installSystemPackages(packages) {
  const names = packages.map(({ name }) => name);
  const install = ["install", "--yes", "--no-install-recommends", ...names];
  const reasons = packages.map(({ name, why }) => `${name} (${why})`).join(", ");
  if (!hasCommand("apt-get")) throw new SetupError(`missing on this system: ${reasons}. Install what Debian calls so.`);
  if (process.getuid?.() !== 0)
    throw new SetupError(
      `missing on this system: ${reasons}. Run this, then try again:\n  sudo apt-get ${install.join(" ")}`,
    );

  say(`installing Debian packages: ${names.join(" ")} ...`);
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  try {
    await run("apt-get", install, { env });
  } catch {
    await run("apt-get", ["update"], { env }); // the usual reason: package lists that are old, or not there
    await run("apt-get", install, { env });
  }
}

/** @param {string} file */
function hasLibrary(file) {
  return LIBRARY_FOLDERS.some((folder) => existsSync(join(folder, file)));
}

/** @param {string} command */
export function hasCommand(command) {
  return (process.env.PATH ?? "").split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, command), constants.X_OK);
      return folder !== "";
    } catch {
      return false;
    }
  });
}
