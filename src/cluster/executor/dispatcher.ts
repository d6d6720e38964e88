/**
 * Carries out the runs of one executor: admits components by the materializer's decisions, gives them sandboxes, hands
 * results on, and ends what must end. It is single-threaded; every change of state is followed by {@link Dispatcher.#pump}.
 */
import { store } from "../../fabric/store.ts";
import { type ErrorReport, InternalError, SandloomError } from "../../graph/errors.ts";
import { splitCount } from "../../materializer/split.ts";
import type { SandboxCell } from "../../sandbox/cell.ts";
import type { Exchange } from "../../sandbox/exchange.ts";
import {
  type ComponentOutcome,
  ENTRY_KIND,
  type FromSandbox,
  now_ms,
  type PackMount,
  type RegionUse,
  type ResetReport,
  type RunTask,
} from "../../sandbox/messages.ts";
import type { ShellParts } from "../../sandbox/shell/parts.ts";
import { AdmissionQueue, type Shortage } from "./admission-queue.ts";
import { type HostAnswer, type HostTask, runHostTask } from "./host-task.ts";
import type { Images } from "./images.ts";
import { CellPool, type PoolNews } from "./pool.ts";
import type { FromExecutor, PoolSettings, RunRequest } from "./protocol.ts";
import * as errors from "./run-errors.ts";
import { childOf, type ComponentState, type Outcome, RunState, type Triggered } from "./run-state.ts";

/** Events go to the cluster in batches: they are for people, and each message costs the thread that also dispatches. */
const EVENT_BATCH_MS = 15;

export interface DispatcherOptions {
  readonly parts: Promise<ShellParts>;
  readonly images: Images;
  readonly exchange: Exchange;
  readonly cpus: number;
  readonly pool: PoolSettings;
  readonly send: (message: FromExecutor) => void;
}

export class Dispatcher {
  readonly #queue: AdmissionQueue;
  readonly #send: (message: FromExecutor) => void;
  readonly #runs = new Map<string, RunState>();
  readonly pool: CellPool;
  #order = 0;
  #runNumber = 0;
  #flushScheduled = false;
  #lastShortage = "";

