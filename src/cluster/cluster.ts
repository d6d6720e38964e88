/**
 * The embedded cluster: one executor process on this machine. It compiles applications (or finds them compiled), opens their
 * images in the executor, and carries runs.
 */
import { randomUUID } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { availableParallelism, totalmem } from "node:os";
import { dirname, join } from "node:path";
import type { ParsedFile, SourceFile } from "../compiler/index.ts";
import { COMPILER_VERSION } from "../compiler/version.ts";
import { BadInput, Cancelled, SandloomError, TimedOut } from "../graph/errors.ts";
import type { RunEvent, RunRecord } from "../graph/events.ts";
import { RUN_FORMAT } from "../graph/formats.ts";
import type { RequiredPackage } from "../graph/resource-graph.ts";
import type { Limits } from "../graph/limits.ts";
import { reportOf } from "../materializer/report.ts";
import { type Base, dropBase, ensureBase } from "../sandbox/image/base.ts";
import type { Artifact as FileArtifact } from "../sandbox/messages.ts";
import { basePackages, importablePackages } from "../sandbox/runtime/catalogue.ts";
import { cacheDirectory } from "../sandbox/runtime/paths.ts";
import type {
  Artifact,
  Cluster,
  ClusterOptions,
  CompiledApp,
  CompileOptions,
  Mount,
  Run,
  RunOptions,
  RunResult,
  Sandbox,
  SandboxOptions,
} from "./api.ts";
import { BASE } from "./executor/protocol.ts";
import { Session, type SessionHost, sessionLimits, type SessionOutput } from "./session.ts";
import { type Application, isCompiled, readApplication } from "./application.ts";
import { ApplicationCache, hashOf, loadDocument, readCompiledFolder } from "./compiled.ts";
import { EventLog } from "./event-log.ts";
import type { Pack, Requirements } from "./requirements/requirements.ts";
import { ExecutorProcess } from "./executor/process.ts";
import type {
  ComponentCaps,
  ExecutorOptions,
  ExecutorStats,
  FromExecutor,
  RunRequest,
  Usage,
} from "./executor/protocol.ts";
import { checkedLimits, checkedMounts, eventText, positive } from "./run-input.ts";
import { versions } from "./versions.ts";

/** Beside the ones that run: one for an entry that waits, one that is being put back to its image. */
const SPARE_SANDBOXES = 2;
/** An executor that does not end a run it was told to end within this time is killed. */
const CANCEL_DEADLINE_MS = 1000;

interface Prepared {
  readonly app: CompiledApp;
  /** The user's texts, which tracebacks quote. */
  readonly sources: ReadonlyMap<string, string>;
}

interface Outcome {
  readonly result?: { readonly document: string; readonly artifacts: readonly FileArtifact[] };
  readonly error?: SandloomError;
  readonly splits: Readonly<Record<string, number>>;
  readonly usage: Usage;
}

interface ActiveRun {
  readonly heard: (events: readonly RunEvent[]) => void;
  readonly end: (outcome: Outcome) => void;
}

const UNKNOWN = { splits: {}, usage: { components: 0, cpu_ms: 0 } } as const;

/** One run of an application that is prepared. */
export interface Launch {
  readonly id: string;
  /** JSON. */
  readonly event: string;
  readonly limits: Limits;
  readonly mounts: readonly Mount[];
  /** Environment variables: a JSON object of strings. */
  readonly environment?: string;
  readonly watch: RunRequest["watch"];
  readonly signal: AbortSignal;
  readonly heard: (events: readonly RunEvent[]) => void;
}

export async function createCluster(options: ClusterOptions = {}): Promise<Cluster> {
  return createLocalCluster(options);
}

export async function createLocalCluster(options: ClusterOptions = {}): Promise<LocalCluster> {
  // Nothing of this reads the images: the process starts while they are looked for.
  const cacheDir = cacheDirectory(options.cacheDir);
  const base = await ensureBase(cacheDir, options.onProgress ?? (() => undefined));
  return new LocalCluster(options, cacheDir, base);
}

