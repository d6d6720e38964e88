/**
 * One sandbox: a shell in this thread, the linear memory's mappings, and the component that runs in it. Everything here is
 * synchronous while a component runs; what it waits for arrives on a port and is announced by a wake word.
 */
import { Buffer } from "node:buffer";
import { performance } from "node:perf_hooks";
import { TextDecoder } from "node:util";
import { MessageChannel, type MessagePort, receiveMessageOnPort } from "node:worker_threads";
import { type ErrorReport, SandboxDied, WroteReadOnlyComponent } from "../graph/errors.ts";
import { createSpace, type Space, store } from "../fabric/store.ts";
import { ANSWER, Exchange, MAILBOX_BYTES, SLOT } from "./exchange.ts";
import {
  decodeAnswer,
  decodeCall,
  encodeCall,
  FrameReader,
  type DirectAnswer,
  type Mapped,
  OP,
  replyError,
  replyMessage,
  replyWords,
} from "./frames.ts";
import {
  type Artifact,
  type ComponentOutcome,
  type DirectCalls,
  ENTRY_KIND,
  FIRST_COMPONENT,
  FIRST_ENTRY,
  type FromSandbox,
  NO_ACCOUNT,
  now_ms,
  type RegionMade,
  type RegionUse,
  type ResetReport,
  type RunSettings,
  type RunTask,
  type ToSandbox,
  type WorkerTask,
} from "./messages.ts";
import { writeAnswer } from "./answers.ts";
import { Blocks } from "./blocks.ts";
import { hostError, MessageTooLong } from "./host-errors.ts";
import { describeDeath, died, directAnswer, withoutPayload } from "./outcome.ts";
import { fillHoles } from "./image/fill-holes.ts";
import { heapEnd } from "./runtime/emscripten.ts";
import { hostFileSystem } from "./runtime/guest-files.ts";
import { packFile } from "./runtime/pack-file.ts";
import { PACKAGES } from "./shell/guest-root.ts";
import { createShell, type Shell } from "./shell/shell.ts";

type MakeTask = Extract<WorkerTask, { type: "make" }>;

/** The caller's slot of a component that the dispatcher started. */
const NOBODY = -1;
/** A wait wakes at least this often to look at the cancel word, should a notification be lost. */
const WAIT_SLICE_MS = 200;
const PAGE_BYTES = 4096;
const MIB = 1024 * 1024;
/** State of a Mersenne twister; a position of as much says that all of it was drawn. */
const TWISTER_WORDS = 624;
/** The window holds a few more regions than the guest uses, but not any number, and none that others may wait for. */
const MAX_DETACHED = 16;
const MAX_DETACHED_BYTES = 1024 * 1024;
const MAX_POPULATED_BYTES = 2 * 1024 * 1024;
/** Of a message with more regions than this, the guest may want few. */
const MAX_MAPPED_AT_ONCE = 4;
/** The second finds what the first one made, and goes the way of a run's entry. */
const WARM_RUNS = [FIRST_COMPONENT, FIRST_ENTRY];
const FIRST_SETTINGS: RunSettings = {
  run: -1,
  account: NO_ACCOUNT,
  mounts: [],
  heap_bytes: 0,
  file_bytes: 0,
  message_bytes: 1024,
};
const NOTHING: Uint8Array = new Uint8Array(0);
/** Held: the realm of a sandbox has no globals but ECMAScript's (realm/lock.ts). */
const { crypto } = globalThis;

/** Thrown through the guest when its run was cancelled: the sandbox is discarded with it. */
class CancelledInGuest extends Error {}

interface Todo {
  readonly task: RunTask;
  readonly caller: number;
}

interface Joined {
  /** It raised. */
  readonly report?: ErrorReport;
  readonly payload: Uint8Array;
  readonly regions: readonly RegionUse[];
}

export class Sandbox {
  #port: MessagePort;
  readonly #exchange: Exchange;
  readonly #slot: number;
  readonly #addresses: { readonly entry: number; readonly task: number };
  readonly #randomStates: readonly (readonly [words: number, position: number])[];
  readonly #window: { readonly offset: number; readonly bytes: number };
  /** Of the base. */
  readonly #image_bytes: number;
  #shell!: Shell;
  #space!: Space;
  #image = -1;
  #known_bytes = 0;
  /** Nothing of the guest ran since its memory was the image's. */
  #untouched = false;
  #packages: { readonly id: number | undefined; readonly undo: () => void } = { id: undefined, undo: () => undefined };
  #mounted: { readonly key: string; readonly undo: () => void } = { key: "[]", undo: () => undefined };

