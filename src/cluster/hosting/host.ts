/**
 * Function hosting (docs/hosting.md): deployments with immutable versions, invocations that wait for their answer and such that do
 * not, their logs, and what is told of them. One host has one cluster, that is one executor process: one tenant.
 */
import { randomUUID } from "node:crypto";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import {
  BadInput,
  Cancelled,
  Conflict,
  type ErrorReport,
  NotFound,
  Overloaded,
  SandloomError,
} from "../../graph/errors.ts";
import { defaultLimits, type Limits } from "../../graph/limits.ts";
import type { PoolEvent } from "../../graph/pool.ts";
import type { ClusterOptions, CompiledApp } from "../api.ts";
import type { Application } from "../application.ts";
import { createLocalCluster, type LocalCluster } from "../cluster.ts";
import type { Usage } from "../executor/protocol.ts";
import { type HostPoolOptions, poolOfHost } from "../pool-settings.ts";
import {
  type Deployment,
  type FunctionSettings,
  type LogLine,
  type Secrets,
  type Sources,
  type StoredInvocation,
} from "./bundle.ts";
import { HostDatabase, type InvocationRow, type VersionRow } from "./database.ts";
import { FairQueue, RETRY_AFTER_MS } from "./fair-queue.ts";
import { LogBook } from "./log-book.ts";
import { MountPermissions } from "./mount-permissions.ts";
import { PoolLog } from "./pool-log.ts";
import { SecretBox } from "./secret-box.ts";

export interface HostOptions extends Pick<ClusterOptions, "cacheDir" | "onProgress">, HostPoolOptions {
  /** Database and key; made if missing. */
  readonly dataDir: string;
  /** Invocations at a time: each has a sandbox and a thread. */
  readonly workers: number;
  readonly waiting_per_function?: number;
  readonly waiting?: number;
  /** Versions of all functions. */
  readonly versions?: number;
  /** Stored invocations that have not ended. */
  readonly stored?: number;
  /** Folders of this machine that functions may be given, and what lies below; none when absent. */
  readonly allowed_mounts?: readonly string[];
  /** For how long the result of a stored invocation can be asked for. */
  readonly retention_ms?: number;
  /** Told of every invocation that ended. */
  readonly onInvocation?: (told: InvocationReport) => void;
  /** Told of every sandbox that was made, let go, discarded or refused. */
  readonly onPool?: (event: PoolEvent) => void;
}

export interface InvocationReport {
  readonly id: string;
  readonly name: string;
  readonly version: number;
  /** `ok`, or the code of its error. */
  readonly outcome: string;
  /** Until it had a worker. */
  readonly queue_ms: number;
  readonly run_ms: number;
  readonly usage: Usage;
}

export interface InvokeOptions {
  readonly version?: number;
  /** JSON. */
  readonly event: string;
  readonly signal?: AbortSignal;
  /** Live, what it prints. */
  readonly onOutput?: (stream: "stdout" | "stderr", text: string) => void;
}

export interface Invoked {
  readonly id: string;
  readonly version: number;
  /** JSON. */
  readonly document: string;
  readonly report: InvocationReport;
}

export interface HostStats {
  readonly running: number;
  readonly waiting: number;
  readonly workers: number;
  readonly sandboxes: number;
  /** Proportional set size of the executor. */
  readonly pss_bytes: number;
  readonly pool: Readonly<Record<PoolEvent["what"], number>> & {
    readonly sandboxes: number;
    readonly idle: number;
    readonly min_warm: number;
    /** What its bound is held against: sandboxes, memory components, images. */
    readonly memory_bytes: number;
    readonly bound_bytes: number;
    readonly recent: readonly PoolEvent[];
  };
  readonly functions: Readonly<Record<string, { readonly running: number; readonly waiting: number }>>;
}

interface HostPool {
  readonly min_warm: number;
  readonly bound_bytes: number;
  readonly log: PoolLog;
}

/** A version that can run. */
interface Deployed {
  readonly row: VersionRow;
  readonly limits: Limits;
  readonly environment: string | undefined;
  app: CompiledApp | undefined;
}

const WAITING_PER_FUNCTION = 1000;
const WAITING = 5000;
/** The longest that an invocation which has its turn waits for a sandbox. */
const SANDBOX_WAIT_MS = 30_000;
const VERSIONS = 10_000;
const STORED = 100_000;
const RETENTION_MS = 24 * 3600 * 1000;
const SWEEP_MS = 60_000;
/** An invocation that is stored and lost with its executor or server so often is given up. */
const MAX_ATTEMPTS = 3;

