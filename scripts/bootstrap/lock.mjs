// One set-up at a time in a checkout: two terminals, or a test that starts another npm script.
//
// The lock is a folder that holds its owner's pid. It is prepared aside and renamed into place: a rename on to a folder
// that is not empty fails, so there is never a lock without an owner, nor one with two.
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { say, SetupError } from "./log.mjs";

const POLL_MS = 100;
const PATIENCE_MS = 30 * 60_000;

/**
 * Waits for the lock, and gives it back when the process exits.
 *
 * @param {string} folder the folder that holds the lock; made if need be
 */
export async function takeLock(folder) {
  mkdirSync(folder, { recursive: true });
  const lock = join(folder, "lock");
  const mine = join(folder, `lock.${process.pid}`);
  rmSync(mine, { recursive: true, force: true });
  mkdirSync(mine);
  writeFileSync(join(mine, "owner"), identityOf(process.pid) ?? "");
  const deadline = performance.now() + PATIENCE_MS;
  for (let waited = false; !tryRename(mine, lock); waited = true) {
    const owner = ownerOf(lock);
    const pid = Number(owner?.split(" ")[0]);
    if (owner !== undefined && identityOf(pid) !== owner) {
      // The name is the dead owner's, so that of several who wait only one can move its lock away.
      const dead = join(folder, `lock.dead.${pid}`);
      if (tryRename(lock, dead)) giveBackAtExit(dead, dead);
      continue;
    }
    if (performance.now() > deadline)
      throw new SetupError(`another set-up (process ${pid}) holds ${lock} for too long`);
    if (!waited) say(`waiting for another set-up (process ${pid})`);
    await sleep(POLL_MS);
  }
  giveBackAtExit(lock, mine);
}

/**
 * @param {string} path
 * @param {string} aside where it is moved first: one that is being emptied must not stand at `path`
 */
function giveBackAtExit(path, aside) {
  process.on("exit", () => {
    if (path === aside || tryRename(path, aside)) rmSync(aside, { recursive: true, force: true });
  });
}

/** @param {string} from @param {string} to */
function tryRename(from, to) {
  try {
    renameSync(from, to);
    return true;
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    if (code === "ENOTEMPTY" || code === "EEXIST" || code === "ENOENT") return false;
    throw error;
  }
}

/** @param {string} lock */
function ownerOf(lock) {
  try {
    return readFileSync(join(lock, "owner"), "utf8");
  } catch {
    return undefined; // given back this moment
  }
}

/**
 * The pid and its start time: a pid alone may have been given to another process since.
 *
 * @param {number} pid
 */
function identityOf(pid) {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    // Field 22 of proc_pid_stat(5), counted from behind the command's closing bracket.
    return `${pid} ${stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19]}`;
  } catch {
    return undefined;
  }
}
