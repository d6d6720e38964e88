// Writes the published JSON Schemas from the types in src/graph. Run it after changing them: `node scripts/schemas.mjs`.
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { RunRecord } from "../src/graph/events.ts";
import { ResourceGraph } from "../src/graph/resource-graph.ts";

const DIALECT = "https://json-schema.org/draft/2020-12/schema";

/** @returns {Record<string, string>} file name in schema/ → text */
export function schemaFiles() {
  const text = (/** @type {object} */ schema) => `${JSON.stringify({ $schema: DIALECT, ...schema }, undefined, 2)}\n`;
  return { "graph.json": text(ResourceGraph), "run.json": text(RunRecord) };
}

if (process.argv[1] === import.meta.filename) {
  const folder = join(import.meta.dirname, "..", "schema");
  mkdirSync(folder, { recursive: true });
  for (const [name, text] of Object.entries(schemaFiles())) writeFileSync(join(folder, name), text);
}
