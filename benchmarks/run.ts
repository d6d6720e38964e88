/** `npm run bench -- SUITE [--peers] [--quick] [--only ROW,ROW] [--json FILE] [--profile]`: see README.md in this folder. */
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { parseArgs } from "node:util";
import type { Bench, Figure } from "./bench.ts";
import { atExit } from "./cleanup.ts";
import { profileHosting } from "./hosting/profile.ts";
import { load, machine } from "./machine.ts";
import { type Result, tableText } from "./report.ts";
import { type Suite, suites } from "./suites.ts";
import { openWorkspace } from "./workspace.ts";

const named = (list: readonly { name: string }[]): string => list.map(({ name }) => name).join(", ");
const USAGE = `npm run bench -- SUITE [--peers] [--quick] [--only ROW,ROW] [--json FILE]
npm run bench -- hosting --profile

  SUITE     main: runs of components; hosting: functions over HTTP
  --peers   main: also measure Ray and Dask, in a virtual environment of the benchmark's own
  --quick   a smoke run of about a minute: no figure of it is worth keeping
  --only    some rows
              main: ${named(suites.main.rows)}
              hosting: ${named(suites.hosting.rows)}
  --json    also write the result to FILE (it always goes to .sandloom/bench/SUITE.json)
  --profile instead of measuring: a flame graph of an executor's threads while functions are invoked`;

const { values: flags, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    peers: { type: "boolean", default: false },
    quick: { type: "boolean", default: false },
    only: { type: "string" },
    json: { type: "string" },
    profile: { type: "boolean", default: false },
    help: { type: "boolean", short: "h", default: false },
  },
});
const [name = ""] = positionals;
const known = name === "main" || name === "hosting";
if (flags.help || positionals.length !== 1 || !known || (flags.profile && name !== "hosting")) {
  console.error(USAGE);
  process.exit(flags.help ? 0 : 2);
}
const suite: Suite = suites[name];
const { rows } = suite;
const chosen = flags.only?.split(",") ?? rows.map((row) => row.name);
const unknown = chosen.find((one) => !rows.some((row) => row.name === one));
if (unknown !== undefined) {
  console.error(`there is no row ${unknown}\n`);
  console.error(USAGE);
  process.exit(2);
}

const say = (line: string): void => console.error(`[bench] ${line}`);
const workspace = await openWorkspace(say);
atExit(() => workspace.dispose());
if (flags.profile) {
  const path = await profileHosting({ quick: flags.quick, workspace, peers: [], say });
  console.log(`flame graph: ${path}`);
  process.exit(0);
}
const load_before = load();
const started = await suite.start(workspace, { all: flags.peers, say });
const bench: Bench = { quick: flags.quick, workspace, peers: started.peers, say };
const figures: Figure[] = [];
try {
  for (const row of rows) {
    if (!chosen.includes(row.name)) continue;
    say(row.title);
    figures.push(...(await row.measure(bench)));
  }
} finally {
  await Promise.all(started.peers.map((peer) => peer.close()));
  workspace.dispose();
}
const result: Result = {
  format: "sandloom-bench/1",
  at: new Date().toISOString(),
  quick: flags.quick,
  machine: machine(),
  load_before,
  load_after: load(),
  peers: started.versions,
  not_measured: started.missing,
  figures,
};
for (const file of [
  join(workspace.folder, `${name}.json`),
  ...(flags.json === undefined ? [] : [resolve(flags.json)]),
]) {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, `${JSON.stringify(result)}\n`);
}
console.log(tableText(result, new Map(rows.map((row) => [row.name, row.title]))));