  constructor(options: DispatcherOptions) {
    this.#queue = new AdmissionQueue(options.cpus);
    this.#send = options.send;
    const { parts, images, exchange, pool: settings } = options;
    const failed = (error: Error): void => this.#toRuns((run) => this.#fail(run, SandloomError.from(error).toReport()));
    const told = (news: PoolNews): void => this.#tell(news);
    this.pool = new CellPool({
      parts,
      images,
      exchange,
      settings,
      events: { told, failed, changed: () => this.#pump() },
    });
  }

  /** `onGone` is called when nothing of the run is mapped any more. */
  start(
    request: RunRequest,
    { image, packages }: { image: number; packages: PackMount | undefined },
    onGone: () => void,
  ): void {
    const { limits } = request;
    const settings = {
      run: this.#runNumber++,
      account: store.accountOpen(limits.memory_bytes),
      mounts: request.mounts,
      ...(packages ? { packages } : {}),
      heap_bytes: limits.heap_bytes,
      file_bytes: limits.file_bytes,
      message_bytes: limits.message_bytes,
      ...(request.environment === undefined ? {} : { environment: request.environment }),
      ...(request.watch === "output" ? { answers: request.run } : {}),
    };
    const run = new RunState(request, settings, image, onGone);
    this.#runs.set(request.run, run);
    run.emit({
      type: "run-accepted",
      run: request.run,
      application: request.applicationName,
      at: new Date(run.start_ms).toISOString(),
      server: { cpus: this.#queue.cpus, memory_bytes: limits.memory_bytes },
    });
    const { run_timeout_ms } = limits;
    run.timer = setTimeout(() => this.#fail(run, errors.runTimedOut(run_timeout_ms)), run_timeout_ms);
    const payload = Buffer.from(request.event);
    const entry = this.#create(run, { name: "main", depth: 1, payload, message_bytes: payload.length, regions: [] });
    this.#queue.add(run, entry);
    this.#pump();
  }

  cancel(run: string, error: ErrorReport): void {
    const state = this.#runs.get(run);
    if (state) this.#fail(state, error);
  }

  /** Runs a task of the host's own in a sandbox, as soon as one is idle. */
  async task(task: HostTask): Promise<HostAnswer> {
    const taken = await this.pool.takeSoon(task.image);
    return runHostTask(this.pool, taken, task);
  }

  #create(run: RunState, triggered: Triggered, at_ms?: number): ComponentState {
    const { name, depth, payload, message_bytes, regions, parent, line } = triggered;
    const component: ComponentState = {
      id: run.components.length,
      name,
      depth,
      order: this.#order++,
      cpus: run.request.caps[name]?.cpus ?? 1,
      parent,
      payload,
      regions,
      phase: "queued",
      cell: undefined,
      awaited: new Set(),
      children: new Map(),
      callee: undefined,
      called: false,
      timer: undefined,
    };
    run.components.push(component);
    run.pending++;
    const event = { type: "component-triggered", component: component.id, name, depth, message_bytes } as const;
    const cause = { ...(parent ? { parent: parent.component } : {}), ...(line ? { line } : {}) };
    run.emit({ ...event, ...cause }, at_ms);
    return component;
  }

  /** Admits whatever the materializer lets go now. */
  #pump(): void {
    for (;;) {
      const next = this.#queue.next(this.pool.idle);
      if (!next) break;
      if (!("admitted" in next)) {
        this.#meet(next);
        break;
      }
      const { run, component } = next.admitted;
      if (component.phase === "resuming") {
        this.#emitAdmitted(run, component, next.reason);
        this.#resume(run, component);
        continue;
      }
      const taken = this.pool.take(run.image);
      if (!taken) {
        // Another component called it a moment ago.
        this.#queue.release(component);
        this.#queue.add(run, component);
        continue;
      }
      this.#emitAdmitted(run, component, `${next.reason}; ${taken.reason}`);
      this.#begin(run, component, taken.cell);
    }
    this.pool.tend();
    this.#scheduleFlush();
  }

  /** Nothing can be admitted: make sandboxes if that is what lacks, or fail what can never go on. */
  #meet({ first, reason, sandboxes, exhausted }: Shortage): void {
    if (reason !== this.#lastShortage) {
      this.#lastShortage = reason;
      first.run.emit({ type: "decided", what: "queue", component: first.component.id, reason });
    }
    const refusal = this.pool.demand(sandboxes);
    // All wait for a sandbox that nobody can give back: one run ends, and its sandboxes do for the others.
    if (refusal && this.#standsStill) this.#fail(first.run, errors.poolFull(refusal).toReport());
    // Every sandbox allowed is held; if nothing runs or is about to, then by components that wait for each other.
    for (const run of exhausted)
      if (!run.goesOn) this.#fail(run, errors.tooManyAlive(run.alive, run.request.limits.components_alive));
  }

  get #standsStill(): boolean {
    const { idle, coming, leaving } = this.pool;
    return idle + coming + leaving === 0 && ![...this.#runs.values()].some((run) => run.goesOn);
  }

  /** Looks after the pool; where memory is short and no sandbox stands idle, the run that began first ends. */
  look(): void {
    const short = this.pool.look();
    const [oldest] = this.#runs.values();
    if (short && oldest) this.#fail(oldest, errors.memoryShort(short.value, short.bound));
  }

  /** What the pool did, to the cluster; and to the runs, whose doing it may be. */
  #tell(news: PoolNews): void {
    const { what, sandbox = -1, ms = 0, reason } = news;
    this.#send({ type: "pool", event: { at: new Date().toISOString(), ...news } });
    this.#toRuns((run) => {
      if (what === "made") run.emit({ type: "sandbox-made", sandbox, ms, reason });
      else if (what === "let-go") run.emit({ type: "sandbox-discarded", sandbox, reason });
      else if (what === "refused") run.emit({ type: "decided", what: "sandbox", reason });
    });
  }

  #emitAdmitted(run: RunState, component: ComponentState, reason: string, at_ms?: number): void {
    const value = Math.min(component.cpus, this.#queue.cpus);
    run.emit({ type: "decided", what: "admit", component: component.id, value, reason }, at_ms);
  }

  #begin(run: RunState, component: ComponentState, cell: SandboxCell): void {
    this.#started(run, component, cell);
    const { settings, image } = run;
    const heap_bytes = run.request.caps[component.name]?.heap_bytes;
    const task: RunTask = {
      type: "run",
      image,
      kind: component.parent ? ENTRY_KIND.component : ENTRY_KIND.entry,
      name: component.name,
      payload: component.payload,
      regions: component.regions,
      settings: heap_bytes === undefined ? settings : { ...settings, heap_bytes },
    };
    const listener = (message: FromSandbox): void => this.#onMessage(run, component, cell, message);
    void this.#carry(run, component, cell, cell.run(task, listener));
  }

  #started(run: RunState, component: ComponentState, cell: SandboxCell, at_ms?: number): void {
    component.phase = "running";
    component.cell = cell;
    run.cells++;
    run.enter(component.depth, component);
    run.emit({ type: "component-started", component: component.id, sandbox: cell.id }, at_ms);
    const caps = run.request.caps[component.name];
    const timeout_ms = caps?.timeout_ms ?? run.request.limits.component_timeout_ms;
    component.timer = setTimeout(
      () => this.#fail(run, errors.componentTimedOut(component.name, timeout_ms)),
      timeout_ms,
    );
  }

  /** From a component's start to its sandbox being back at its image, or gone. */
  async #carry(run: RunState, component: ComponentState, cell: SandboxCell, work: Promise<ResetReport>): Promise<void> {
    try {
      const { dirty_pages, reset_ms, local_bytes } = await work;
      run.settle(component, local_bytes);
      if (this.pool.has(cell)) {
        run.emit({ type: "sandbox-reset", sandbox: cell.id, ms: round(reset_ms), dirty_pages });
        this.pool.give(cell);
      }
    } catch (error) {
      // Dropped components were discarded already; here is what died by itself.
      if (component.phase !== "ended") this.#fail(run, SandloomError.from(error).toReport());
      // Its memory may be used again only when the thread is gone: until then it may still write.
      await this.#discard(run, cell, "its interpreter ended");
    }
    run.cells--;
    this.#leaveIfEmpty(run);
  }

  #resume(run: RunState, component: ComponentState): void {
    component.phase = "running";
    run.emit({ type: "component-resumed", component: component.id });
    component.cell?.send({ type: "resume" });
  }

  #onMessage(run: RunState, component: ComponentState, cell: SandboxCell, message: FromSandbox): void {
    if (run.ended || component.phase === "ended") {
      // It was dropped, and did not know that.
      if (message.type === "ended" && message.result.outcome === "returned") this.#release(message.result.regions);
      if (message.type === "trigger") this.#release(message.regions);
      if (message.type === "called") void this.#dropCallee(run, message);
      return;
    }
    switch (message.type) {
      case "print":
        this.#print(run, component, message.stream, message.text);
        return;
      case "trigger": {
        run.emitMade(component.id, message.made);
        if (!this.#checkLimits(run, component)) return;
        const { payload } = message;
        const child = this.#create(run, { ...childOf(component, message), payload, message_bytes: payload.length });
        component.children.set(message.ticket, child.id);
        this.#queue.add(run, child);
        if (message.waits) this.#wait(run, component, [message.ticket]);
        this.#pump();
        return;
      }
      case "called":
        run.emitMade(component.id, message.made);
        this.#called(run, component, message);
        return;
      case "split": {
        let n = run.splits.get(message.rows);
        if (n === undefined) {
          const chosen = splitCount({
            rows: message.rows,
            row_bytes: message.row_bytes,
            cpus: this.#queue.cpus,
            free_cpus: this.#queue.free_cpus,
          });
          n = chosen.n;
          run.splits.set(message.rows, n);
          run.emit({ type: "decided", what: "split", component: component.id, value: n, reason: chosen.reason });
        }
        cell.send({ type: "split", n });
        return;
      }
      case "waiting": {
        run.emitMade(component.id, message.made);
        this.#wait(run, component, message.tickets);
        this.#pump();
        return;
      }
      case "ended":
        run.emitMade(component.id, message.made);
        this.#end(run, component, cell, message);
        return;
      case "reset":
        throw new InternalError("a cell keeps what it is told of its reset to itself");
    }
  }

  #wait(run: RunState, component: ComponentState, tickets: readonly number[]): void {
    component.phase = "waiting";
    for (const ticket of tickets) if (component.children.has(ticket)) component.awaited.add(ticket);
    run.emit({ type: "component-waiting", component: component.id });
    this.#queue.release(component);
    this.#resumeIfDone(run, component);
  }

  /** A component called another, which runs already, on the caller's CPU. */
  #called(run: RunState, caller: ComponentState, message: Extract<FromSandbox, { type: "called" }>): void {
    const { at_ms, ticket, callee, message_bytes } = message;
    const cell = this.pool.called(callee);
    if (!cell || !this.#checkLimits(run, caller)) {
      void this.#dropCallee(run, message);
      if (!cell)
        this.#fail(run, new InternalError(`${caller.name} called sandbox slot ${callee}, which is gone`).toReport());
      return;
    }
    const payload = Buffer.alloc(0); // it has it already
    const child = this.#create(run, { ...childOf(caller, message), payload, message_bytes }, at_ms);
    caller.children.set(ticket, child.id);
    child.called = true;
    caller.callee = child;
    caller.phase = "calling";
    // It may go on before the callee's end is heard; in what people see, that comes first, if it comes soon.
    const callerCell = caller.cell as SandboxCell;
    callerCell.pause(() => {
      this.#takeCpuBack(run, child, now_ms());
      callerCell.listen();
    });
    run.emit({ type: "component-waiting", component: caller.id }, at_ms);
    const reason = "its caller waits for it and hands it its CPU, and a sandbox stood idle";
    this.#emitAdmitted(run, child, reason, at_ms);
    this.#started(run, child, cell, at_ms);
    const listener = (said: FromSandbox): void => this.#onMessage(run, child, cell, said);
    void this.#carry(run, child, cell, cell.adopt(callerCell.slot, listener));
    this.#scheduleFlush();
  }

  /** The caller of `component` goes on, if it has not before. */
  #takeCpuBack(run: RunState, component: ComponentState, at_ms: number): void {
    const caller = component.parent && run.components[component.parent.component];
    if (caller?.callee !== component) return;
    caller.callee = undefined;
    caller.phase = "running";
    component.phase = "leaving";
    this.#emitAdmitted(run, caller, "what it called has ended and gives the CPU back", at_ms);
    run.emit({ type: "component-resumed", component: caller.id }, at_ms);
  }

  /** A component called another, and was dropped before that was heard: nobody wants what comes of it. */
  async #dropCallee(run: RunState, { callee, regions }: Extract<FromSandbox, { type: "called" }>): Promise<void> {
    run.cells++;
    const cell = this.pool.called(callee);
    if (cell) await this.#discard(run, cell, "the component that called it was dropped");
    this.#release(regions);
    run.uncount();
    run.cells--;
    this.#leaveIfEmpty(run);
  }

  #checkLimits(run: RunState, parent: ComponentState): boolean {
    const { depth, components_pending } = run.request.limits;
    if (parent.depth >= depth) this.#fail(run, errors.tooDeep(parent.depth + 1, depth));
    else if (run.pending >= components_pending) this.#fail(run, errors.tooManyPending(run.pending, components_pending));
    return !run.ended;
  }

  #resumeIfDone(run: RunState, component: ComponentState): void {
    if (component.phase !== "waiting" || component.awaited.size > 0) return;
    component.phase = "resuming";
    this.#queue.add(run, component);
  }

  #end(
    run: RunState,
    component: ComponentState,
    cell: SandboxCell,
    message: Extract<FromSandbox, { type: "ended" }>,
  ): void {
    const { result, cpu_ms } = message;
    run.cpu_ms += cpu_ms;
    const caller = component.parent && run.components[component.parent.component];
    this.#takeCpuBack(run, component, message.at_ms);
    if (component.phase === "running") this.#queue.release(component);
    component.phase = "ended";
    component.cell = undefined;
    run.exit(component.depth);
    clearTimeout(component.timer);
    run.pending--;
    run.owe(component, message.at_ms, {
      type: "component-ended",
      component: component.id,
      outcome: result.outcome === "died" ? "failed" : result.outcome,
      cpu_ms: round(cpu_ms),
      result_bytes: message.result_bytes,
      ...(result.outcome === "returned" ? {} : { error: result.report }),
    });
    this.#release(component.regions);
    if (result.outcome !== "died") this.pool.resetting(cell);
    if (result.outcome === "died" || (result.outcome === "raised" && (result.fatal || !component.parent))) {
      this.#fail(run, result.report);
      return;
    }
    if (component.children.size > 0) this.#cancelOrphans(run, component);
    if (component.parent) this.#deliver(run, component, result, message.answered);
    else if (result.outcome === "returned") {
      this.#finish(run, {
        result: { document: Buffer.from(result.payload).toString("utf8"), artifacts: message.artifacts },
      });
    }
    this.#pump();
    if (component.called) caller?.cell?.listen();
  }

  /** Hands a result to the component that triggered it. */
  #deliver(
    run: RunState,
    component: ComponentState,
    result: Exclude<ComponentOutcome, { outcome: "died" }>,
    answered: boolean,
  ): void {
    const { component: parentId, ticket } = component.parent as NonNullable<ComponentState["parent"]>;
    const parent = run.components[parentId] as ComponentState;
    const regions = result.outcome === "returned" ? result.regions : [];
    if (parent.phase === "ended" || !parent.cell) {
      this.#release(regions);
      return;
    }
    parent.children.delete(ticket);
    if (answered) return;
    parent.cell.deliver({
      type: "joined",
      ticket,
      ...(result.outcome === "raised" ? { report: result.report } : {}),
      payload: result.payload,
      regions,
    });
    parent.awaited.delete(ticket);
    // Called directly, with an answer that did not fit: the caller has its CPU, and needs only this.
    if (component.called) parent.cell.send({ type: "resume" });
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
    if (component.phase === "running") this.#queue.release(component);
    this.#queue.remove(component);
    component.phase = "ended";
    component.callee = undefined;
    clearTimeout(component.timer);
    run.pending--;
    run.emit({
      type: "component-ended",
      component: component.id,
      outcome: "cancelled",
      local_bytes: 0,
      cpu_ms: 0,
      result_bytes: 0,
    });
    if (component.cell) {
      run.exit(component.depth);
      void this.#discard(run, component.cell, reason);
    }
    component.cell = undefined;
    this.#release(component.regions);
  }

  async #discard(run: RunState, cell: SandboxCell, reason: string): Promise<void> {
    run.discarded = true;
    if (this.pool.has(cell)) run.emit({ type: "sandbox-discarded", sandbox: cell.id, reason });
    if (!(await this.pool.discard(cell, { what: "discarded", cause: "failed", reason }))) this.#send({ type: "stuck" });
  }

  #print(run: RunState, component: ComponentState, stream: "stdout" | "stderr", text: string): void {
    const limit_bytes = run.request.limits.output_bytes;
    run.output_bytes += text.length;
    if (run.output_bytes > limit_bytes) {
      this.#fail(run, errors.tooMuchOutput(component.name, run.output_bytes, limit_bytes));
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
    if (outcome.error) for (const component of run.components) run.settle(component, 0);
    clearTimeout(run.timer);
    // A failure is answered at once; what it held is taken back when its threads are gone.
    if (outcome.error || run.request.watch === "output") this.#answer(run, outcome);
    this.#leaveIfEmpty(run);
  }

  /** Nothing of the run is mapped any more: its memory goes back, and a run that returned is answered. */
  #leaveIfEmpty(run: RunState): void {
    const { outcome } = run;
    if (!outcome || run.cells > 0) return;
    run.onGone();
    this.#emitFreed(run);
    const { regions_freed } = store.accountClose(run.settings.account);
    if (!this.#runs.has(run.request.run)) return;
    // What was on its way to or from a sandbox that was discarded is freed with the account.
    const left =
      regions_freed > 0 && !run.discarded
        ? new InternalError(`${regions_freed} regions were left after the run`).toReport()
        : undefined;
    this.#answer(run, left ? { error: left } : outcome);
  }

  #answer(run: RunState, { result, error }: Outcome): void {
    run.emit({
      type: "run-ended",
      outcome: error ? (error.code === "Cancelled" ? "cancelled" : "failed") : "returned",
      ...(error ? { error } : {}),
    });
    this.#runs.delete(run.request.run);
    const events = run.takeEvents();
    if (events.length > 0) this.#send({ type: "events", run: run.request.run, events });
    const splits = Object.fromEntries([...run.splits].map(([rows, n]) => [String(rows), n]));
    const usage = { components: run.components.length, cpu_ms: round(run.cpu_ms) };
    this.#send({
      type: "ended",
      run: run.request.run,
      splits,
      usage,
      ...(error ? { error } : result ? { result } : {}),
    });
  }

  #emitFreed(run: RunState): void {
    for (const { region, at_ms } of store.accountFreed(run.settings.account))
      run.emit({ type: "memory-freed", region }, at_ms);
  }

  #scheduleFlush(): void {
    if (this.#flushScheduled) return;
    this.#flushScheduled = true;
    setTimeout(() => {
      this.#flushScheduled = false;
      this.#toRuns((run) => {
        this.#emitFreed(run);
        const events = run.takeEvents();
        if (events.length > 0) this.#send({ type: "events", run: run.request.run, events });
      });
    }, EVENT_BATCH_MS);
  }

  #toRuns(work: (run: RunState) => void): void {
    for (const run of this.#runs.values()) work(run);
  }
}

const round = (value: number): number => Math.round(value * 1000) / 1000;
