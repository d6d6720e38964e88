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
import { BadInput, Cancelled, InternalError, SandloomError, TimedOut } from "../graph/errors.ts";
import type { RunEvent, RunRecord } from "../graph/events.ts";
import { RUN_FORMAT } from "../graph/formats.ts";
import type { BaseKind, RequiredPackage, Surroundings } from "../graph/resource-graph.ts";
import type { Limits } from "../graph/limits.ts";
import { reportOf } from "../materializer/report.ts";
import type { Answer } from "../sandbox/answers.ts";
import { type Base, ensureBase } from "../sandbox/image/base.ts";
import type { Artifact as FileArtifact } from "../sandbox/messages.ts";
import { baseFor, importablePackages } from "../sandbox/runtime/catalogue.ts";
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
import { type Application, isCompiled, readApplication, topLevelImports } from "./application.ts";
import { BaseExecutor, isDamaged } from "./base-executor.ts";
import { ApplicationCache, hashOf, loadDocument, readCompiledFolder } from "./compiled.ts";
import { EventLog } from "./event-log.ts";
import type { Pack, Requirements } from "./requirements/requirements.ts";
import { ExecutorProcess } from "./executor/process.ts";
import type { ExecutorOptions, ExecutorStats, FromExecutor, RunRequest, Usage } from "./executor/protocol.ts";
import { type PoolOptions, poolOfPrograms } from "./pool-settings.ts";
import { capsOf, longestChain } from "./graph-facts.ts";
import { checkedLimits, checkedMounts, eventText, positive } from "./run-input.ts";
import { versions } from "./versions.ts";

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
  readonly executor: ExecutorProcess;
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

type LocalOptions = ClusterOptions & { readonly pool?: PoolOptions };

export async function createLocalCluster(options: LocalOptions = {}): Promise<LocalCluster> {
  // Nothing of this reads the images: the process starts while they are looked for.
  const cacheDir = cacheDirectory(options.cacheDir);
  const base = await ensureBase(cacheDir, options.onProgress ?? (() => undefined));
  return new LocalCluster(options, cacheDir, base);
}

export class LocalCluster implements Cluster {
  readonly #cacheDir: string;
  /** One for each base image that is used; the standard one is there from the beginning. */
  readonly #executors = new Map<BaseKind, BaseExecutor>();
  readonly #standard: BaseExecutor;
  readonly #making = new Map<BaseKind, Promise<BaseExecutor>>();
  readonly #cache: ApplicationCache;
  readonly #progress: (line: string) => void;
  readonly #cpus: number;
  readonly #memory_bytes: number;
  readonly #pool: PoolOptions;
  readonly #active = new Map<string, ActiveRun>();
  readonly #sessions = new Map<string, { readonly executor: ExecutorProcess; readonly output: SessionOutput }>();
  /** Keys of the applications that were prepared here. */
  readonly #compiled = new Set<string>();
  #required: Promise<Requirements> | undefined;
  /** Applications that are being prepared, by cache key: two runs of one application prepare it once. */
  readonly #preparing = new Map<string, Promise<Prepared>>();
  /** Of the last run. */
  #last: BaseExecutor;
  #used = false;
  #closed = false;

