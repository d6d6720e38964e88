import { spawn } from "node:child_process";
import { say, secondsSince, SetupError } from "./log.mjs";

const HEARTBEAT_MS = 10_000;
const KEPT_OUTPUT_CHARS = 20_000;

/**
 * Runs a command without showing its output; the end of the output is in the error when it fails.
 *
 * @param {string} command
 * @param {string[]} args
 * @param {{ env?: NodeJS.ProcessEnv }} [options]
 * @returns {Promise<void>}
 */
export function run(command, args, { env = process.env } = {}) {
  const started = performance.now();
  const heartbeat = setInterval(() => say(`  still running after ${secondsSince(started)}`), HEARTBEAT_MS);
  /** @type {Promise<void>} */
  const ended = new Promise((resolve, reject) => {
    const child = spawn(command, args, { env, stdio: ["ignore", "pipe", "pipe"] });
    let output = "";
    const keep = (/** @type {Buffer} */ chunk) => {
      output = (output + chunk.toString()).slice(-KEPT_OUTPUT_CHARS);
    };
    child.stdout.on("data", keep);
    child.stderr.on("data", keep);
    child.on("error", (error) => reject(new SetupError(`cannot run ${command}: ${error.message}`)));
    child.on("close", (code, signal) => {
      if (code === 0) resolve();
      else
        reject(new SetupError(`${output.trimEnd()}\n'${command} ${args.join(" ")}' failed (${signal ?? code})`.trim()));
    });
  });
  return ended.finally(() => clearInterval(heartbeat));
}
