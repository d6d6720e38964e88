// NumPy and pandas for the system's CPython, in a folder of their own: tests and the demonstration run each program there
// too and compare. Optional: without it they say that they did not compare, and why.
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { say, SetupError } from "./log.mjs";
import { state } from "./paths.mjs";
import { run } from "./run.mjs";
import { hasCommand, installSystemPackages } from "./system.mjs";

const REQUIREMENTS = "scripts/cpython-requirements.txt";
const FOLDER = join(state, "cpython");

/** @type {import("./step.mjs").Step} */
export const cpythonStep = {
  name: "cpython",
  doing: "getting NumPy and pandas for the system's Python",
  inputs: () => [REQUIREMENTS, "scripts/bootstrap/cpython.mjs"],
  outputs: () => [".sandloom/cpython/state.txt"],
  async work() {
    rmSync(FOLDER, { recursive: true, force: true });
    mkdirSync(FOLDER, { recursive: true });
    let found = "ready";
    try {
      await ensurePip();
      const install = [
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--only-binary=:all:",
        "--disable-pip-version-check",
      ];
      await run("python3", [...install, "--root-user-action=ignore", "--target", FOLDER, "-r", REQUIREMENTS]);
    } catch (error) {
      if (!(error instanceof SetupError)) throw error;
      found = `no NumPy for python3: ${error.message.split("\n").findLast((line) => /error/i.test(line)) ?? error.message}`;
      say(`  ${found}; programs are not compared with CPython`);
    }
    writeFileSync(join(FOLDER, "state.txt"), `${found}\n`);
  },
};

async function ensurePip() {
  try {
    await run("python3", ["-m", "pip", "--version"]);
  } catch (error) {
    if (!hasCommand("apt-get") || process.getuid?.() !== 0) throw error;
    await installSystemPackages([
      { name: "python3-pip", why: "gets NumPy and pandas for the comparison with CPython" },
    ]);
  }
}
