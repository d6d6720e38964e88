// The base image: boots Python, NumPy and pandas once and keeps their heap. Any run would do it; here it does not look as if
// the first run hung.
import { node } from "./paths.mjs";
import { run } from "./run.mjs";

/** @type {import("./step.mjs").Step} */
export const imageStep = {
  name: "image",
  doing: "building the base image of Python, NumPy and pandas",
  inputs: () => ["runtimes/python", "src/sandbox", "package-lock.json"],
  outputs: () => [],
  async work() {
    await run(node, ["--no-warnings", "src/sandbox/image/base.ts"]);
  },
};