  constructor(options: LocalOptions, cacheDir: string, base: Base) {
    this.#cacheDir = cacheDir;
    this.#cache = new ApplicationCache(cacheDir);
    this.#progress = options.onProgress ?? (() => undefined);
    this.#cpus = positive("cpus", options.cpus ?? availableParallelism());
    this.#memory_bytes = positive("memory_bytes", options.memory_bytes ?? Math.floor(totalmem() / 2));
    this.#pool = options.pool ?? poolOfPrograms(this.#cpus);
    // Whoever runs something at once starts the executor with its application's image; else it starts without one.
    this.#standard = this.#last = this.#executorOf(base);
    setTimeout(() => void (this.#closed || this.#used || this.#standard.process()), 0);
  }

  get image_bytes(): number {
    return this.#last.image_bytes;
  }

  async compile(app: string | Application, options: CompileOptions = {}): Promise<CompiledApp> {
    options.signal?.throwIfAborted();
    return (await this.#prepare(app, options)).app;
  }

  /** Resolves when the executor has a sandbox. */
  async ready(): Promise<void> {
    await this.#standard.ready();
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
      this.#used = true;
      const { on, application, packages } =
        image === undefined
          ? { on: await this.#on(options.base ?? "standard"), application: BASE }
          : await this.#openImage(image);
      const executor = await on.ready();
      const text = JSON.stringify(environment);
      this.#sessions.set(session, { executor, output });
      const limits = sessionLimits(options.limits);
      await executor
        .request({ type: "session-open", session, application, limits, environment: text })
        .catch((error: unknown) => {
          this.#sessions.delete(session);
          throw error;
        });
      return { base: on.base.kind, packages: packages ?? [] };
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

  /** The executor that knows an image, and under which name. */
  async #openImage(
    image: NonNullable<SandboxOptions["image"]>,
  ): Promise<{ on: BaseExecutor; application: string; packages?: readonly RequiredPackage[] }> {
    if (typeof image === "string" || "graph" in image) {
      const { hash, graph } = (await this.#prepare(image)).app;
      const { base = "standard", packages = [] } = graph;
      return { on: await this.#on(base), application: hash, packages };
    }
    const { path, base, packages = [] } = image;
    const [on, pack] = await Promise.all([this.#on(base ?? "standard"), this.#pack(packages)]);
    const application = hashOf("snapshot", path);
    await on.openSnapshot({ hash: application, deltaPath: path, ...packPathOf(pack) });
    return { on, application, packages };
  }

  /** The executor of a base image, which is built if it is not there. */
  async #on(kind: BaseKind): Promise<BaseExecutor> {
    const known = this.#executors.get(kind);
    if (known) return known;
    const making =
      this.#making.get(kind) ??
      ensureBase(this.#cacheDir, this.#progress, kind)
        .then((base) => this.#executorOf(base))
        .finally(() => this.#making.delete(kind));
    this.#making.set(kind, making);
    return making;
  }

  #executorOf(base: Base): BaseExecutor {
    if (this.#closed) throw new Cancelled("the cluster is closed");
    const options = { cacheDir: this.#cacheDir, progress: this.#progress };
    const made = new BaseExecutor(base, { ...options, start: (on, application) => this.#start(on, application) });
    this.#executors.set(base.kind, made);
    return made;
  }

  /** Loaded when it is needed: most applications require nothing. */
  async #requirements(): Promise<Requirements> {
    this.#required ??= import("./requirements/requirements.ts").then(
      ({ Requirements: Made }) => new Made({ cacheDir: this.#cacheDir, onProgress: this.#progress }),
    );
    return this.#required;
  }

  async #pack(packages: readonly RequiredPackage[]): Promise<Pack | undefined> {
    return packages.length > 0 ? (await this.#requirements()).pack(packages) : undefined;
  }

  /** What an application needs beside its modules. */
  async #needsOf(source: Application | CompiledApp, signal?: AbortSignal): Promise<Surroundings> {
    if ("graph" in source) return { base: source.graph.base ?? "standard", packages: source.graph.packages ?? [] };
    if (source.needs) return source.needs;
    const base = baseFor(topLevelImports(source));
    if (source.requirements === undefined) return { base, packages: [] };
    return (await this.#requirements()).resolve(source.requirements, base, signal);
  }

  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all([...this.#executors.values()].map((on) => on.close()));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** What the executors hold together, and the process of the standard one: for tests and for `sandloom top`. */
  async stats(): Promise<ExecutorStats & { executor_pid: number | undefined }> {
    const executor = this.#standard.process();
    const others = [...this.#executors.values()].filter((on) => on !== this.#standard).map((on) => on.process());
    const all = await Promise.all(
      [executor, ...others].map(async (one) => JSON.parse(await one.request({ type: "stats" })) as ExecutorStats),
    );
    const sum = (name: keyof ExecutorStats): number => all.reduce((total, stats) => total + stats[name], 0);
    const names = Object.keys(all[0] ?? {}) as (keyof ExecutorStats)[];
    const stats = Object.fromEntries(names.map((name) => [name, sum(name)])) as unknown as ExecutorStats;
    return { ...stats, executor_pid: executor.pid };
  }

  #start(base: Base, application: ExecutorOptions["application"]): ExecutorProcess {
    const { onEvent: _, ...pool } = this.#pool;
    const executor = new ExecutorProcess(this.#cacheDir, {
      basePrefix: base.prefix,
      cpus: this.#cpus,
      memory_bytes: this.#memory_bytes,
      pool,
      ...(application ? { application } : {}),
    });
    executor.onMessage = (message) => this.#receive(message);
    executor.onAnswer = (answer) => this.#answered(answer);
    executor.onDeath = (error) => {
      const lost = [...this.#active].filter(([, run]) => run.executor === executor);
      for (const [id] of lost) this.#active.delete(id);
      for (const [, { end }] of lost) end({ error, ...UNKNOWN });
    };
    return executor;
  }

  /** What the dispatcher says of the run will find nobody who waits for it. */
  #answered({ run, cpu_ms, document }: Answer): void {
    const active = this.#active.get(run);
    this.#active.delete(run);
    active?.end({ result: { document, artifacts: [] }, splits: {}, usage: { components: 1, cpu_ms } });
  }

  #receive(message: FromExecutor): void {
    if (message.type === "note") this.#progress(message.text);
    if (message.type === "session-output") this.#sessions.get(message.session)?.output(message.stream, message.text);
    if (message.type === "pool") this.#pool.onEvent?.(message.event);
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

  /** An application's image that is damaged is made again from its sources. */
  async #dropDamaged(on: BaseExecutor, key: string, error: unknown): Promise<void> {
    if (!isDamaged(error)) throw error;
    this.#progress(`${error.message}: it is built again`);
    this.#cache.drop(key);
    await on.forget(key);
  }

  #key(source: Application | CompiledApp, { hash: base }: Base, { packages }: Surroundings): string {
    // What this cluster compiled keeps its key: its image has the user's own texts for tracebacks.
    if ("graph" in source) return this.#compiled.has(source.hash) ? source.hash : hashOf(base, "compiled", source.hash);
    return hashOf(
      base,
      COMPILER_VERSION,
      source.entryFile,
      source.name,
      ...source.files.flatMap(({ path, text }) => [path, text]),
      ...(packages.length > 0 ? [JSON.stringify(packages)] : []),
    );
  }

  async #prepare(
    app: string | Application | CompiledApp,
    { requirements, signal }: CompileOptions = {},
  ): Promise<Prepared> {
    this.#used = true;
    const source =
      typeof app !== "string"
        ? app
        : isCompiled(app)
          ? await readCompiledFolder(app)
          : readApplication(app, requirements);
    if ("graph" in source && requirements !== undefined)
      throw new BadInput("a compiled application has its packages already: requirements are for its sources", {
        requirements,
      });
    const needs = await this.#needsOf(source, signal);
    const on = (this.#last = await this.#on(needs.base));
    const key = this.#key(source, on.base, needs);
    const sources = new Map("graph" in source ? [] : source.files.map(({ path, text }) => [path, text] as const));
    const known = this.#preparing.get(key);
    if (known) return known;
    const work = this.#prepareOnce(source, key, { on, needs, sources });
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
    { on, needs, sources }: { on: BaseExecutor; needs: Surroundings; sources: Prepared["sources"] },
  ): Promise<Prepared> {
    const cached = this.#cache.read(key);
    const pack = await this.#pack(needs.packages);
    if (cached) {
      try {
        await on.open({ hash: key, deltaPath: this.#cache.entry(key).deltaPath, ...packPathOf(pack) });
        return { app: cached, sources };
      } catch (error) {
        await this.#dropDamaged(on, key, error);
      }
    }
    const executor = await on.ready();
    const compiled =
      "graph" in source ? { ...source, hash: key } : await this.#compile(executor, source, key, { needs, pack });
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
      on.opened(key);
      return { app, sources };
    } finally {
      this.#cache.discard(draft);
    }
  }

  async #compile(
    executor: ExecutorProcess,
    { name, entryFile, files }: Application,
    hash: string,
    { needs: { base, packages: required }, pack }: { needs: Surroundings; pack: Pack | undefined },
  ): Promise<CompiledApp> {
    // Loaded when it is needed: a run of what is cached starts without it.
    const { compile } = await import("../compiler/index.ts");
    const options = {
      packages: [...importablePackages(base), ...(pack?.imports ?? [])],
      base,
      required,
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
    const on = this.#of(compiled);
    const executor = on.process();
    const outcome = await this.launch(compiled, { id, event, limits, mounts, watch: "events", signal, heard });
    const record: RunRecord = {
      format: RUN_FORMAT,
      run: id,
      application: compiled.graph.application.name,
      versions: { ...versions() },
      splits: outcome.splits,
      events: log.events,
      report: reportOf(log.events, { image_bytes: on.image_bytes }),
    };
    if (options.keep && options.outDir !== undefined) keepLog(options.outDir, executor.log);
    const artifacts =
      options.outDir === undefined ? [] : writeOut(options.outDir, record, outcome.result?.artifacts ?? []);
    if (outcome.error) throw outcome.error;
    return { value: JSON.parse(outcome.result?.document ?? "null"), artifacts, record };
  }

  /** Whether an application's image is known to the executor that lives. */
  isOpen(app: CompiledApp): boolean {
    return this.#executors.get(app.graph.base ?? "standard")?.isOpen(app.hash) ?? false;
  }

  /** The executor of what {@link compile} prepared. */
  #of({ graph: { base = "standard" } }: CompiledApp): BaseExecutor {
    const on = this.#executors.get(base);
    if (!on) throw new InternalError(`no application of the base ${base} was prepared`);
    return on;
  }

  /** Runs what {@link compile} prepared. Never rejects: what went wrong is in the outcome. */
  async launch(app: CompiledApp, launch: Launch): Promise<Outcome> {
    const { id, event, limits, mounts, environment, watch, signal, heard } = launch;
    const { promise, resolve: end } = Promise.withResolvers<Outcome>();
    const executor = this.#of(app).process();
    this.#active.set(id, { executor, heard, end });
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
