/**
 * Carries out the runs of one executor: admits components by the materializer's decisions, gives them sandboxes, hands
 * results on, and ends what must end. It is single-threaded; every change of state is followed by {@link Dispatcher.#pump}.
 */
import { store } from "../../fabric/store.ts";
import { ComponentLimitExceeded, type ErrorReport, InternalError, OutputLimitExceeded, SandloomError, TimedOut } from "../../graph/errors.ts";
import { chooseNext, clampCpus, type Demand } from "../../materializer/admission.ts";
import { splitCount } from "../../materializer/split.ts";
import type { SandboxCell } from "../../sandbox/cell.ts";
import { type ComponentOutcome, ENTRY_KIND, type FromSandbox, type RegionUse } from "../../sandbox/messages.ts";
import type { FromExecutor, RunRequest } from "./protocol.ts";
import { CellPool } from "./pool.ts";
import { type ComponentState, type Outcome, RunState } from "./run-state.ts";
import type { ShellParts } from "../../sandbox/shell/parts.ts";

/** Events go to the cluster in batches: they are for people, and each message costs the thread that also dispatches. */
const EVENT_BATCH_MS = 15;

export interface DispatcherOptions {
  readonly parts: Promise<ShellParts>;
  readonly cpus: number;
  readonly send: (message: FromExecutor) => void;
}

/** A component that waits for a CPU; `demand.component` is its place in the order of all triggers. */
interface Waiting {
  readonly run: RunState;
  readonly component: ComponentState;
  readonly demand: Demand;
}

export class Dispatcher {
  readonly #cpus: number;
  readonly #send: (message: FromExecutor) => void;
  readonly #runs = new Map<string, RunState>();
  readonly #waiting: Waiting[] = [];
  readonly pool: CellPool;
  #free_cpus: number;
  /** Components that hold a sandbox, of all runs. */
  #alive = 0;
  #order = 0;
  #runNumber = 0;
  #flush: NodeJS.Timeout | undefined;
  #lastQueueReason = "";

  constructor(options: DispatcherOptions) {
    this.#cpus = options.cpus;
    this.#free_cpus = options.cpus;
    this.#send = options.send;
    this.pool = new CellPool(options.parts, {
      made: (cell, ms) => this.#toRuns((run) => run.emit({ type: "sandbox-made", sandbox: cell.id, ms: round(ms) })),
      failed: (error) => this.#toRuns((run) => this.#fail(run, SandloomError.from(error).toReport())),
      changed: () => this.#pump(),
    });
  }

  get runs(): number {
    return this.#runs.size;
  }