export class LocalCluster implements Cluster {
  readonly #cacheDir: string;
  #base: Base;
  readonly #cache: ApplicationCache;
  readonly #progress: (line: string) => void;
  readonly #cpus: number;
  readonly #memory_bytes: number;
  readonly #active = new Map<string, ActiveRun>();
  readonly #opened = new Set<string>();
  readonly #sessions = new Map<string, { readonly executor: ExecutorProcess; readonly output: SessionOutput }>();
  /** Keys of the applications that were prepared here. */
  readonly #compiled = new Set<string>();
  #required: Promise<Requirements> | undefined;
  /** Applications that are being prepared, by cache key: two runs of one application prepare it once. */
  readonly #preparing = new Map<string, Promise<Prepared>>();
  #running: ExecutorProcess | undefined;
  #image_bytes = 0;
  #closed = false;

  constructor(options: ClusterOptions, cacheDir: string, base: Base) {
    this.#cacheDir = cacheDir;
    this.#base = base;
    this.#cache = new ApplicationCache(cacheDir);
    this.#progress = options.onProgress ?? (() => undefined);
    this.#cpus = positive("cpus", options.cpus ?? availableParallelism());
    this.#memory_bytes = positive("memory_bytes", options.memory_bytes ?? Math.floor(totalmem() / 2));
    // Whoever runs something at once starts the executor with its application's image; else it starts without one.
    setTimeout(() => void (this.#closed || this.#executor()), 0);
  }

  get image_bytes(): number {
    return this.#image_bytes;
  }

  async compile(app: string | Application, options: CompileOptions = {}): Promise<CompiledApp> {
    options.signal?.throwIfAborted();
    return (await this.#prepare(app, options)).app;
  }

  /** Resolves when the executor has a sandbox. */
  async ready(): Promise<void> {
    await this.#ready();
  }

  run(app: string | CompiledApp, options: RunOptions = {}): Run {
    const id = options.id ?? randomUUID();
    const log = new EventLog();
    const stop = new AbortController();
    const cancel = (reason?: string): void => stop.abort(new Cancelled(reason ?? "the run was cancelled"));
    const outer = options.signal;
    const forward = (): void =>
      stop.abort(outer?.reason instanceof SandloomError ? outer.reason : new Cancelled("the run was cancelled"));
    if (outer?.aborted) forward();
    outer?.addEventListener("abort", forward, { once: true });
    const result = this.#carry(id, app, options, log, stop.signal).finally(() => {
      outer?.removeEventListener("abort", forward);
      log.end();
    });
    result.catch(() => undefined);
    return { id, events: log, result, cancel };
  }

  createSandbox(options: SandboxOptions = {}): Promise<Sandbox> {
    return Session.open(this.#sessionHost, options);
  }

  /** A sandbox that ends this cluster with itself. */
  ownSandbox(options: SandboxOptions): Promise<Sandbox> {
    return Session.open(this.#sessionHost, options, this);
  }

  readonly #sessionHost: SessionHost = {
    snapshotFolder: () => join(this.#cacheDir, "snapshots"),
    openSession: async (session, options, output) => {
      const { image, environment = {} } = options;
      const { application, packages } = image === undefined ? { application: BASE } : await this.#openImage(image);
      const executor = await this.#ready();
      const text = JSON.stringify(environment);
      this.#sessions.set(session, { executor, output });
      const limits = sessionLimits(options.limits);
      await executor
        .request({ type: "session-open", session, application, limits, environment: text })
        .catch((error: unknown) => {
          this.#sessions.delete(session);
          throw error;
        });
      return packages;
    },
    sessionTask: (session, task) => this.#sessionExecutor(session).request({ type: "session-task", session, ...task }),
    interruptSession: (session) => this.#sessions.get(session)?.executor.send({ type: "session-interrupt", session }),
    closeSession: async (session, busy) => {
      const { executor } = this.#sessions.get(session) ?? {};
      this.#sessions.delete(session);
      if (executor && !executor.dead) await executor.request({ type: "session-close", session, busy });
    },
  };

  #sessionExecutor(session: string): ExecutorProcess {
    const known = this.#sessions.get(session);
    if (!known) throw new Cancelled("the sandbox is closed");
    return known.executor;
  }

  /** The name under which the executor knows an image. */
  async #openImage(
    image: NonNullable<SandboxOptions["image"]>,
  ): Promise<{ application: string; packages?: readonly RequiredPackage[] }> {
    if (typeof image === "string" || "graph" in image) {
      const { hash, graph } = (await this.#prepare(image)).app;
      return { application: hash, ...(graph.packages ? { packages: graph.packages } : {}) };
    }
    const { path, packages } = image;
    const pack = await this.#pack(packages);
    const executor = await this.#ready();
    const hash = hashOf("snapshot", path);
    if (!this.#opened.has(hash)) {
      await executor.request({ type: "open", hash, deltaPath: path, ...packPathOf(pack) });
      this.#opened.add(hash);
    }
    return { application: hash, ...(packages ? { packages } : {}) };
  }

  /** Loaded when it is needed: most applications require nothing. */
  async #requirements(): Promise<Requirements> {
    this.#required ??= import("./requirements/requirements.ts").then(
      ({ Requirements: Made }) => new Made({ cacheDir: this.#cacheDir, basePackages, onProgress: this.#progress }),
    );
    return this.#required;
  }

  async #pack(packages: readonly RequiredPackage[] | undefined): Promise<Pack | undefined> {
    return packages && packages.length > 0 ? (await this.#requirements()).pack(packages) : undefined;
  }

  /** With its requirements resolved. */
  async #resolved(source: Application, signal?: AbortSignal): Promise<Application> {
    const { requirements } = source;
    if (requirements === undefined || source.packages) return source;
    const packages = await (await this.#requirements()).resolve(requirements, signal);
    return packages.length > 0 ? { ...source, packages } : source;
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#running?.kill();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** What the executor holds: for tests and for `sandloom top`. */
  async stats(): Promise<ExecutorStats & { executor_pid: number | undefined }> {
    const executor = this.#executor();
    const stats = JSON.parse(await executor.request({ type: "stats" })) as ExecutorStats;
    return { ...stats, executor_pid: executor.pid };
  }

  /** The executor, started when there is none that lives: with the application's image if it is cached. */
  #executor(application?: ExecutorOptions["application"]): ExecutorProcess {
    if (this.#running && !this.#running.dead) return this.#running;
    this.#opened.clear();
    if (application) this.#opened.add(application.hash);
    const executor = new ExecutorProcess(this.#cacheDir, {
      basePrefix: this.#base.prefix,
      cpus: this.#cpus,
      memory_bytes: this.#memory_bytes,
      sandboxes: Math.ceil(this.#cpus) + SPARE_SANDBOXES,
      ...(application ? { application } : {}),
    });
    executor.onMessage = (message) => this.#receive(message);
    executor.onDeath = (error) => {
      const lost = [...this.#active.values()];
      this.#active.clear();
      for (const { end } of lost) end({ error, ...UNKNOWN });
    };
    this.#running = executor;
    return executor;
  }

  #receive(message: FromExecutor): void {
    if (message.type === "note") this.#progress(message.text);
    if (message.type === "session-output") this.#sessions.get(message.session)?.output(message.stream, message.text);
    if (message.type === "events") this.#active.get(message.run)?.heard(message.events);
    if (message.type !== "ended") return;
    const run = this.#active.get(message.run);
    this.#active.delete(message.run);
    run?.end({
      splits: message.splits,
      usage: message.usage,
      ...(message.result ? { result: message.result } : {}),
      ...(message.error ? { error: SandloomError.fromReport(message.error) } : {}),
    });
  }

  /** An executor that has a sandbox. */
  async #ready(application?: ExecutorOptions["application"]): Promise<ExecutorProcess> {
    if (this.#closed) throw new Cancelled("the cluster is closed");
    for (let rebuilt = false; ; rebuilt = true) {
      const executor = this.#executor(application);
      try {
        this.#image_bytes = await executor.ready;
        return executor;
      } catch (error) {
        if (rebuilt || !isDamaged(error) || error.details["image"] !== "base") throw error;
        await executor.kill();
        this.#progress(`${error.message}: it is built again`);
        dropBase(this.#base);
        this.#base = await ensureBase(this.#cacheDir, this.#progress);
      }
    }
  }

  /** An application's image that is damaged is made again from its sources. */
  async #dropDamaged(key: string, error: unknown): Promise<void> {
    if (!isDamaged(error)) throw error;
    this.#progress(`${error.message}: it is built again`);
    this.#opened.delete(key);
    this.#cache.drop(key);
    // It may be the image that the executor was started with.
    await this.#running?.kill();
  }

  #key(source: Application | CompiledApp): string {
    // What this cluster compiled keeps its key: its image has the user's own texts for tracebacks.
    if ("graph" in source)
      return this.#compiled.has(source.hash) ? source.hash : hashOf(this.#base.hash, "compiled", source.hash);
    return hashOf(
      this.#base.hash,
      COMPILER_VERSION,
      source.entryFile,
      source.name,
      ...source.files.flatMap(({ path, text }) => [path, text]),
      ...(source.packages && source.packages.length > 0 ? [JSON.stringify(source.packages)] : []),
    );
  }

  async #prepare(
    app: string | Application | CompiledApp,
    { requirements, signal }: CompileOptions = {},
  ): Promise<Prepared> {
    const read =
      typeof app !== "string"
        ? app
        : isCompiled(app)
          ? await readCompiledFolder(app)
          : readApplication(app, requirements);
    if ("graph" in read && requirements !== undefined)
      throw new BadInput("a compiled application has its packages already: requirements are for its sources", {
        requirements,
      });
    const source = "graph" in read ? read : await this.#resolved(read, signal);
    const key = this.#key(source);
    const sources = new Map("graph" in source ? [] : source.files.map(({ path, text }) => [path, text] as const));
    const known = this.#preparing.get(key);
    if (known) return known;
    const work = this.#prepareOnce(source, key, sources);
    this.#preparing.set(key, work);
    try {
      const prepared = await work;
      this.#compiled.add(key);
      return prepared;
    } finally {
      this.#preparing.delete(key);
    }
  }

  async #prepareOnce(
    source: Application | CompiledApp,
    key: string,
    sources: ReadonlyMap<string, string>,
  ): Promise<Prepared> {
    const cached = this.#cache.read(key);
    const pack = await this.#pack("graph" in source ? source.graph.packages : source.packages);
    if (cached) {
      try {
        await this.#openCached(key, pack);
        return { app: cached, sources };
      } catch (error) {
        await this.#dropDamaged(key, error);
      }
    }
    const executor = await this.#ready();
    const compiled = "graph" in source ? { ...source, hash: key } : await this.#compile(executor, source, key, pack);
    const document = loadDocument(compiled, sources);
    const draft = this.#cache.draft(key);
    try {
      const { deltaPath } = draft;
      const output = await executor.request({
        type: "load",
        hash: key,
        document,
        deltaPath,
        keptPath: this.#cache.entry(key).deltaPath,
        ...packPathOf(pack),
      });
      const app = { ...compiled, output };
      this.#cache.commit(draft, app);
      this.#opened.add(key);
      return { app, sources };
    } finally {
      this.#cache.discard(draft);
    }
  }