  /** Those of the last direct call, parsed: a run gives the same to all its components. */
  #settingsText: Uint8Array = NOTHING;
  #settings!: Omit<RunSettings, "heap_bytes">;

  readonly #blocks = new Blocks({
    account: () => this.#task?.settings.account ?? NO_ACCOUNT,
    room_bytes: () => this.#heapBound() - (heapEnd(this.#shell.module) - this.#skipped_bytes),
    given: () => this.#boundHeap(),
    space: () => this.#memory,
    memory: () => this.#shell.module.HEAPU8,
  });

  // Of the component that runs.
  #task: RunTask | undefined;
  #caller = NOBODY;
  /** The caller has the result, and has gone on. */
  #answered = false;
  #printed = false;
  /** The settings that it gives to those that it calls. */
  #directSettings: Uint8Array | undefined;
  /** Regions that the guest has a lease of. */
  readonly #attached = new Set<number>();
  /** Of linear memory, by which the break was moved up. */
  #skipped_bytes = 0;
  /** Regions that the guest let go of, still mapped: unmapping waits for when the thread has nothing better to do. */
  readonly #detached: number[] = [];
  #detached_bytes = 0;
  /** Regions that the host copied the result into, until its message is sent. */
  readonly #published: number[] = [];
  #reply: Uint8Array = NOTHING;
  #replyRead = 0;
  #outcome: ComponentOutcome | undefined;
  /** Of all components that ran here: what comes late, for one that did not wait, is none of the next one's. */
  #tickets = 0;
  #ticketsBefore = 0;
  #joined = new Map<number, Joined>();
  #delivered: readonly RegionUse[] = [];
  #made: RegionMade[] = [];
  #heapRefused = false;
  /** Of a component that this one triggered: Python knows it as a MemoryError, as it does its own. */
  #heapReport: ErrorReport | undefined;
  #replies: ToSandbox[] = [];

  private constructor(task: MakeTask) {
    this.#port = task.port;
    this.#exchange = new Exchange(task.exchange);
    this.#slot = task.slot;
    const { record } = task.parts;
    this.#image_bytes = record.image_bytes;
    this.#randomStates = record.randomStates;
    this.#addresses = { entry: record.entryAddress, task: record.taskAddress };
    this.#window = { offset: record.window_offset, bytes: record.window_bytes };
  }

  static async make(task: MakeTask): Promise<Sandbox> {
    const sandbox = new Sandbox(task);
    const self = sandbox;
    const shell = await createShell({
      parts: task.parts,
      output: { write: (stream, bytes) => self.#print(stream, bytes) },
      host: {
        call: (frame) => self.#hostCall(frame),
        read: (limit_bytes) => self.#read(limit_bytes),
      },
      blocks: self.#blocks,
      scratch_limit_bytes: () => self.#task?.settings.file_bytes ?? 0,
    });
    // A getter, because asking for the bound is the one sign that the heap wanted to grow past it.
    Object.defineProperty(shell.module, "__heapMax", {
      get: () => {
        self.#heapRefused = true;
        self.#blocks.trim();
        return self.#heapBound() + self.#skipped_bytes;
      },
    });
    sandbox.#shell = shell;
    sandbox.#known_bytes = shell.module.HEAPU8.length;
    sandbox.#space = createSpace(shell.module.HEAPU8, {
      window_offset: self.#window.offset,
      window_bytes: self.#window.bytes,
    });
    sandbox.#mapImage(task.image);
    if (task.warm) sandbox.#warmUp(task.image);
    return sandbox;
  }

  glueCache(): Buffer {
    return this.#shell.glueCacheData();
  }

  /** Runs a component as it will run the others, its messages included, so that all of that has run once. */
  #warmUp(image: number): void {
    const { port1, port2 } = new MessageChannel();
    const dispatcher = this.#port;
    this.#port = port1;
    for (const first of WARM_RUNS) {
      port2.postMessage({ type: "run", image, regions: [], settings: FIRST_SETTINGS, ...first } satisfies RunTask);
      const next = this.#next();
      if (next) this.#run(next.task, next.caller);
      if (this.#outcome?.outcome !== "returned") throw new SandboxDied("a new sandbox could not run anything");
    }
    this.#port = dispatcher;
    port1.close();
  }

  /**
   * Runs what the dispatcher sends and what other sandboxes call, one after the other, for as long as the sandbox lives.
   * @throws SandboxDied when it cannot go on
   */
  serve(): never {
    const [exchange, slot] = [this.#exchange, this.#slot];
    for (;;) {
      const seen = exchange.load(slot, SLOT.wake);
      const next = this.#next();
      if (!next) {
        exchange.sleep(slot, seen);
        continue;
      }
      this.#run(next.task, next.caller);
    }
  }

  #next(): Todo | undefined {
    const [exchange, slot] = [this.#exchange, this.#slot];
    if (exchange.clear(slot, SLOT.request) !== 0) return this.#calledTask(exchange.read(slot));
    for (let got = receiveMessageOnPort(this.#port); got; got = receiveMessageOnPort(this.#port)) {
      const message = got.message as ToSandbox;
      if (message.type === "run") return { task: message, caller: NOBODY };
      if (message.type === "restore") this.#post({ type: "reset", report: this.#reset() });
      if (message.type === "joined") releaseAll(message.regions);
    }
    return undefined;
  }

  #calledTask(bytes: Uint8Array): Todo {
    const { caller, name, regions, heap_bytes, settings: text, payload } = decodeCall(bytes);
    if (Buffer.compare(text, this.#settingsText) !== 0) {
      this.#settingsText = text;
      this.#settings = JSON.parse(Buffer.from(text).toString()) as RunSettings;
    }
    const settings = { ...this.#settings, heap_bytes };
    const { component: kind } = ENTRY_KIND;
    return { caller, task: { type: "run", image: this.#image, kind, name, regions, settings, payload } };
  }

  /** Runs one component to its end; its outcome is told before the sandbox is put back to its image. */
  #run(task: RunTask, caller: number): void {
    const cpu_start_ms = store.threadCpuMs();
    this.#task = task;
    this.#caller = caller;
    this.#outcome = undefined;
    this.#ticketsBefore = this.#tickets;
    this.#replies = [];
    this.#joined.clear();
    this.#heapRefused = false;
    this.#heapReport = undefined;
    this.#answered = false;
    this.#printed = false;
    this.#directSettings = undefined;
    delete this.#decoders.stdout;
    delete this.#decoders.stderr;
    if (task.image !== this.#image) this.#mapImage(task.image);
    this.#mount();
    if (task.settings.account !== NO_ACCOUNT) this.#boundHeap();
    const result = this.#execute(task);
    const cpu_ms = store.threadCpuMs() - cpu_start_ms;
    const artifacts = task.kind === ENTRY_KIND.entry && result.outcome === "returned" ? this.#artifacts() : [];
    this.#answerCluster(task, result, cpu_ms, artifacts);
    const ended: FromSandbox = {
      type: "ended",
      result: this.#answered ? withoutPayload(result) : result,
      answered: this.#answered,
      result_bytes: result.outcome === "died" ? 0 : result.payload.length,
      cpu_ms,
      artifacts,
      made: this.#takeMade(),
      at_ms: now_ms(),
    };
    // Who has the answer waits for nothing: the dispatcher is told once, of this and of the reset.
    if (this.#answered && result.outcome !== "died") {
      this.#post({ ...ended, reset: this.#reset() });
      return;
    }
    if (task.keep && result.outcome !== "died") {
      this.#task = undefined;
      this.#post({ ...ended, kept: true });
      return;
    }
    this.#post(ended);
    if (caller !== NOBODY && !this.#answered) {
      this.#exchange.store(caller, SLOT.answer, ANSWER.elsewhere);
      this.#exchange.wake(caller);
    }
    if (result.outcome === "died") throw new SandboxDied(result.report.message);
    this.#post({ type: "reset", report: this.#reset() });
  }

  /** The entry of a run that printed nothing, left no files and triggered nothing: nobody else has anything to add. */
  #answerCluster(task: RunTask, result: ComponentOutcome, cpu_ms: number, artifacts: readonly Artifact[]): void {
    const { answers } = task.settings;
    if (answers === undefined || task.kind !== ENTRY_KIND.entry || result.outcome !== "returned") return;
    if (this.#printed || artifacts.length > 0 || this.#tickets > this.#ticketsBefore) return;
    writeAnswer(answers, Math.round(cpu_ms * 1000) / 1000, result.payload);
  }

  /** Whether Python looks for signals from now on. One that came before, since the task was sent, it finds at once. */
  #hear(signals: boolean): void {
    const { module } = this.#shell;
    module.Py_EmscriptenSignalBuffer = this.#exchange.signalBuffer(this.#slot);
    module.HEAPU8[module._Py_EMSCRIPTEN_SIGNAL_HANDLING] = signals ? 1 : 0;
  }

  /** Where its linear memory may end, as far as the heap goes. An image is never too large. */
  #heapBound(): number {
    const heap_bytes = (this.#task?.settings.heap_bytes ?? 0) - this.#blocks.bytes;
    return this.#window.bytes + Math.max(heap_bytes, this.#image_bytes - this.#window.bytes);
  }

  /**
   * Memory that an earlier component made the sandbox grow by is there: a heap goes on in it without asking. So the break is moved up, and
   * no more of it is left than the bound allows; what comes after that asks.
   */
  #boundHeap(): void {
    const { module } = this.#shell;
    const end = heapEnd(module);
    const allowed_bytes = Math.max(0, this.#heapBound() - (end - this.#skipped_bytes));
    const over_bytes = Math.floor((module.HEAPU8.length - end - allowed_bytes) / PAGE_BYTES) * PAGE_BYTES;
    if (over_bytes <= 0) return;
    new Uint32Array(module.HEAPU8.buffer, module._emscripten_get_sbrk_ptr(), 1)[0] = end + over_bytes;
    this.#skipped_bytes += over_bytes;
  }

  close(): void {
    this.#space.close();
  }

  #execute(task: RunTask): ComponentOutcome {
    this.#untouched = false;
    try {
      const ofRun = task.kind === ENTRY_KIND.component || task.kind === ENTRY_KIND.entry;
      this.#shell.call(ofRun ? this.#addresses.entry : this.#addresses.task);
    } catch (error) {
      if (error instanceof CancelledInGuest) return died("Cancelled", "the run was cancelled");
      return died("SandboxDied", describeDeath(error), { component: task.name });
    }
    if (this.#shell.module.__sandloom.aborted)
      return died("SandboxDied", "the interpreter aborted", { component: task.name });
    if (task.deltaPath !== undefined && this.#outcome?.outcome === "returned") {
      // A session goes on after its snapshot: its heap stays as it is.
      if (task.kind === ENTRY_KIND.load) fillHoles(this.#shell.module, { large: false });
      this.#memory.writeDelta(task.deltaPath, Math.max(heapEnd(this.#shell.module), store.imageInfo(task.image).bytes));
    }
    if (!this.#answered) {
      const stray = this.#memory.strayWrites();
      if (stray.length > 0) {
        const error = new WroteReadOnlyComponent(
          `${task.name} wrote into memory that it may only read: name the parameter in @split(writes=...)`,
          { component: task.name, regions: stray },
        );
        return { outcome: "raised", payload: NOTHING, report: error.toReport(), fatal: true };
      }
    }
    return this.#outcome ?? died("SandboxDied", "the component ended without a result", { component: task.name });
  }

  #mapImage(image: number): void {
    // An application's image may be longer than the base, and than whatever ran here before.
    const { module } = this.#shell;
    const { bytes } = store.imageInfo(image);
    if (module.HEAPU8.length < bytes && !module.growMemory(bytes))
      throw new RangeError(`linear memory cannot grow to ${bytes} bytes`);
    this.#memory.mapImage(image, this.#untouched);
    this.#untouched = true;
    this.#shell.module.stackRestore(this.#shell.stackPointer);
    this.#image = image;
    this.#exchange.store(this.#slot, SLOT.image, image);
    this.#prepare();
  }

  #reset(): ResetReport {
    const start = performance.now();
    const file_bytes = this.#shell.scratch.used_bytes;
    const { dirty_pages, tail_bytes } = this.#memory.reset();
    const block_bytes = this.#blocks.reset();
    this.#skipped_bytes = 0;
    const { length } = this.#shell.module.HEAPU8;
    const grown_mib = length > this.#image_bytes ? Math.ceil((length - this.#window.bytes) / MIB) : 0;
    this.#exchange.store(this.#slot, SLOT.grown_mib, grown_mib);
    this.#untouched = true;
    this.#shell.module.stackRestore(this.#shell.stackPointer);
    this.#shell.resetJavaScript();
    this.#releaseDelivered();
    this.#releasePublished();
    this.#joined.clear();
    this.#attached.clear();
    this.#detached.length = 0;
    this.#detached_bytes = 0;
    this.#task = undefined;
    this.#prepare();
    const local_bytes = dirty_pages * PAGE_BYTES + tail_bytes + block_bytes + file_bytes;
    return { local_bytes, dirty_pages, reset_ms: performance.now() - start };
  }

  /** What the next component needs done that can be done before it comes. */
  #prepare(): void {
    // Random state is in the image: without this every component would draw the same numbers.
    const { buffer } = this.#shell.module.HEAPU8;
    for (const [words, position] of this.#randomStates) {
      crypto.getRandomValues(new Uint32Array(buffer as ArrayBuffer, words, TWISTER_WORDS));
      new Uint32Array(buffer, position, 1)[0] = TWISTER_WORDS;
    }
    this.#memory.enter();
  }

  #mount(): void {
    const { mounts = [], packages } = this.#task?.settings ?? {};
    if (packages?.id !== this.#packages.id) {
      this.#packages.undo();
      const undo = packages && this.#shell.mount(PACKAGES, packFile(this.#shell.module, packages.fd));
      this.#packages = { id: packages?.id, undo: undo ?? ((): void => undefined) };
    }
    const key = JSON.stringify(mounts);
    if (key === this.#mounted.key) return;
    this.#mounted.undo();
    const undos = mounts.map(({ host, guest }) => this.#shell.mount(guest, hostFileSystem(this.#shell.module, host)));
    this.#mounted = { key, undo: () => undos.toReversed().forEach((undo) => undo()) };
  }

  #artifacts(): Artifact[] {
    return this.#shell.scratch.files("/out");
  }

  #post(message: FromSandbox): void {
    this.#port.postMessage(message);
  }

  #takeMade(): RegionMade[] {
    const made = this.#made;
    this.#made = [];
    return made;
  }

  /** Fresh for each component: half a character that one printed must not begin the next one's text. */
  readonly #decoders: { stdout?: TextDecoder; stderr?: TextDecoder } = {};

  #print(stream: "stdout" | "stderr", bytes: Uint8Array): void {
    this.#printed = true;
    const decoder = (this.#decoders[stream] ??= new TextDecoder());
    this.#post({ type: "print", stream, text: decoder.decode(bytes, { stream: true }) });
  }

  #read(limit_bytes: number): Uint8Array {
    const part = this.#reply.subarray(this.#replyRead, this.#replyRead + limit_bytes);
    this.#replyRead += part.length;
    return part;
  }

  /** Linear memory may have grown since: its views then have a new length at the old place. */
  get #memory(): Space {
    const { HEAPU8 } = this.#shell.module;
    if (HEAPU8.length !== this.#known_bytes) {
      this.#space.rebind(HEAPU8);
      this.#known_bytes = HEAPU8.length;
    }
    return this.#space;
  }

  #hostCall(bytes: Uint8Array): void {
    const op = bytes[0];
    try {
      const reply = this.#dispatch(new FrameReader(bytes));
      if (reply) this.#answer(reply);
    } catch (error) {
      if (error instanceof CancelledInGuest) throw error;
      if (op === OP.detach) return;
      const report = hostError(error);
      // These two have no reply: what is wrong with them is how the component ends.
      if (op === OP.result || op === OP.raise) this.#outcome = { outcome: "died", report };
      this.#answer(replyError(report));
    }
  }

  #answer(reply: Uint8Array): void {
    this.#reply = reply;
    this.#replyRead = 0;
  }

  /** Answers one request; undefined where the protocol has no reply. */
  #dispatch(frame: FrameReader): Uint8Array | undefined {
    const task = this.#task;
    if (!task) throw new RangeError("no component runs");
    if (frame.op !== OP.attach && frame.op !== OP.detach && frame.op !== OP.sleep) this.#releaseDelivered();
    switch (frame.op) {
      case OP.start:
        return replyMessage({
          words: [task.kind],
          texts: [Buffer.from(task.name), Buffer.from(task.settings.environment ?? "")],
          regions: task.regions,
          mapped: this.#mapNow(task.regions, true),
          payload: task.payload,
        });
      case OP.allocate: {
        const name = Buffer.from(frame.rest()).toString();
        const region = this.#allocate(task, frame.a, frame.b, name);
        // A large one is likely to be written by components, and not here.
        const address = this.#memory.attach(region, true, frame.a <= MAX_POPULATED_BYTES);
        store.regionRelease(region);
        this.#attached.add(region);
        return replyWords(region, address);
      }
      case OP.publish: {
        const name = frame.text(frame.u32());
        const pieces: number[] = [];
        for (let left = frame.u32(); left > 0; left--) pieces.push(frame.u64(), frame.u32(), frame.u32());
        this.#detachNow();
        const region = store.regionPublish(task.settings.account, frame.a, this.#shell.module.HEAPU8, pieces);
        this.#published.push(region);
        this.#tellMade(region, frame.b, name);
        return replyWords(region);
      }
      case OP.attach: {
        const { a: region, b: writable } = frame;
        this.#detachNow();
        const info = store.regionInfo(region);
        if (info.account !== task.settings.account) throw new RangeError(`region ${region} is not of this run`);
        // What a component was triggered with it looks at; a result it may only hand on.
        const given = task.regions.some((use) => use.region === region);
        const address = this.#memory.attach(region, writable !== 0, given);
        this.#attached.add(region);
        return replyWords(address, info.bytes);
      }
      case OP.detach:
        this.#attached.delete(frame.a);
        this.#detached_bytes += store.regionInfo(frame.a).bytes;
        if (this.#detached.push(frame.a) > MAX_DETACHED || this.#detached_bytes > MAX_DETACHED_BYTES) this.#detachNow();
        return undefined;
      case OP.trigger: {
        const line = frame.b;
        const name = frame.text(frame.u32());
        const regions = this.#hold(frame.regions());
        const payload = this.#payload(frame);
        const ticket = ++this.#tickets;
        this.#post({ type: "trigger", ticket, name, line, payload, regions, made: this.#takeMade(), waits: false });
        return replyWords(ticket);
      }
      case OP.call:
        return this.#call(frame);
      case OP.wait: {
        const tickets: number[] = [];
        for (let left = frame.a; left > 0; left--) tickets.push(frame.u32());
        this.#await(tickets);
        return replyWords();
      }
      case OP.join:
        this.#await([frame.a]);
        return this.#takeJoined(frame.a);
      case OP.sleep:
        this.#sleep(frame.a);
        return replyWords();
      case OP.hear:
        this.#hear(task.keep === true && frame.a !== 0);
        return undefined;
      case OP.adopt: {
        const block = this.#blocks.adopt(frame.a, frame.b);
        if (!block) return replyWords(0, 0);
        if (block.fresh) this.#tellMade(block.region, 0, Buffer.from(frame.rest()).toString());
        return replyWords(block.region, block.address);
      }
      case OP.split: {
        this.#post({ type: "split", rows: frame.a, row_bytes: frame.b });
        return replyWords(this.#receive("split").n);
      }
      case OP.result: {
        if (this.#answered) throw new RangeError("the component has ended already");
        const regions = this.#hold(frame.regions());
        this.#releasePublished();
        this.#outcome = { outcome: "returned", regions, payload: this.#payload(frame) };
        this.#answerDirectly(this.#outcome);
        return undefined;
      }
      case OP.raise: {
        if (this.#answered) throw new RangeError("the component has ended already");
        const report = JSON.parse(frame.text(frame.u32())) as GuestReport;
        this.#outcome = {
          outcome: "raised",
          payload: frame.rest(),
          report: this.#explain(report),
          fatal: report.fatal === true,
        };
        this.#answerDirectly(this.#outcome);
        return undefined;
      }
      default:
        throw new RangeError(`there is no host call ${frame.op}`);
    }
  }

  /** A new region, with one reference. */
  #allocate(task: RunTask, bytes: number, copied_bytes: number, name: string): number {
    this.#detachNow();
    const region = store.regionAllocate(task.settings.account, bytes);
    this.#tellMade(region, copied_bytes, name);
    return region;
  }

  #tellMade(region: number, copied_bytes: number, name: string): void {
    this.#made.push({ region, bytes: store.regionInfo(region).bytes, copied_bytes, at_ms: now_ms(), name });
  }

  /** What the host copied for the result is held by the message from now on. */
  #releasePublished(): void {
    for (const region of this.#published.splice(0)) store.regionRelease(region);
  }

  /** A result's references live until the guest has attached what it wants of them, that is until its next call. */
  #releaseDelivered(): void {
    releaseAll(this.#delivered);
    this.#delivered = [];
  }

  #payload(frame: FrameReader): Uint8Array {
    const limit_bytes = (this.#task as RunTask).settings.message_bytes;
    const payload = frame.rest();
    if (payload.length > limit_bytes) throw new MessageTooLong(payload.length, limit_bytes);
    return payload;
  }

  /** Takes the references that a message holds while it lives. */
  #hold(regions: readonly RegionUse[]): readonly RegionUse[] {
    const account = (this.#task as RunTask).settings.account;
    for (const { region } of regions) {
      if (store.regionInfo(region).account !== account) throw new RangeError(`region ${region} is not of this run`);
      store.regionRetain(region);
    }
    return regions;
  }

  #explain(report: GuestReport): ErrorReport {
    const { type, message, frames, code } = report;
    const heapFull = type === "MemoryError" && code === undefined && this.#heapRefused;
    const details = { type, message, frames, component: this.#task?.name };
    if (type === "MemoryError" && code === undefined && !heapFull && this.#heapReport)
      return { ...this.#heapReport, details: { ...this.#heapReport.details, frames } };
    if (heapFull) {
      const limit_bytes = this.#task?.settings.heap_bytes;
      return {
        code: "HeapCapExceeded",
        message: `the component's heap would grow past ${limit_bytes} bytes: raise @split(memory=...), or keep large arrays in remote(...)`,
        details: { ...details, limit: "heap_bytes", bound: limit_bytes },
      };
    }
    // An error of ours names itself by its code.
    const text = code === type ? message : `${type}: ${message}`;
    return { code: code ?? "GuestRaised", message: text, details: { ...report.details, ...details } };
  }

  /** Triggers a component and waits for its result: TRIGGER and JOIN in one. */
  #call(frame: FrameReader): Uint8Array {
    const line = frame.b;
    const name = frame.text(frame.u32());
    const regions = this.#hold(frame.regions());
    const payload = this.#payload(frame);
    const made = this.#takeMade();
    const ticket = ++this.#tickets;
    const request = this.#directCall(name, regions, payload);
    const callee = request && this.#takeCallee();
    if (!request || callee === undefined) {
      this.#post({ type: "trigger", ticket, name, line, payload, regions, made, waits: true });
      this.#receive("resume");
      return this.#takeJoined(ticket);
    }
    const at_ms = now_ms();
    this.#exchange.store(this.#slot, SLOT.answer, ANSWER.none);
    this.#exchange.write(callee, request);
    this.#exchange.store(callee, SLOT.request, 1);
    this.#exchange.wake(callee);
    // While it runs: the dispatcher keeps what it hears of the callee until it has read this.
    this.#post({
      type: "called",
      ticket,
      name,
      line,
      message_bytes: payload.length,
      regions,
      made,
      callee,
      at_ms,
    });
    return this.#answerOf(ticket);
  }

  /** A sandbox to call, counted as one of the run's, if one stands idle and the run may have it. */
  #takeCallee(): number | undefined {
    const { settings, image } = this.#task as RunTask;
    const { alive, alive_limit } = settings.direct as DirectCalls;
    const callee = Atomics.add(alive, 0, 1) < alive_limit ? this.#exchange.call(this.#slot, image) : undefined;
    if (callee === undefined) Atomics.sub(alive, 0, 1);
    return callee;
  }

  /** The call as it goes into a mailbox; undefined if it must go by the dispatcher. */
  #directCall(name: string, regions: readonly RegionUse[], payload: Uint8Array): Uint8Array | undefined {
    const { direct, heap_bytes: _, ...settings } = (this.#task as RunTask).settings;
    if (!direct || this.#caller !== NOBODY) return undefined;
    if (direct.apart.includes(name) || direct.apart.includes((this.#task as RunTask).name)) return undefined;
    const own_bytes = Object.hasOwn(direct.heap_bytes, name) ? direct.heap_bytes[name] : undefined;
    const heap_bytes = own_bytes ?? direct.run_heap_bytes;
    this.#directSettings ??= Buffer.from(JSON.stringify(settings));
    const request = encodeCall({
      caller: this.#slot,
      name,
      regions,
      heap_bytes,
      settings: this.#directSettings,
      payload,
    });
    return request.length <= MAILBOX_BYTES ? request : undefined;
  }

  /** Lets the caller go on as soon as the result is known, if it is one that it can understand alone. */
  #answerDirectly(outcome: Exclude<ComponentOutcome, { outcome: "died" }>): void {
    if (this.#caller === NOBODY) return;
    const answer = directAnswer(outcome);
    if (!answer || this.#memory.strayWrites().length > 0) return;
    this.#answered = true;
    this.#exchange.write(this.#caller, answer);
    this.#exchange.store(this.#caller, SLOT.answer, ANSWER.here);
    this.#exchange.wake(this.#caller);
  }

  #detachNow(): void {
    this.#detached_bytes = 0;
    for (const region of this.#detached.splice(0)) {
      try {
        this.#memory.detach(region);
      } catch {
        // The guest named one that it does not have; nobody waits for an answer.
      }
    }
  }

  #answerOf(ticket: number): Uint8Array {
    const [exchange, slot] = [this.#exchange, this.#slot];
    this.#detachNow();
    for (;;) {
      const seen = exchange.load(slot, SLOT.wake);
      const answer = exchange.clear(slot, SLOT.answer);
      if (answer === ANSWER.here) {
        const { raised, regions, payload } = decodeAnswer(exchange.read(slot));
        return this.#deliver({ raised, regions, payload });
      }
      if (answer === ANSWER.elsewhere) {
        this.#receive("resume");
        return this.#takeJoined(ticket);
      }
      if (exchange.load(slot, SLOT.cancel) !== 0) throw new CancelledInGuest();
      exchange.sleep(slot, seen, WAIT_SLICE_MS);
    }
  }

  #takeJoined(ticket: number): Uint8Array {
    const { report, regions, payload } = this.#joined.get(ticket) as Joined;
    if (report?.code === "HeapCapExceeded") this.#heapReport = report;
    this.#joined.delete(ticket);
    return this.#deliver({ raised: report !== undefined, regions, payload });
  }

  /** The reply that tells what a component came to. */
  #deliver({ raised, regions, payload }: DirectAnswer): Uint8Array {
    this.#delivered = regions;
    return replyMessage({ words: [raised ? 1 : 0], regions, mapped: this.#mapNow(regions, false), payload });
  }

  /** Maps a message's regions, if they are few, before the guest asks for each. What cannot be mapped it asks for, and hears why. */
  #mapNow(regions: readonly RegionUse[], populate: boolean): Mapped[] {
    if (regions.length > MAX_MAPPED_AT_ONCE) return [];
    const mapped: Mapped[] = [];
    try {
      for (const { region, writable } of regions) {
        if (this.#attached.has(region)) continue;
        const { bytes } = store.regionInfo(region);
        mapped.push({ region, address: this.#memory.attach(region, writable, populate), bytes });
        this.#attached.add(region);
      }
    } catch {
      // The window is full, for one.
    }
    return mapped;
  }

  #await(tickets: readonly number[]): void {
    this.#drain();
    const missing = tickets.filter((ticket) => !this.#joined.has(ticket));
    if (missing.length === 0) return;
    for (const ticket of missing)
      if (ticket <= this.#ticketsBefore || ticket > this.#tickets) throw new RangeError(`there is no ticket ${ticket}`);
    this.#post({ type: "waiting", tickets: missing, made: this.#takeMade() });
    this.#receive("resume");
  }

  #receive<T extends ToSandbox["type"]>(type: T): Extract<ToSandbox, { type: T }> {
    const [exchange, slot] = [this.#exchange, this.#slot];
    this.#detachNow();
    for (;;) {
      const seen = exchange.load(slot, SLOT.wake);
      this.#drain();
      const at = this.#replies.findIndex((m) => m.type === type);
      if (at >= 0) return this.#replies.splice(at, 1)[0] as Extract<ToSandbox, { type: T }>;
      if (exchange.load(slot, SLOT.cancel) !== 0) throw new CancelledInGuest();
      exchange.sleep(slot, seen, WAIT_SLICE_MS);
    }
  }

  /** Until the time is over, or Python has a signal to look at. */
  #sleep(ms: number): void {
    const [exchange, slot, end_ms] = [this.#exchange, this.#slot, now_ms() + ms];
    for (;;) {
      const seen = exchange.load(slot, SLOT.wake);
      if (exchange.load(slot, SLOT.cancel) !== 0) throw new CancelledInGuest();
      const left_ms = end_ms - now_ms();
      const signalled = this.#task?.keep === true && exchange.load(slot, SLOT.signal) !== 0;
      if (left_ms <= 0 || signalled) return;
      exchange.sleep(slot, seen, Math.min(left_ms, WAIT_SLICE_MS));
    }
  }

  #drain(): void {
    for (let got = receiveMessageOnPort(this.#port); got; got = receiveMessageOnPort(this.#port)) {
      const message = got.message as ToSandbox;
      if (message.type !== "joined") this.#replies.push(message);
      else if (message.ticket > this.#ticketsBefore) this.#joined.set(message.ticket, message);
      else releaseAll(message.regions);
    }
  }
}

interface GuestReport {
  readonly type: string;
  readonly message: string;
  readonly frames: readonly unknown[];
  readonly code?: string;
  readonly details?: Readonly<Record<string, unknown>>;
  readonly fatal?: boolean;
}

function releaseAll(regions: readonly RegionUse[]): void {
  for (const { region } of regions) store.regionRelease(region);
}
