/** A cluster for a test file, and programs given as text run on it. */
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll } from "vitest";
import { createCluster, LocalCluster } from "../../src/cluster/cluster.ts";
import type { Cluster, ClusterOptions, Run, RunOptions } from "../../src/cluster/api.ts";
import { type GuestFrame, SandloomError } from "../../src/graph/errors.ts";
import type { EventOf, RunEvent, RunRecord } from "../../src/graph/events.ts";
import { cacheDirectory } from "../../src/sandbox/runtime/paths.ts";

/** What one run came to; `value` or `error`. */
export interface Outcome {
  readonly value: unknown;
  readonly error: SandloomError | undefined;
  readonly events: readonly RunEvent[];
  readonly record: RunRecord | undefined;
}

export class Bench {
  readonly folder: string = mkdtempSync(join(tmpdir(), "sandloom-test-"));
  #cluster: LocalCluster | undefined;
  #apps = 0;
  readonly #sources = new Map<string, string>();

  get cluster(): LocalCluster {
    if (!this.#cluster) throw new Error("the cluster has not started");
    return this.#cluster;
  }

  /** Images are shared with every other cluster of this checkout; the applications of a test are its own. */
  async start(options: ClusterOptions = {}): Promise<void> {
    const shared = cacheDirectory();
    const cacheDir = join(this.folder, "cache");
    mkdirSync(cacheDir);
    for (const name of ["images", "compile-cache"]) {
      mkdirSync(join(shared, name), { recursive: true });
      symlinkSync(join(shared, name), join(cacheDir, name));
    }
    const cluster: Cluster = await createCluster({ cpus: 2, ...options, cacheDir });
    if (!(cluster instanceof LocalCluster)) throw new Error("a cluster of another kind");
    this.#cluster = cluster;
  }

  async stop(): Promise<void> {
    await this.#cluster?.close();
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** Writes an application; its folder. */
  write(files: Readonly<Record<string, string>>): string {
    const folder = join(this.folder, `app${this.#apps++}`);
    for (const [path, text] of Object.entries(files)) {
      mkdirSync(dirname(join(folder, path)), { recursive: true });
      writeFileSync(join(folder, path), text);
    }
    return folder;
  }

  /** Runs an application to its end, whatever that is. */
  async run(app: string, options: RunOptions = {}): Promise<Outcome> {
    return outcomeOf(this.cluster.run(app, options));
  }

  /** Runs one file; equal texts are compiled once. */
  async runSource(source: string, event: unknown = {}, options: RunOptions = {}): Promise<Outcome> {
    let app = this.#sources.get(source);
    if (app === undefined) this.#sources.set(source, (app = this.write({ "app.py": source })));
    return this.run(app, { ...options, event });
  }

  /** Like {@link runSource}, for a program that must return. */
  async valueOf(source: string, event: unknown = {}, options: RunOptions = {}): Promise<unknown> {
    const { error, value } = await this.runSource(source, event, options);
    if (error) throw error;
    return value;
  }
}

export async function outcomeOf(run: Run): Promise<Outcome> {
  let value: unknown;
  let record: RunRecord | undefined;
  let error: SandloomError | undefined;
  try {
    ({ value, record } = await run.result);
  } catch (thrown) {
    error = SandloomError.from(thrown);
  }
  const events: RunEvent[] = [];
  for await (const event of run.events) events.push(event);
  return { value, error, events, record };
}

/** One cluster for all tests of the file. */
export function useBench(options: ClusterOptions = {}): Bench {
  const bench = new Bench();
  beforeAll(() => bench.start(options));
  afterAll(() => bench.stop());
  return bench;
}

/** The user's frames that an error came with. */
export function framesOf(error: SandloomError | undefined): readonly GuestFrame[] {
  return (error?.details["frames"] ?? []) as readonly GuestFrame[];
}

export function eventsOf<T extends RunEvent["type"]>({ events }: Pick<Outcome, "events">, type: T): EventOf<T>[] {
  return events.filter((event): event is EventOf<T> => event.type === type);
}
