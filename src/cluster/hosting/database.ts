/**
 * What a host keeps: deployments, asynchronous invocations and logs, in one SQLite file. A write that returned survives the end of the
 * process and of the machine (WAL, synchronous=FULL), logs excepted: they are written in batches.
 */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync, type StatementSync } from "node:sqlite";
import { BadInput, type ErrorReport, Overloaded } from "../../graph/errors.ts";
import type { Surroundings } from "../../graph/resource-graph.ts";
import type { FunctionSettings, InvocationState, LogLine, Sources } from "./bundle.ts";

const FORMAT_VERSION = 2;
const SCHEMA = `
CREATE TABLE versions (
  name TEXT NOT NULL,
  version INTEGER NOT NULL,
  created_ms INTEGER NOT NULL,
  hash TEXT NOT NULL,
  sources TEXT NOT NULL,
  settings TEXT NOT NULL,
  secret_names TEXT NOT NULL,
  secrets BLOB,
  needs TEXT,
  PRIMARY KEY (name, version)
) STRICT;
-- Numbers are not used again, even after a function was removed and deployed anew.
CREATE TABLE last_versions (name TEXT PRIMARY KEY, version INTEGER NOT NULL) STRICT;
CREATE TABLE invocations (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL,
  version INTEGER NOT NULL,
  idempotency_key TEXT,
  event TEXT NOT NULL,
  state TEXT NOT NULL,
  attempts INTEGER NOT NULL DEFAULT 0,
  created_ms INTEGER NOT NULL,
  ended_ms INTEGER,
  result TEXT,
  error TEXT
) STRICT;
CREATE UNIQUE INDEX invocations_by_key ON invocations (name, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE INDEX invocations_by_state ON invocations (state, created_ms);
CREATE INDEX invocations_by_end ON invocations (ended_ms);
CREATE TABLE logs (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  name TEXT NOT NULL,
  version INTEGER NOT NULL,
  invocation TEXT NOT NULL,
  at_ms INTEGER NOT NULL,
  stream TEXT NOT NULL,
  text TEXT NOT NULL
) STRICT;
CREATE INDEX logs_by_name ON logs (name, id);
`;

/** From the format of that number to the next. */
const UPGRADES: Readonly<Record<number, string>> = { 1: "ALTER TABLE versions ADD COLUMN needs TEXT;" };

export interface VersionRow {
  readonly name: string;
  readonly version: number;
  readonly created_ms: number;
  readonly hash: string;
  readonly sources: Sources;
  readonly settings: FunctionSettings;
  readonly secret_names: readonly string[];
  readonly secrets: Uint8Array | null;
  /** What its requirements came to, if it has any. */
  readonly needs: Surroundings | null;
}

export interface InvocationRow {
  readonly id: string;
  readonly name: string;
  readonly version: number;
  /** JSON. */
  readonly event: string;
  readonly state: InvocationState;
  readonly attempts: number;
  readonly created_ms: number;
  readonly ended_ms: number | null;
  /** JSON. */
  readonly result: string | null;
  readonly error: ErrorReport | null;
}

export type NewLogLine = Omit<LogLine, "id" | "at"> & { readonly name: string; readonly at_ms: number };

type Row = Record<string, unknown>;

export class HostDatabase {
  readonly #db: DatabaseSync;
  readonly #statements = new Map<string, StatementSync>();
  readonly #limits: { readonly versions: number };

  /** `limits.versions`: of all functions; each keeps its sources. @throws BadInput for a database of a newer version, and for one that another server has open */
  constructor(folder: string, limits: { readonly versions: number }) {
    this.#limits = limits;
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const path = join(folder, "sandloom.db");
    this.#db = new DatabaseSync(path);
    try {
      // One server a database: two would both run what the last one left behind. The lock goes with the process, however it ends.
      this.#db.exec("PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;");
      this.#db.exec("BEGIN IMMEDIATE; COMMIT;");
    } catch (error) {
      this.#db.close();
      throw new BadInput(`${path} cannot be opened (${(error as Error).message}): does another server use it?`, {
        path,
      });
    }
    const { user_version: version } = this.#db.prepare("PRAGMA user_version").get() as { user_version: number };
    if (version > FORMAT_VERSION)
      throw new BadInput(`${path} has format ${version}, and this version of Sandloom knows up to ${FORMAT_VERSION}`, {
        path,
      });
    const upgrade =
      version === 0
        ? SCHEMA
        : Array.from({ length: FORMAT_VERSION - version }, (_, past) => UPGRADES[version + past]).join("\n");
    if (version !== FORMAT_VERSION)
      this.#transaction(() => this.#db.exec(`${upgrade} PRAGMA user_version = ${FORMAT_VERSION};`));
  }