  start(request: RunRequest, image: number): void {
    const { limits } = request;
    const settings = {
      run: this.#runNumber++,
      account: store.accountOpen(limits.memory_bytes),
      mounts: request.mounts,
      heap_bytes: limits.heap_bytes,
      file_bytes: limits.file_bytes,
      message_bytes: limits.message_bytes,
    };
    const run = new RunState(request, settings, image);
    this.#runs.set(request.run, run);
    run.emit({
      type: "run-accepted",
      run: request.run,
      application: request.applicationName,
      at: new Date(run.start_ms).toISOString(),
      server: { cpus: this.#cpus, memory_bytes: limits.memory_bytes },
    });
    run.timer = setTimeout(() => {
      const limit_ms = limits.run_timeout_ms;
      this.#fail(run, new TimedOut(`the run took longer than ${limit_ms} ms: raise --timeout, or make it do less`, { limit: "run_timeout_ms", bound: limit_ms, value: limit_ms }).toReport());
    }, limits.run_timeout_ms);
    this.#enqueue(run, "main", undefined, 1, Buffer.from(request.event), []);
    this.#pump();
  }

  cancel(run: string, error: ErrorReport): void {
    const state = this.#runs.get(run);
    if (state) this.#fail(state, error);
  }

  /** Runs one task that is no component of a run (parse, load) in a sandbox. */
  async task(kind: number, document: string, image: number, deltaPath?: string): Promise<string> {
    while (this.pool.idle === 0) await new Promise((resolve) => setTimeout(resolve, 1));
    const cell = this.pool.take(image) as SandboxCell;
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    let output = "";
    cell.onMessage = (message) => {
      if (message.type === "print") output += message.text;
      if (message.type !== "ended") return;
      const { result } = message;
      if (result.outcome === "returned") resolve(Buffer.from(result.payload).toString("utf8"));
      else reject(SandloomError.fromReport({ ...result.report, details: { ...result.report.details, output } }));
    };
    const limits = { heap_bytes: 1 << 30, file_bytes: 1 << 28, message_bytes: 1 << 28 };
    const settings = { run: -1, account: -1, mounts: [], ...limits };
    this.pool.resetting(cell);
    cell
      .run({
        type: "run",
        image,
        kind: kind as never,
        component: 0,
        name: "",
        payload: Buffer.from(document),
        regions: [],
        settings,
        ...(deltaPath === undefined ? {} : { deltaPath }),
      })
      .then(
        () => this.pool.give(cell),
        (error: unknown) => {
          reject(SandloomError.from(error));
          void this.pool.discard(cell);
        },
      );
    return promise;
  }

  #enqueue(
    run: RunState,
    name: string,
    parent: ComponentState["parent"],
    depth: number,
    payload: Uint8Array,
    regions: readonly RegionUse[],
    line?: number,
  ): ComponentState {
    const caps = run.request.caps[name];
    const component: ComponentState = {
      id: run.components.length,
      name,
      depth,
      order: this.#order++,
      cpus: caps?.cpus ?? 1,
      parent,
      payload,
      regions,
      phase: "queued",
      cell: undefined,
      awaited: new Set(),
      ended: Promise.withResolvers<void>(),
      children: new Map(),
      timer: undefined,
    };
    run.components.push(component);
    run.pending++;
    run.emit({
      type: "component-triggered",
      component: component.id,
      name,
      depth,
      message_bytes: payload.length,
      ...(parent ? { parent: parent.component } : {}),
      ...(line ? { line } : {}),
    });
    this.#wait(run, component);
    return component;
  }

