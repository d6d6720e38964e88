/**
 * A process that says what it can use of a base's compiled code: `node ...flags code-used.ts <base prefix> [path]`. With a path, it
 * first writes there the code of the same modules in another order.
 */
import { store } from "../../src/fabric/store.ts";
import { loadParts } from "../../src/sandbox/shell/parts.ts";

const [prefix, path] = process.argv.slice(2) as [string, string?];
const { code, main, libraries } = await loadParts(prefix);
const budget = 13_000_000;
if (path) store.codeWrite(path, [...libraries, main], { budget, usual_budget: budget });
console.log(JSON.stringify(code));