  async #openCached(key: string, pack: Pack | undefined): Promise<void> {
    const { deltaPath } = this.#cache.entry(key);
    const files = { hash: key, deltaPath, ...packPathOf(pack) };
    const executor = await this.#ready(files);
    if (this.#opened.has(key)) return;
    await executor.request({ type: "open", ...files });
    this.#opened.add(key);
  }

  async #compile(
    executor: ExecutorProcess,
    { name, entryFile, files, packages: required }: Application,
    hash: string,
    pack: Pack | undefined,
  ): Promise<CompiledApp> {
    // Loaded when it is needed: a run of what is cached starts without it.
    const { compile } = await import("../compiler/index.ts");
    const options = {
      packages: [...importablePackages(), ...(pack?.imports ?? [])],
      ...(required ? { required } : {}),
    };
    const compiled = await compile({ name, entryFile, files }, (sources) => parse(executor, sources), options);
    const { graph, warnings } = compiled;
    return { graph, files: compiled.files, hash, cached: false, warnings };
  }

  async #carry(
    id: string,
    app: string | CompiledApp,
    options: RunOptions,
    log: EventLog,
    signal: AbortSignal,
  ): Promise<RunResult> {
    const limits = checkedLimits(options.limits);
    const mounts = checkedMounts(options.mounts ?? []);
    const event = eventText(options.event);
    if (signal.aborted) throw signal.reason;
    const aborted = Promise.withResolvers<never>();
    aborted.promise.catch(() => undefined);
    signal.addEventListener("abort", () => aborted.reject(signal.reason as Error), { once: true });
    const { app: compiled } = await Promise.race([this.#prepare(app, options), aborted.promise]);
    const heard = (events: readonly RunEvent[]): void => log.push(events);
    const executor = this.#executor();
    const outcome = await this.launch(compiled, { id, event, limits, mounts, watch: "events", signal, heard });
    const record: RunRecord = {
      format: RUN_FORMAT,
      run: id,
      application: compiled.graph.application.name,
      versions: { ...versions() },
      splits: outcome.splits,
      events: log.events,
      report: reportOf(log.events, { image_bytes: this.#image_bytes }),
    };
    if (options.keep && options.outDir !== undefined) keepLog(options.outDir, executor.log);
    const artifacts =
      options.outDir === undefined ? [] : writeOut(options.outDir, record, outcome.result?.artifacts ?? []);
    if (outcome.error) throw outcome.error;
    return { value: JSON.parse(outcome.result?.document ?? "null"), artifacts, record };
  }

  /** Whether an application's image is known to the executor that lives. */
  isOpen(app: CompiledApp): boolean {
    return this.#running !== undefined && !this.#running.dead && this.#opened.has(app.hash);
  }

  /** Runs what {@link compile} prepared. Never rejects: what went wrong is in the outcome. */
  async launch(app: CompiledApp, launch: Launch): Promise<Outcome> {
    const { id, event, limits, mounts, environment, watch, signal, heard } = launch;
    const { promise, resolve: end } = Promise.withResolvers<Outcome>();
    this.#active.set(id, { heard, end });
    const executor = this.#executor();
    const onAbort = (): void => this.#cancelRun(executor, id, SandloomError.from(signal.reason));
    signal.addEventListener("abort", onAbort, { once: true });
    // The executor keeps time itself; this one is for an executor that cannot.
    const late = setTimeout(
      () =>
        this.#cancelRun(
          executor,
          id,
          new TimedOut(`the run took longer than ${limits.run_timeout_ms} ms`, {
            limit: "run_timeout_ms",
            bound: limits.run_timeout_ms,
          }),
        ),
      limits.run_timeout_ms + CANCEL_DEADLINE_MS,
    );
    executor.send({
      type: "run",
      run: id,
      application: app.hash,
      applicationName: app.graph.application.name,
      event,
      limits,
      mounts,
      depth: Math.min(limits.depth, longestChain(app)),
      caps: capsOf(app),
      watch,
      ...(environment === undefined ? {} : { environment }),
    });
    if (executor.dead) end({ error: executor.dead, ...UNKNOWN });
    if (signal.aborted) onAbort();
    const outcome = await promise;
    clearTimeout(late);
    signal.removeEventListener("abort", onAbort);
    return outcome;
  }

  #cancelRun(executor: ExecutorProcess, id: string, error: SandloomError): void {
    if (!this.#active.has(id)) return;
    executor.send({ type: "cancel", run: id, error: error.toReport() });
    setTimeout(() => {
      const run = this.#active.get(id);
      if (!run) return;
      this.#active.delete(id);
      run.end({ error, ...UNKNOWN });
      void executor.kill();
    }, CANCEL_DEADLINE_MS).unref();
  }
}

const packPathOf = (pack: Pack | undefined): { packPath?: string } => (pack ? { packPath: pack.path } : {});

async function parse(executor: ExecutorProcess, files: readonly SourceFile[]): Promise<readonly ParsedFile[]> {
  return JSON.parse(await executor.request({ type: "parse", document: JSON.stringify(files) })) as ParsedFile[];
}

/** What a run needs to know of its graph, found once. */
function memoized<T>(find: (app: CompiledApp) => T): (app: CompiledApp) => T {
  const known = new WeakMap<CompiledApp, { readonly value: T }>();
  return (app) => {
    const found = known.get(app) ?? { value: find(app) };
    known.set(app, found);
    return found.value;
  };
}

const isDamaged = (error: unknown): error is SandloomError =>
  error instanceof SandloomError && error.code === "BadImage";

const capsOf = memoized((app: CompiledApp): Record<string, ComponentCaps> => {
  const caps: Record<string, ComponentCaps> = {};
  for (const component of app.graph.components) {
    if (component.kind !== "compute") continue;
    const { cpu, memory_bytes, timeout_ms } = component.caps;
    caps[component.name] = {
      cpus: cpu ?? 1,
      ...(memory_bytes === undefined ? {} : { heap_bytes: memory_bytes }),
      ...(timeout_ms === undefined ? {} : { timeout_ms }),
    };
  }
  return caps;
});

/** Components on the longest chain of triggers from the entry; Infinity where they recurse or are triggered by value. */
const longestChain = memoized(({ graph }: CompiledApp): number => {
  const next = new Map<string, string[]>();
  for (const relation of graph.relations)
    if (relation.kind === "trigger") next.set(relation.from, [...(next.get(relation.from) ?? []), relation.to]);
  const entry = graph.components.find((c) => c.kind === "compute" && c.entry)?.name;
  const triggered = new Set([...next.values()].flat());
  if (graph.components.some((c) => c.kind === "compute" && !c.entry && !triggered.has(c.name)))
    return Number.POSITIVE_INFINITY;
  const lengths = new Map<string, number>();
  const lengthFrom = (name: string): number => {
    const known = lengths.get(name);
    if (known !== undefined) return known;
    lengths.set(name, Number.POSITIVE_INFINITY); // met again on the way: a cycle
    const length = 1 + Math.max(0, ...(next.get(name) ?? []).map(lengthFrom));
    lengths.set(name, length);
    return length;
  };
  return entry === undefined ? Number.POSITIVE_INFINITY : lengthFrom(entry);
});

function keepLog(outDir: string, text: string): void {
  mkdirSync(outDir, { recursive: true });
  writeFileSync(join(outDir, "executor.log"), text);
}

function writeOut(outDir: string, record: RunRecord, files: readonly FileArtifact[]): Artifact[] {
  mkdirSync(outDir, { recursive: true });
  writeFileSync(join(outDir, "run.json"), `${JSON.stringify(record, null, 1)}\n`);
  return files.map(({ path, bytes }) => {
    const file = join(outDir, "artifacts", path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, bytes);
    return { path: join("artifacts", path), bytes: bytes.length };
  });
}