  #wait(run: RunState, component: ComponentState): void {
    const { depth, order, cpus, phase } = component;
    const resuming = phase === "resuming";
    this.#waiting.push({ run, component, demand: { component: order, depth, order, cpus, resuming, needs_sandbox: !resuming } });
  }

  /** Admits whatever the materializer lets go now. */
  #pump(): void {
    for (;;) {
      const candidates = this.pool.idle > 0 ? this.#waiting : this.#waiting.filter(({ demand }) => demand.resuming);
      const limit_alive = Math.min(...[...this.#runs.values()].map((run) => run.request.limits.components_alive), 1e6);
      const alive = this.#alive;
      const decision = chooseNext(
        candidates.map(({ demand }) => demand),
        { cpus: this.#cpus, free_cpus: this.#free_cpus, alive, limit_alive, ...this.#nesting() },
      );
      if (decision.admit === undefined) {
        this.#stalled(candidates.length, alive, limit_alive, decision.reason);
        break;
      }
      const at = this.#waiting.findIndex(({ demand }) => demand.component === decision.admit);
      const { run, component } = this.#waiting.splice(at, 1)[0] as Waiting;
      const cpus = clampCpus(component.cpus, this.#cpus);
      run.emit({ type: "decided", what: "admit", component: component.id, value: cpus, reason: decision.reason });
      this.#free_cpus -= cpus;
      if (component.phase === "resuming") this.#resume(run, component);
      else this.#begin(run, component);
    }
    this.#scheduleFlush();
  }

  /** How deep the deepest component alive is, and how deep any run can nest: sandboxes are kept back for that. */
  #nesting(): { deepest_alive: number; limit_depth: number } {
    let deepest_alive = 0;
    let limit_depth = 0;
    for (const run of this.#runs.values()) {
      limit_depth = Math.max(limit_depth, run.request.depth);
      deepest_alive = Math.max(deepest_alive, run.deepestAlive);
    }
    return { deepest_alive, limit_depth };
  }

  /** One sandbox less is in the run's hands: it is back at its image, or gone. */
  #leave(run: RunState): void {
    run.cells--;
    this.#leaveIfEmpty(run);
  }

  /** Nothing can be admitted: make a sandbox if that is what lacks, or fail what can never go on. */
  #stalled(candidates: number, alive: number, limit_alive: number, reason: string): void {
    const first = this.#waiting[0];
    if (!first) return;
    if (reason !== this.#lastQueueReason) {
      this.#lastQueueReason = reason;
      if (candidates > 0) first.run.emit({ type: "decided", what: "queue", component: first.component.id, reason });
    }
    const wanting = this.#waiting.filter(({ demand }) => demand.needs_sandbox).length;
    if (wanting === 0 || this.#free_cpus <= 0) return;
    if (alive < limit_alive) {
      const wanted = Math.min(wanting, Math.ceil(this.#free_cpus), limit_alive - alive) - this.pool.idle - this.pool.coming;
      for (let i = 0; i < wanted; i++) void this.pool.make();
      return;
    }
    // Every sandbox allowed is held, and if nothing runs or is about to, by components that wait for each other.
    const stuck = [...this.#runs.values()].every((run) => run.components.every((c) => c.phase !== "running" && c.phase !== "resuming"));
    if (stuck)
      this.#fail(
        first.run,
        new ComponentLimitExceeded(
          `${alive} components are alive, all wait for children, and the limit is ${limit_alive}: nest less deeply, or raise the limit components_alive`,
          { limit: "components_alive", bound: limit_alive, value: alive },
        ).toReport(),
      );
  }

  #begin(run: RunState, component: ComponentState): void {
    const cell = this.pool.take(run.image) as SandboxCell;
    component.phase = "running";
    component.cell = cell;
    run.cells++;
    this.#alive++;
    run.enter(component.depth);
    const caps = run.request.caps[component.name];
    const timeout_ms = caps?.timeout_ms ?? run.request.limits.component_timeout_ms;
    component.timer = setTimeout(() => {
      const error = new TimedOut(`${component.name} took longer than ${timeout_ms} ms: raise @split(timeout=...), or make it do less`, {
        component: component.name,
        limit: "component_timeout_ms",
        bound: timeout_ms,
      });
      this.#fail(run, error.toReport());
    }, timeout_ms);
    cell.onMessage = (message) => this.#onMessage(run, component, cell, message);
    cell
      .run({
        type: "run",
        image: run.image,
        kind: component.parent ? ENTRY_KIND.component : ENTRY_KIND.entry,
        component: component.id,
        name: component.name,
        payload: component.payload,
        regions: component.regions,
        settings: caps?.heap_bytes === undefined ? run.settings : { ...run.settings, heap_bytes: caps.heap_bytes },
      })
      .then(
        async ({ dirty_pages, reset_ms }) => {
          // Two ports, two orders: the end of the task may be seen before the component's last message.
          await component.ended.promise;
          if (!this.pool.has(cell)) return this.#leave(run);
          run.emit({ type: "sandbox-reset", sandbox: cell.id, ms: round(reset_ms), dirty_pages });
          this.pool.give(cell);
          this.#leave(run);
        },
        (error: unknown) => {
          // Dropped components were discarded already; here is what died by itself.
          if (component.phase !== "ended") this.#fail(run, SandloomError.from(error).toReport());
          // Its memory may be used again only when the thread is gone: until then it may still write.
          void this.#discard(run, cell, "its interpreter ended").then(() => this.#leave(run));
        },
      );
  }

  #resume(run: RunState, component: ComponentState): void {
    component.phase = "running";
    run.emit({ type: "component-resumed", component: component.id });
    component.cell?.send({ type: "resume" });
  }

  #onMessage(run: RunState, component: ComponentState, cell: SandboxCell, message: FromSandbox): void {
    if (run.ended) return;
    switch (message.type) {
      case "started":
        run.emit({ type: "component-started", component: component.id, sandbox: cell.id }, message.at_ms);
        return;
      case "print":
        this.#print(run, component, message.stream, message.text);
        return;
      case "trigger": {
        run.emitMade(component.id, message.made);
        if (!this.#checkLimits(run, component)) return;
        const child = this.#enqueue(
          run,
          message.name,
          { component: component.id, ticket: message.ticket },
          component.depth + 1,
          message.payload,
          message.regions,
          message.line,
        );
        component.children.set(message.ticket, child.id);
        this.#pump();
        return;
      }
      case "split": {
        let n = run.splits.get(message.rows);
        if (n === undefined) {
          const chosen = splitCount({ rows: message.rows, row_bytes: message.row_bytes, cpus: this.#cpus, free_cpus: this.#free_cpus });
          n = chosen.n;
          run.splits.set(message.rows, n);
          run.emit({ type: "decided", what: "split", component: component.id, value: n, reason: chosen.reason });
        }
        cell.send({ type: "split", n });
        return;
      }
      case "waiting": {
        run.emitMade(component.id, message.made);
        component.phase = "waiting";
        for (const ticket of message.tickets) if (component.children.has(ticket)) component.awaited.add(ticket);
        run.emit({ type: "component-waiting", component: component.id });
        this.#free_cpus += clampCpus(component.cpus, this.#cpus);
        this.#resumeIfDone(run, component);
        this.#pump();
        return;
      }
      case "ended":
        run.emitMade(component.id, message.made);
        this.#end(run, component, cell, message);
        return;
    }
  }

  #checkLimits(run: RunState, parent: ComponentState): boolean {
    const { depth, components_pending } = run.request.limits;
    if (parent.depth + 1 > depth) {
      const error = new ComponentLimitExceeded(
        `components nest ${parent.depth + 1} deep and the limit is ${depth}: recurse less deeply, or raise the limit depth`,
        { limit: "depth", bound: depth, value: parent.depth + 1 },
      );
      this.#fail(run, error.toReport());
      return false;
    }
    if (run.pending >= components_pending) {
      const error = new ComponentLimitExceeded(
        `${run.pending} components are triggered and not ended, and the limit is ${components_pending}: trigger fewer at once`,
        { limit: "components_pending", bound: components_pending, value: run.pending },
      );
      this.#fail(run, error.toReport());
      return false;
    }
    return true;
  }

  #resumeIfDone(run: RunState, component: ComponentState): void {
    if (component.phase !== "waiting" || component.awaited.size > 0) return;
    component.phase = "resuming";
    this.#wait(run, component);
  }

  #end(run: RunState, component: ComponentState, cell: SandboxCell, message: Extract<FromSandbox, { type: "ended" }>): void {
    const { result, usage } = message;
    if (component.phase === "running") this.#free_cpus += clampCpus(component.cpus, this.#cpus);
    component.phase = "ended";
    component.cell = undefined;
    component.ended.resolve();
    this.#alive--;
    run.exit(component.depth);
    clearTimeout(component.timer);
    run.pending--;
    run.emit(
      {
        type: "component-ended",
        component: component.id,
        outcome: result.outcome === "died" ? "failed" : result.outcome,
        local_bytes: usage.local_bytes,
        cpu_ms: round(usage.cpu_ms),
        result_bytes: result.outcome === "died" ? 0 : result.payload.length,
        ...(result.outcome === "returned" ? {} : { error: result.report }),
      },
      message.at_ms,
    );
    this.#release(component.regions);
    if (result.outcome !== "died") this.pool.resetting(cell);
    if (result.outcome === "died" || (result.outcome === "raised" && (result.fatal || !component.parent))) {
      this.#fail(run, result.report);
      return;
    }
    if (component.children.size > 0) this.#cancelOrphans(run, component);
    if (component.parent) this.#deliver(run, component, result);
    else if (result.outcome === "returned") {
      this.#finish(run, { result: { document: Buffer.from(result.payload).toString("utf8"), artifacts: message.artifacts } });
    }
    this.#pump();
  }

  /** Hands a result to the component that triggered it. */
  #deliver(run: RunState, component: ComponentState, result: Exclude<ComponentOutcome, { outcome: "died" }>): void {
    const { component: parentId, ticket } = component.parent as NonNullable<ComponentState["parent"]>;
    const parent = run.components[parentId] as ComponentState;
    const regions = result.outcome === "returned" ? result.regions : [];
    if (parent.phase === "ended" || !parent.cell) {
      this.#release(regions);
      return;
    }
    parent.children.delete(ticket);
    parent.cell.deliver({ type: "joined", ticket, raised: result.outcome === "raised", payload: result.payload, regions });
    parent.awaited.delete(ticket);
    this.#resumeIfDone(run, parent);
  }

  /** Children whose parent is gone have nobody to return to. */
  #cancelOrphans(run: RunState, parent: ComponentState): void {
    for (const id of parent.children.values()) {
      const child = run.components[id] as ComponentState;
      this.#drop(run, child, "the component that triggered it ended");
      this.#cancelOrphans(run, child);
    }
    parent.children.clear();
  }

  /** Takes a component out, wherever it is; its sandbox is discarded if it has one. */
  #drop(run: RunState, component: ComponentState, reason: string): void {
    if (component.phase === "ended") return;
    if (component.phase === "running") this.#free_cpus += clampCpus(component.cpus, this.#cpus);
    const at = this.#waiting.findIndex((w) => w.component === component);
    if (at >= 0) this.#waiting.splice(at, 1);
    component.phase = "ended";
    component.ended.resolve();
    clearTimeout(component.timer);
    run.pending--;
    run.emit({ type: "component-ended", component: component.id, outcome: "cancelled", local_bytes: 0, cpu_ms: 0, result_bytes: 0 });
    if (component.cell) {
      this.#alive--;
      run.exit(component.depth);
      void this.#discard(run, component.cell, reason);
    }
    component.cell = undefined;
    this.#release(component.regions);
  }

  async #discard(run: RunState, cell: SandboxCell, reason: string): Promise<void> {
    if (this.pool.has(cell)) {
      run.emit({ type: "sandbox-discarded", sandbox: cell.id, reason });
      cell.onMessage = () => undefined;
    }
    if (!(await this.pool.discard(cell))) this.#send({ type: "stuck" });
  }

  #print(run: RunState, component: ComponentState, stream: "stdout" | "stderr", text: string): void {
    const limit_bytes = run.request.limits.output_bytes;
    run.output_bytes += text.length;
    if (run.output_bytes > limit_bytes) {
      const error = new OutputLimitExceeded(
        `the run printed more than ${limit_bytes} bytes: print less, or write a file to /out`,
        { limit: "output_bytes", bound: limit_bytes, value: run.output_bytes, component: component.name },
      );
      this.#fail(run, error.toReport());
      return;
    }
    run.emit({ type: "printed", component: component.id, stream, text });
    this.#scheduleFlush();
  }

  #release(regions: readonly RegionUse[]): void {
    for (const { region } of regions) store.regionRelease(region);
  }

  /** Ends a run with an error: everything of it that is alive ends first. */
  #fail(run: RunState, error: ErrorReport): void {
    if (run.ended) return;
    const reason = error.code === "Cancelled" ? "the run was cancelled" : `the run failed: ${error.code}`;
    for (const component of run.components) this.#drop(run, component, reason);
    this.#finish(run, { error });
    this.#pump();
  }

  #finish(run: RunState, outcome: Outcome): void {
    run.ended = true;
    run.outcome = outcome;
    clearTimeout(run.timer);
    // A failure is answered at once; what it held is taken back when its threads are gone.
    if (outcome.error) this.#answer(run, outcome);
    this.#leaveIfEmpty(run);
  }

  /** Nothing of the run is mapped any more: its memory goes back, and a run that returned is answered. */
  #leaveIfEmpty(run: RunState): void {
    const { outcome } = run;
    if (!outcome || run.cells > 0) return;
    this.#emitFreed(run);
    const { regions_freed } = store.accountClose(run.settings.account);
    if (outcome.error) return;
    const left = regions_freed > 0 ? new InternalError(`${regions_freed} regions were left after the run`).toReport() : undefined;
    this.#answer(run, left ? { error: left } : outcome);
  }

  #answer(run: RunState, { result, error }: Outcome): void {
    run.emit({
      type: "run-ended",
      outcome: error ? (error.code === "Cancelled" ? "cancelled" : "failed") : "returned",
      ...(error ? { error } : {}),
    });
    this.#runs.delete(run.request.run);
    this.#send({ type: "events", run: run.request.run, events: run.takeEvents() });
    const splits = Object.fromEntries([...run.splits].map(([rows, n]) => [String(rows), n]));
    this.#send({ type: "ended", run: run.request.run, splits, ...(error ? { error } : result ? { result } : {}) });
  }

  #emitFreed(run: RunState): void {
    for (const { region, at_ms } of store.accountFreed(run.settings.account)) run.emit({ type: "memory-freed", region }, at_ms);
  }

  #scheduleFlush(): void {
    this.#flush ??= setTimeout(() => {
      this.#flush = undefined;
      this.#toRuns((run) => {
        this.#emitFreed(run);
        const events = run.takeEvents();
        if (events.length > 0) this.#send({ type: "events", run: run.request.run, events });
      });
    }, EVENT_BATCH_MS);
  }

  #toRuns(work: (run: RunState) => void): void {
    for (const run of [...this.#runs.values()]) work(run);
  }
}

const round = (value: number): number => Math.round(value * 1000) / 1000;
