/** `npm run bench -- main [--peers] [--quick] [--only ROW,ROW] [--json FILE]`: see README.md in this folder. */
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { parseArgs } from "node:util";
import type { Bench, Figure } from "./bench.ts";
import { load, machine } from "./machine.ts";
import { rows } from "./main/rows.ts";
import { startPeers } from "./peers/start.ts";
import { type Result, tableText } from "./report.ts";
import { openWorkspace } from "./workspace.ts";

const USAGE = `npm run bench -- main [--peers] [--quick] [--only ROW,ROW] [--json FILE]

  --peers   also measure Ray and Dask, in a virtual environment of the benchmark's own
  --quick   a smoke run of less than a minute: no figure of it is worth keeping
  --only    some rows: ${rows.map(({ name }) => name).join(", ")}
  --json    also write the result to FILE (it always goes to .sandloom/bench/main.json)`;

const { values: flags, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    peers: { type: "boolean", default: false },
    quick: { type: "boolean", default: false },
    only: { type: "string" },
    json: { type: "string" },
    help: { type: "boolean", short: "h", default: false },
  },
});
const chosen = flags.only?.split(",") ?? rows.map(({ name }) => name);
const unknown = chosen.find((name) => !rows.some((row) => row.name === name));
if (flags.help || positionals.length !== 1 || positionals[0] !== "main" || unknown !== undefined) {
  if (unknown !== undefined) console.error(`there is no row ${unknown}\n`);
  console.error(USAGE);
  process.exit(flags.help ? 0 : 2);
}

const say = (line: string): void => console.error(`[bench] ${line}`);
const workspace = await openWorkspace(say);
const load_before = load();
const started = await startPeers(workspace, { all: flags.peers, say });
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
  peers: Object.assign({}, ...started.peers.map(({ versions }) => versions)) as Record<string, string>,
  not_measured: started.missing,
  figures,
};
for (const file of [join(workspace.folder, "main.json"), ...(flags.json === undefined ? [] : [resolve(flags.json)])]) {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, `${JSON.stringify(result)}\n`);
}
console.log(tableText(result, new Map(rows.map(({ name, title }) => [name, title]))));
