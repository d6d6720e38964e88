// Data of the examples that set-up does not bring: the tables of TPC-DS at scale factor 0.1, made by DuckDB's dsdgen, and
// DuckDB's own answer to query 1 over the same tables. DuckDB is used here and nowhere else.
import { mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { takeLock } from "./bootstrap/lock.mjs";
import { say, SetupError } from "./bootstrap/log.mjs";
import { obtain } from "./bootstrap/obtain.mjs";
import { data, root, state } from "./bootstrap/paths.mjs";
import { localFolder, packageIndex } from "./bootstrap/sources.mjs";
import { runStep } from "./bootstrap/step.mjs";

/** An extension loads into the DuckDB of exactly its own version: it moves together with @duckdb/node-api. */
const extension = {
  file: "tpcds.duckdb_extension",
  sha256: "a0cff10440834544fc0691e868a908a148d6651194862c4f8e1338404bce6ff0",
  carrier: {
    package: "duckdb-extension-tpcds",
    version: "1.5.5",
    python: "3.11",
    folder: "duckdb_extension_tpcds/extensions/v1.5.5",
  },
};

/** Rows at this scale factor: dsdgen always makes the same. */
const ROWS = { store_returns: 28_576, date_dim: 73_049, store: 1, customer: 10_000 };
const SCALE_FACTOR = 0.1;

const tpcds = join(data, "tpcds-sf0.1");
const ANSWER = "expected.json";

/** @type {import("./bootstrap/step.mjs").Step} */
const tpcdsStep = {
  name: "tpcds",
  doing: "making the tables of TPC-DS with DuckDB",
  inputs: () => ["scripts/example-data.mjs", "node_modules/@duckdb/node-api/package.json"],
  outputs: () => [...Object.keys(ROWS).map(csvOf), join(tpcds, ANSWER)].map((path) => relative(root, path)),
  async work() {
    const folder = join(state, "duckdb");
    mkdirSync(folder, { recursive: true });
    const local = process.env.SANDLOOM_WHEELS;
    await obtain([extension], folder, [...(local ? [localFolder(local)] : []), packageIndex(extension.carrier)]);
    const making = `${tpcds}.making`;
    rmSync(making, { recursive: true, force: true });
    mkdirSync(making, { recursive: true });
    await makeTables(join(folder, extension.file), making);
    rmSync(tpcds, { recursive: true, force: true });
    renameSync(making, tpcds);
  },
};

/** @param {string} table */
function csvOf(table) {
  return join(tpcds, `${table}.csv`);
}

/**
 * @param {string} extensionPath
 * @param {string} folder
 */
async function makeTables(extensionPath, folder) {
  const { DuckDBInstance } = await import("@duckdb/node-api");
  const instance = await DuckDBInstance.create(":memory:");
  const connection = await instance.connect();
  try {
    await connection.run(`LOAD '${quoted(extensionPath)}'`);
    await connection.run(`CALL dsdgen(sf = ${SCALE_FACTOR})`);
    for (const [table, rows] of Object.entries(ROWS)) {
      const copied = await connection.run(
        `COPY ${table} TO '${quoted(join(folder, `${table}.csv`))}' (HEADER, DELIMITER '|')`,
      );
      if (copied.rowsChanged !== rows)
        throw new SetupError(`dsdgen made ${copied.rowsChanged} rows of ${table}, not ${rows}`);
    }
    const text = await connection.runAndReadAll("SELECT query FROM tpcds_queries() WHERE query_nr = 1");
    const answer = await connection.runAndReadAll(String(text.getRows()[0]?.[0]));
    writeFileSync(join(folder, ANSWER), `${JSON.stringify(answer.getColumnsObject())}\n`);
  } finally {
    connection.closeSync();
    instance.closeSync();
  }
}

/** @param {string} path within an SQL string */
function quoted(path) {
  return path.replaceAll("'", "''");
}

try {
  await takeLock(state);
  await runStep(tpcdsStep);
} catch (error) {
  const message = error instanceof Error ? error.message : String(error);
  say(`no TPC-DS tables: ${message.split(/\s*\n\s*/).join(" ")}`);
  process.exitCode = 1;
}