export class FunctionHost implements AsyncDisposable {
  readonly #options: HostOptions;
  readonly #cluster: LocalCluster;
  readonly #pool: HostPool;
  readonly #database: HostDatabase;
  readonly #secrets: SecretBox;
  readonly #logs: LogBook;
  readonly #mounts: MountPermissions;
  readonly #queue: FairQueue;
  /** By `name@version`, as far as they were used. */
  readonly #deployed = new Map<string, Deployed>();
  /** The version that a name without one means. */
  readonly #latest = new Map<string, Deployed>();
  readonly #stopping = new AbortController();
  readonly #running = new Set<Promise<unknown>>();
  /** Stored invocations that somebody waits for. */
  readonly #ends = new Map<string, PromiseWithResolvers<void>>();
  readonly #sweeping: NodeJS.Timeout;
  #draining = false;
  /** The time that was left for what runs is over. */
  #late = false;

  private constructor(options: HostOptions, cluster: LocalCluster, pool: HostPool) {
    const { dataDir, workers, waiting_per_function = WAITING_PER_FUNCTION, waiting = WAITING } = options;
    const { versions = VERSIONS } = options;
    this.#options = options;
    this.#cluster = cluster;
    this.#pool = pool;
    mkdirSync(dataDir, { recursive: true, mode: 0o700 });
    this.#database = new HostDatabase(dataDir, { versions });
    this.#secrets = new SecretBox(join(dataDir, "secrets.key"));
    this.#logs = new LogBook(this.#database);
    this.#mounts = new MountPermissions(options.allowed_mounts ?? [], dataDir);
    this.#queue = new FairQueue({ workers, waiting_per_function, waiting });
    this.#sweeping = setInterval(() => this.#sweep(), SWEEP_MS).unref();
    for (const row of this.#database.unfinishedInvocations()) this.#carry(row);
  }

  static async open(options: HostOptions): Promise<FunctionHost> {
    const { cacheDir, onProgress, workers } = options;
    const { pool, memory_bytes } = poolOfHost(options);
    const log = new PoolLog();
    const onEvent = (event: PoolEvent): void => {
      log.add(event);
      options.onPool?.(event);
      if (event.what === "refused") onProgress?.(`no sandbox is made: ${event.reason}`);
    };
    const cluster = await createLocalCluster({
      cpus: workers,
      memory_bytes,
      pool: { ...pool, onEvent },
      ...(cacheDir === undefined ? {} : { cacheDir }),
      ...(onProgress ? { onProgress } : {}),
    });
    try {
      return new FunctionHost(options, cluster, { ...pool, log });
    } catch (error) {
      await cluster.close();
      throw error;
    }
  }

  /** Resolves when the executor has a sandbox, and the last versions their images. */
  async warm(): Promise<void> {
    await this.#cluster.ready();
    for (const { name } of this.#database.versions()) await this.#open(this.#find(name)).catch(() => undefined);
  }

  /**
   * Compiles the sources and runs their top level once; then the version is there for good.
   * @throws CompileRefused, RequirementRefused, GuestRaised of the top level, what its limits throw, and what is wrong with its mounts
   */
  async deploy(
    name: string,
    sources: Sources,
    settings: FunctionSettings,
    secrets: Secrets = {},
  ): Promise<{
    deployment: Deployment;
    unchanged: boolean;
    warnings: NonNullable<CompiledApp["warnings"]>;
    output: string;
  }> {
    this.#mounts.check(settings.mounts ?? []);
    const app = await this.#cluster.compile(applicationOf(sources, null));
    const { warnings = [], output = "" } = app;
    const last = this.#database.version(name);
    const secret_names = Object.keys(secrets).toSorted();
    const same =
      last?.hash === app.hash &&
      JSON.stringify(last.settings) === JSON.stringify(settings) &&
      JSON.stringify(this.#secretsOf(last)) === JSON.stringify(sorted(secrets));
    if (last && same) return { deployment: deploymentOf(last), unchanged: true, warnings, output };
    const sealed = secret_names.length === 0 ? null : this.#secrets.seal(JSON.stringify(sorted(secrets)), name);
    const { base = "standard", packages = [] } = app.graph;
    const needs = sources.requirements === undefined ? null : { base, packages };
    const identity = { name, created_ms: Date.now(), hash: app.hash };
    const row = { ...identity, sources, needs, settings, secret_names, secrets: sealed };
    const version = this.#database.addVersion(row);
    const deployed = this.#remember({ ...row, version });
    deployed.app = app;
    this.#latest.set(name, deployed);
    return { deployment: deploymentOf(deployed.row), unchanged: false, warnings, output };
  }

  /** The last version of each function. */
  functions(): Deployment[] {
    return this.#database.versions().map(deploymentOf);
  }

  /** Newest first. @throws NotFound */
  versions(name: string): Deployment[] {
    const rows = this.#database.versions(name);
    if (rows.length === 0) throw unknownFunction(name);
    return rows.map(deploymentOf);
  }

  /** The number of the version that an invocation would run. @throws NotFound */
  versionOf(name: string, version?: number): number {
    return this.#find(name, version).row.version;
  }

  /** Takes a function, or one version of it, away; what runs goes on to its end. @throws NotFound */
  remove(name: string, version?: number): void {
    if (!this.#database.removeVersions(name, version)) throw unknownFunction(name, version);
    this.#latest.delete(name);
    for (const [key, { row }] of this.#deployed)
      if (row.name === name && (version === undefined || row.version === version)) this.#deployed.delete(key);
  }

  /**
   * Runs a function on one event and answers with what it returned.
   * @throws NotFound, Overloaded, Cancelled, and what the run fails with; the error's `details.invocation` names it
   */
  async invoke(name: string, options: InvokeOptions): Promise<Invoked> {
    if (this.#draining) throw new Cancelled("the server is stopping");
    return this.#track(this.#invoke(randomUUID(), this.#find(name, options.version), options));
  }

  /**
   * Stores an invocation, which runs as soon as it can. With an idempotency key that was used with the same event before: that one.
   * When this returns, it survives the end of the process.
   * @throws NotFound, Conflict for a key that was used with another event
   */
  enqueue(name: string, { version, event, key }: { version?: number; event: string; key?: string }): StoredInvocation {
    if (this.#draining) throw new Cancelled("the server is stopping");
    const { row: deployed } = this.#find(name, version);
    const { stored: bound = STORED } = this.#options;
    if (this.#ends.size >= bound)
      throw new Overloaded(
        `${this.#ends.size} stored invocations have not ended, and ${bound} are allowed: try again later`,
        { limit: "stored", bound, value: this.#ends.size + 1, retry_after_ms: RETRY_AFTER_MS },
      );
    const row = { id: randomUUID(), name, version: deployed.version, event, created_ms: Date.now() };
    const same = this.#database.addInvocation(row, key);
    if (same && same.event !== event)
      throw new Conflict(`the idempotency key ${key} was used with another event`, { invocation: same.id, key });
    if (same) return storedOf(same);
    const stored = { ...row, state: "queued", attempts: 0, ended_ms: null, result: null, error: null } as const;
    this.#carry(stored);
    return storedOf(stored);
  }

  /** @throws NotFound */
  invocation(id: string): StoredInvocation {
    const row = this.#database.invocation(id);
    if (!row) throw new NotFound(`there is no invocation ${id}, or its result is no longer kept`, { invocation: id });
    return storedOf(row);
  }

  /** Resolves when a stored invocation has ended. @throws NotFound, and the signal's reason */
  async ended(id: string, signal?: AbortSignal): Promise<StoredInvocation> {
    const found = this.invocation(id);
    const end = this.#ends.get(id);
    if (!end) return found;
    signal?.throwIfAborted();
    const { promise, reject } = Promise.withResolvers<never>();
    const onAbort = (): void => reject(signal?.reason as Error);
    signal?.addEventListener("abort", onAbort, { once: true });
    try {
      await Promise.race([end.promise, promise]);
    } finally {
      signal?.removeEventListener("abort", onAbort);
    }
    return this.invocation(id);
  }

  /** @throws NotFound */
  logs(name: string, options: { after?: number; limit: number }): LogLine[] {
    this.#find(name);
    return this.#logs.lines(name, options);
  }

  /** @returns what ends it. @throws NotFound */
  followLogs(name: string, follower: (line: LogLine) => void): () => void {
    this.#find(name);
    return this.#logs.follow(name, follower);
  }

  async stats(): Promise<HostStats> {
    const { sandboxes, idle, memory_bytes, pss_bytes } = await this.#cluster.stats();
    const functions = Object.fromEntries(this.#database.versions().map(({ name }) => [name, this.#queue.of(name)]));
    const { running, waiting } = this.#queue;
    const { log, min_warm, bound_bytes } = this.#pool;
    const pool = { sandboxes, idle, min_warm, memory_bytes, bound_bytes, ...log.counts, recent: log.recent };
    return { running, waiting, workers: this.#options.workers, sandboxes, pss_bytes, pool, functions };
  }

  get draining(): boolean {
    return this.#draining;
  }

  /**
   * Takes no more invocations, and waits for those in flight, but no longer than this: those that run then are ended and answered so.
   * What is stored and has not ended runs at the next start.
   */
  async drain(grace_ms: number): Promise<void> {
    this.#draining = true;
    this.#stopping.abort(new Cancelled("the server is stopping"));
    const late = Promise.withResolvers<void>();
    const timer = setTimeout(late.resolve, grace_ms);
    await Promise.race([Promise.allSettled(this.#running), late.promise]);
    clearTimeout(timer);
    if (this.#running.size === 0) return;
    this.#late = true;
    await this.#cluster.close();
    await Promise.allSettled(this.#running);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#draining = true;
    this.#stopping.abort(new Cancelled("the server is stopping"));
    clearInterval(this.#sweeping);
    await this.#cluster.close();
    await Promise.allSettled(this.#running);
    this.#logs.flush();
    this.#database.close();
  }

  #track<T>(work: Promise<T>): Promise<T> {
    this.#running.add(work);
    const over = (): void => void this.#running.delete(work);
    work.then(over, over);
    return work;
  }

  /** @throws NotFound */
  #find(name: string, version?: number): Deployed {
    const known = version === undefined ? this.#latest.get(name) : this.#deployed.get(`${name}@${version}`);
    if (known) return known;
    const row = this.#database.version(name, version);
    if (!row) throw unknownFunction(name, version);
    const deployed = this.#deployed.get(`${name}@${row.version}`) ?? this.#remember(row);
    if (version === undefined) this.#latest.set(name, deployed);
    return deployed;
  }

  #remember(row: VersionRow): Deployed {
    const { timeout_ms, memory_bytes, environment = {} } = row.settings;
    const variables = { ...environment, ...this.#secretsOf(row) };
    const deployed: Deployed = {
      row,
      limits: {
        ...defaultLimits,
        // Its time begins when it has a sandbox: waiting for one is not its own doing.
        component_timeout_ms: timeout_ms,
        run_timeout_ms: timeout_ms + SANDBOX_WAIT_MS,
        memory_bytes,
        heap_bytes: memory_bytes,
      },
      environment: Object.keys(variables).length === 0 ? undefined : JSON.stringify(variables),
      app: undefined,
    };
    this.#deployed.set(`${row.name}@${row.version}`, deployed);
    return deployed;
  }

  #secretsOf(row: VersionRow): Secrets {
    return row.secrets === null ? {} : (JSON.parse(this.#secrets.open(row.secrets, row.name)) as Secrets);
  }

  /** Its application, with its image known to the executor. */
  async #open(deployed: Deployed): Promise<CompiledApp> {
    const { app } = deployed;
    if (app && this.#cluster.isOpen(app)) return app;
    return (deployed.app = await this.#cluster.compile(applicationOf(deployed.row.sources, deployed.row.needs)));
  }

  async #invoke(
    id: string,
    deployed: Deployed,
    { event, signal, onOutput, stored = false }: InvokeOptions & { stored?: boolean },
  ): Promise<Invoked> {
    const { name, version, settings } = deployed.row;
    const asked_ms = performance.now();
    const stop = signal ?? new AbortController().signal;
    // What is stored has its place in the database, and leaves the line when the server stops.
    const waiting = stored ? { signal: this.#stopping.signal, unbounded: true } : { signal };
    await this.#queue.enter(name, settings.concurrency, waiting);
    const start_ms = performance.now();
    let usage: Usage = { components: 0, cpu_ms: 0 };
    const report = (outcome: string): InvocationReport => {
      const [queue_ms, run_ms] = [start_ms - asked_ms, performance.now() - start_ms];
      const told = { id, name, version, outcome, queue_ms, run_ms, usage };
      const text = JSON.stringify({ outcome, queue_ms: round(queue_ms), run_ms: round(run_ms), ...usage });
      this.#logs.add({ name, version, invocation: id, at_ms: Date.now(), stream: "report", text });
      this.#options.onInvocation?.(told);
      return told;
    };
    try {
      if (stored) this.#database.beginInvocation(id);
      const app = await this.#open(deployed);
      const outcome = await this.#cluster.launch(app, {
        id,
        event,
        limits: deployed.limits,
        mounts: settings.mounts ? this.#mounts.check(settings.mounts) : [],
        watch: "output",
        signal: stop,
        ...(deployed.environment === undefined ? {} : { environment: deployed.environment }),
        heard: (events) => {
          for (const said of events) {
            if (said.type !== "printed") continue;
            const { stream, text } = said;
            this.#logs.add({ name, version, invocation: id, at_ms: Date.now(), stream, text });
            onOutput?.(stream, text);
          }
        },
      });
      usage = outcome.usage;
      if (outcome.error) throw outcome.error;
      return { id, version, document: outcome.result?.document ?? "null", report: report("ok") };
    } catch (error) {
      const failure = this.#late ? new Cancelled("the server stopped before it had ended") : error;
      const { code, message, details } = SandloomError.from(failure);
      report(code);
      throw SandloomError.fromReport({ code, message, details: { ...details, invocation: id, version } });
    } finally {
      this.#queue.exit(name);
    }
  }

  /** Runs a stored invocation to its end, in the background. */
  #carry(row: InvocationRow): void {
    const end = Promise.withResolvers<void>();
    this.#ends.set(row.id, end);
    const work = this.#attempt(row).catch((error: unknown) => {
      // The database is closed or broken: the next start finds it as it is there.
      this.#options.onProgress?.(`invocation ${row.id}: ${String(error)}`);
    });
    void this.#track(work).finally(() => {
      this.#ends.delete(row.id);
      end.resolve();
    });
  }

  async #attempt({ id, name, version, event, attempts }: InvocationRow): Promise<void> {
    let error: ErrorReport | undefined;
    for (let attempt = attempts; attempt < MAX_ATTEMPTS; attempt++) {
      try {
        const { document } = await this.#invoke(id, this.#find(name, version), { event, stored: true });
        this.#database.endInvocation(id, Date.now(), { result: document });
        return;
      } catch (thrown) {
        // It stays as it is in the database: the next start runs it.
        if (this.#draining) return;
        error = SandloomError.from(thrown).toReport();
        if (error.code !== "ExecutorDied") break;
      }
    }
    error ??= { code: "ExecutorDied", message: `it was begun ${MAX_ATTEMPTS} times and never ended`, details: {} };
    this.#database.endInvocation(id, Date.now(), { error });
  }

  #sweep(): void {
    this.#database.forgetInvocations(Date.now() - (this.#options.retention_ms ?? RETENTION_MS));
  }
}

const unknownFunction = (name: string, version?: number): SandloomError =>
  new NotFound(version === undefined ? `there is no function ${name}` : `${name} has no version ${version}`, {
    name,
    ...(version === undefined ? {} : { version }),
  });

function deploymentOf({ name, version, created_ms, hash, settings, secret_names, needs }: VersionRow): Deployment {
  const created_at = new Date(created_ms).toISOString();
  const required = needs ? { packages: [...needs.packages] } : {};
  return { name, version, created_at, hash, settings, secrets: [...secret_names], ...required };
}

function storedOf({
  id,
  name,
  version,
  state,
  attempts,
  created_ms,
  ended_ms,
  result,
  error,
}: InvocationRow): StoredInvocation {
  return {
    id,
    name,
    version,
    state,
    attempts,
    created_at: new Date(created_ms).toISOString(),
    ...(ended_ms === null ? {} : { ended_at: new Date(ended_ms).toISOString() }),
    ...(result === null ? {} : { result: JSON.parse(result) as unknown }),
    ...(error === null ? {} : { error: { ...error, details: { ...error.details } } }),
  };
}

/** `needs`: what its requirements came to when it was deployed. */
function applicationOf({ name, entry_file, files, requirements }: Sources, needs: VersionRow["needs"]): Application {
  for (const { path } of files)
    if (!/^(?!.*(^|\/)\.\.?(\/|$))[^/\0\\][^\0\\]*\.py$/.test(path))
      throw new BadInput(`${JSON.stringify(path)} is no path of a Python file below the application's folder`, {
        path,
      });
  if (!files.some(({ path }) => path === entry_file))
    throw new BadInput(`the entry file ${entry_file} is not among the files`, { entry_file });
  const required = { ...(requirements === undefined ? {} : { requirements }), ...(needs ? { needs } : {}) };
  return { name, folder: "/", entryFile: entry_file, files, ...required };
}

const sorted = (secrets: Secrets): Secrets =>
  Object.fromEntries(Object.entries(secrets).toSorted(([a], [b]) => (a < b ? -1 : 1)));
const round = (ms: number): number => Math.round(ms * 1000) / 1000;
