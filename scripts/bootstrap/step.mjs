// A step of the set-up does its work only when what it is made from has changed, or what it makes is gone. The check
// reads files and starts no process: with nothing to do, all steps together take milliseconds.
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { say, secondsSince } from "./log.mjs";
import { root, state } from "./paths.mjs";

/**
 * @typedef {object} Step
 * @property {string} name also the name of its stamp
 * @property {string} doing what the person at the terminal reads while it runs
 * @property {() => string[]} inputs files and folders, relative to the root, that the result depends on
 * @property {string[]} [except] folders within the inputs that are themselves results
 * @property {() => string[]} outputs files, relative to the root, that must be there afterwards
 * @property {() => Promise<void>} work
 */

/** @param {Step} step */
export async function runStep(step) {
  const stamp = join(state, "stamps", step.name);
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === hashOf(step) && step.outputs().every(present)) return;

  const started = performance.now();
  say(`${step.doing} ...`);
  rmSync(stamp, { force: true });
  await step.work();
  const missing = step.outputs().filter((path) => !present(path));
  if (missing.length > 0) throw new Error(`step '${step.name}' did not make ${missing.join(", ")}`);
  mkdirSync(join(state, "stamps"), { recursive: true });
  writeFileSync(stamp, hashOf(step));
  say(`${step.doing}: done in ${secondsSince(started)}`);
}

/** @param {string} path relative to the root */
function present(path) {
  return existsSync(join(root, path));
}

/** @param {Step} step */
function hashOf(step) {
  const hash = createHash("sha256");
  const except = new Set(step.except);
  /** @param {string} path */
  const add = (path) => {
    if (except.has(path)) return;
    const full = join(root, path);
    if (!existsSync(full)) hash.update(`absent\0${path}\0`);
    else if (statSync(full).isDirectory()) for (const name of readdirSync(full).toSorted()) add(`${path}/${name}`);
    else hash.update(`${path}\0`).update(readFileSync(full));
  };
  for (const path of step.inputs()) add(path);
  return hash.digest("hex");
}