  close(): void {
    this.#db.close();
  }

  /** Adds a version, numbered one above the last that ever was of this name. */
  addVersion(row: Omit<VersionRow, "version">): number {
    return this.#transaction(() => {
      const { count } = this.#one("SELECT count(*) AS count FROM versions") as { count: number };
      const { versions: bound } = this.#limits;
      if (count >= bound)
        throw new Overloaded(`${count} versions are deployed, and that is the most: remove some`, {
          limit: "versions",
          bound,
          value: count + 1,
        });
      const { name, created_ms, hash, sources, settings, secret_names, secrets, needs } = row;
      const { version } = this.#one(
        `INSERT INTO last_versions VALUES (?, 1) ON CONFLICT (name) DO UPDATE SET version = version + 1 RETURNING version`,
        name,
      ) as { version: number };
      this.#run(
        "INSERT INTO versions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        name,
        version,
        created_ms,
        hash,
        JSON.stringify(sources),
        JSON.stringify(settings),
        JSON.stringify(secret_names),
        secrets,
        needs && JSON.stringify(needs),
      );
      return version;
    });
  }

  /** The given version, or the last. */
  version(name: string, version?: number): VersionRow | undefined {
    const row =
      version === undefined
        ? this.#one("SELECT * FROM versions WHERE name = ? ORDER BY version DESC LIMIT 1", name)
        : this.#one("SELECT * FROM versions WHERE name = ? AND version = ?", name, version);
    return row && versionOf(row);
  }

  /** All versions of a function, or the last of each; newest first. */
  versions(name?: string): VersionRow[] {
    const rows =
      name === undefined
        ? this.#all(
            `SELECT v.* FROM versions v JOIN (SELECT name, max(version) AS version FROM versions GROUP BY name) USING (name, version)
             ORDER BY name`,
          )
        : this.#all("SELECT * FROM versions WHERE name = ? ORDER BY version DESC", name);
    return rows.map(versionOf);
  }

  /** @returns whether there was anything to remove */
  removeVersions(name: string, version?: number): boolean {
    return this.#transaction(() => {
      const removed =
        version === undefined
          ? this.#run("DELETE FROM versions WHERE name = ?", name)
          : this.#run("DELETE FROM versions WHERE name = ? AND version = ?", name, version);
      if (version === undefined) this.#run("DELETE FROM logs WHERE name = ?", name);
      return removed > 0;
    });
  }

  /** @returns the invocation that has the same idempotency key, if there is one: then nothing is added */
  addInvocation(
    row: Pick<InvocationRow, "id" | "name" | "version" | "event" | "created_ms">,
    key?: string,
  ): InvocationRow | undefined {
    return this.#transaction(() => {
      const same =
        key === undefined
          ? undefined
          : this.#one("SELECT * FROM invocations WHERE name = ? AND idempotency_key = ?", row.name, key);
      if (same) return invocationOf(same);
      this.#run(
        "INSERT INTO invocations (id, name, version, idempotency_key, event, state, created_ms) VALUES (?, ?, ?, ?, ?, 'queued', ?)",
        row.id,
        row.name,
        row.version,
        key ?? null,
        row.event,
        row.created_ms,
      );
      return undefined;
    });
  }

  invocation(id: string): InvocationRow | undefined {
    const row = this.#one("SELECT * FROM invocations WHERE id = ?", id);
    return row && invocationOf(row);
  }

  /** Those that a server which ended left behind, oldest first. */
  unfinishedInvocations(): InvocationRow[] {
    return this.#all("SELECT * FROM invocations WHERE state IN ('queued', 'running') ORDER BY created_ms").map(
      invocationOf,
    );
  }

  beginInvocation(id: string): void {
    this.#run("UPDATE invocations SET state = 'running', attempts = attempts + 1 WHERE id = ?", id);
  }

  endInvocation(id: string, ended_ms: number, outcome: { result: string } | { error: ErrorReport }): void {
    const [state, result, error] =
      "result" in outcome ? ["succeeded", outcome.result, null] : ["failed", null, JSON.stringify(outcome.error)];
    this.#run(
      "UPDATE invocations SET state = ?, ended_ms = ?, result = ?, error = ? WHERE id = ?",
      state,
      ended_ms,
      result,
      error,
      id,
    );
  }

  /** Forgets invocations that ended before the time. */
  forgetInvocations(ended_before_ms: number): number {
    return this.#run("DELETE FROM invocations WHERE ended_ms < ?", ended_before_ms);
  }

  /** @returns the id of the first line; the others follow it */
  addLogLines(lines: readonly NewLogLine[], kept_per_function: number): number {
    return this.#transaction(() => {
      let first = 0;
      for (const { name, version, invocation, at_ms, stream, text } of lines) {
        const { id } = this.#one(
          "INSERT INTO logs (name, version, invocation, at_ms, stream, text) VALUES (?, ?, ?, ?, ?, ?) RETURNING id",
          name,
          version,
          invocation,
          at_ms,
          stream,
          text,
        ) as { id: number };
        first ||= id;
      }
      for (const name of new Set(lines.map((line) => line.name)))
        this.#run(
          "DELETE FROM logs WHERE name = ? AND id <= (SELECT id FROM logs WHERE name = ? ORDER BY id DESC LIMIT 1 OFFSET ?)",
          name,
          name,
          kept_per_function,
        );
      return first;
    });
  }

  /** Lines after `after`; without it the last ones. Oldest first. */
  logLines(name: string, { after, limit }: { after?: number; limit: number }): LogLine[] {
    const rows =
      after === undefined
        ? this.#all("SELECT * FROM logs WHERE name = ? ORDER BY id DESC LIMIT ?", name, limit).toReversed()
        : this.#all("SELECT * FROM logs WHERE name = ? AND id > ? ORDER BY id LIMIT ?", name, after, limit);
    return rows.map((row) => {
      const { id, version, invocation, at_ms, stream, text } = row as unknown as NewLogLine & { id: number };
      return { id, at: new Date(at_ms).toISOString(), version, invocation, stream, text };
    });
  }

  #transaction<T>(work: () => T): T {
    this.#db.exec("BEGIN IMMEDIATE");
    try {
      const value = work();
      this.#db.exec("COMMIT");
      return value;
    } catch (error) {
      this.#db.exec("ROLLBACK");
      throw error;
    }
  }

  #prepared(sql: string): StatementSync {
    let statement = this.#statements.get(sql);
    if (!statement) this.#statements.set(sql, (statement = this.#db.prepare(sql)));
    return statement;
  }
  #run(sql: string, ...values: readonly (string | number | Uint8Array | null)[]): number {
    return Number(this.#prepared(sql).run(...values).changes);
  }
  #one(sql: string, ...values: readonly (string | number)[]): Row | undefined {
    return this.#prepared(sql).get(...values);
  }
  #all(sql: string, ...values: readonly (string | number)[]): Row[] {
    return this.#prepared(sql).all(...values);
  }
}

function versionOf(row: Row): VersionRow {
  const { sources, settings, secret_names, needs } = row as Record<string, string | null>;
  return {
    ...(row as unknown as VersionRow),
    sources: JSON.parse(sources ?? "") as Sources,
    settings: JSON.parse(settings ?? "") as FunctionSettings,
    secret_names: JSON.parse(secret_names ?? "") as string[],
    needs: needs ? (JSON.parse(needs) as Surroundings) : null,
  };
}

function invocationOf(row: Row): InvocationRow {
  const error = row["error"] as string | null;
  return { ...(row as unknown as InvocationRow), error: error === null ? null : (JSON.parse(error) as ErrorReport) };
}
