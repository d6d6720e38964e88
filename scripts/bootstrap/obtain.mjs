import { createHash } from "node:crypto";
import { existsSync, mkdtempSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { say, SetupError } from "./log.mjs";

/** @typedef {{ file: string, sha256: string }} Pinned a file name, and the sha256 of the only content that counts */

/**
 * A place that may have files. To add one is to add an entry to a list of these.
 *
 * @typedef {object} Source
 * @property {string} name
 * @property {(files: string[], folder: string) => Promise<void>} fetch puts those of the files that it has into the folder,
 *   or throws; what it puts there need not be right
 */

/**
 * Makes sure that the folder has all the files, each with the right content: what is not there yet comes from the first
 * source that has it.
 *
 * @param {Pinned[]} wanted
 * @param {string} folder
 * @param {Source[]} sources
 */
export async function obtain(wanted, folder, sources) {
  const stillMissing = () =>
    wanted.filter(({ file, sha256: expected }) => sha256OfFile(join(folder, file)) !== expected);
  let missing = stillMissing();
  /** @type {string[]} */
  const complaints = [];
  for (const source of sources) {
    if (missing.length === 0) return;
    const arrived = mkdtempSync(join(folder, "arriving-"));
    try {
      await source.fetch(
        missing.map(({ file }) => file),
        arrived,
      );
    } catch (error) {
      complaints.push(`${source.name}: ${error instanceof Error ? error.message : String(error)}`);
    }
    for (const { file, sha256: expected } of missing) {
      const actual = sha256OfFile(join(arrived, file));
      if (actual === expected) renameSync(join(arrived, file), join(folder, file));
      else if (actual !== undefined) complaints.push(`${source.name}: ${file} has sha256 ${actual}, not ${expected}`);
    }
    rmSync(arrived, { recursive: true, force: true });
    const before = missing.length;
    missing = stillMissing();
    if (missing.length < before) say(`  ${before - missing.length} of ${before} files from ${source.name}`);
  }
  if (missing.length === 0) return;
  const indented = (/** @type {string[]} */ lines) =>
    lines.map((line) => `\n  ${line.replaceAll("\n", "\n    ")}`).join("");
  const files = indented(missing.map(({ file }) => file));
  throw new SetupError(
    `no source has these files:${files}\nThis is what they said:${indented(complaints)}\n` +
      "Check the network, or put the files into a folder and name it in SANDLOOM_WHEELS.",
  );
}

/**
 * @param {string} path
 * @returns {string | undefined} none when there is no such file
 */
export function sha256OfFile(path) {
  return existsSync(path) ? sha256Of(readFileSync(path)) : undefined;
}

/** @param {Buffer} content */
export function sha256Of(content) {
  return createHash("sha256").update(content).digest("hex");
}
