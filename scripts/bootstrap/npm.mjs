import { run } from "./run.mjs";

/** @type {import("./step.mjs").Step} */
export const npmStep = {
  name: "npm",
  doing: "installing npm packages",
  inputs: () => ["package-lock.json"], // it holds what package.json asks for, and does not change with a script there
  outputs: () => ["node_modules/.bin/node", "node_modules/.package-lock.json"],
  async work() {
    // The npm that started this script, under the Node that it runs on itself: never the Node that it is about to replace.
    const { npm_execpath: npm, npm_node_execpath: outerNode = process.execPath } = process.env;
    const [command, first] = npm?.endsWith("npm-cli.js") ? [outerNode, [npm]] : ["npm", []];
    // No dependency has an install script, and none will get to run one unseen.
    const args = ["ci", "--include=dev", "--include=optional", "--ignore-scripts", "--no-audit", "--no-fund"];
    // The outer Node may be older than what a package names: it only installs them. `error` hides those warnings.
    const env = { ...process.env, npm_config_loglevel: "error", npm_config_engine_strict: "false" };
    await run(command, [...first, ...args], { env });
  },
};
