/** What the dispatcher knows of one run and of its components. */
import type { EventOf, RunEvent } from "../../graph/events.ts";
import type { SandboxCell } from "../../sandbox/cell.ts";
import {
  type DirectCalls,
  type FromSandbox,
  now_ms,
  type RegionMade,
  type RegionUse,
  type RunSettings,
} from "../../sandbox/messages.ts";
import type { FromExecutor, RunRequest } from "./protocol.ts";

export type Outcome = Pick<Extract<FromExecutor, { type: "ended" }>, "result" | "error">;

export interface ComponentState {
  readonly id: number;
  readonly name: string;
  readonly depth: number;
  readonly order: number;
  readonly cpus: number;
  readonly parent: { readonly component: number; readonly ticket: number } | undefined;
  readonly payload: Uint8Array;
  /** References that the trigger message holds; released when the component has ended. */
  readonly regions: readonly RegionUse[];
  /** `calling`: it called another directly, which has its CPU. `leaving`: the other way round, it gave that back and tidies up. */
  phase: "queued" | "running" | "calling" | "waiting" | "resuming" | "leaving" | "ended";
  cell: SandboxCell | undefined;
  /** Tickets that it waits for. */
  readonly awaited: Set<number>;
  /** Children by ticket, those whose result was delivered excluded. */
  readonly children: Map<number, number>;
  /** The component that it called directly and waits for. */
  callee: ComponentState | undefined;
  /** It was called directly. */
  called: boolean;
  timer: NodeJS.Timeout | undefined;
}

/** What a component is made of when it is triggered. */
export interface Triggered {
  readonly name: string;
  readonly depth: number;
  readonly payload: Uint8Array;
  readonly message_bytes: number;
  readonly regions: readonly RegionUse[];
  readonly parent?: NonNullable<ComponentState["parent"]>;
  readonly line?: number;
}

const WORD_BYTES = Int32Array.BYTES_PER_ELEMENT;

// Omit does not distribute over a union by itself.
type WithoutTime<T> = T extends unknown ? Omit<T, "t_ms"> : never;
export type UntimedEvent = WithoutTime<RunEvent>;

export class RunState {
  readonly request: RunRequest;
  readonly settings: RunSettings;
  readonly image: number;
  readonly onGone: () => void;
  readonly start_ms: number = now_ms();
  readonly components: ComponentState[] = [];
  /** rows → n */
  readonly splits = new Map<number, number>();
  pending = 0;
  /** Sandboxes in the run's hands: running, waiting, or on their way back to the image. */
  cells = 0;
  output_bytes = 0;
  cpu_ms = 0;
  /** A sandbox was discarded while it held something of the run. */
  discarded = false;
  ended = false;
  outcome: Outcome | undefined;
  timer: NodeJS.Timeout | undefined;
  #events: RunEvent[] = [];
  readonly #owed = new Map<
    ComponentState,
    { event: Omit<EventOf<"component-ended">, "t_ms" | "local_bytes">; at_ms: number }
  >();

  readonly #directCalls: DirectCalls;

  constructor(request: RunRequest, settings: RunSettings, image: number, onGone: () => void) {
    const caps = Object.entries(request.caps);
    const { components_alive } = request.limits;
    this.request = request;
    this.image = image;
    this.onGone = onGone;
    this.#directCalls = {
      alive: new Int32Array(caps.length > 1 ? new SharedArrayBuffer(WORD_BYTES) : new ArrayBuffer(WORD_BYTES)),
      // What admission keeps back, so that one chain of components can nest to the bottom, is not for direct calls.
      alive_limit: components_alive - Math.min(request.depth, components_alive),
      run_heap_bytes: settings.heap_bytes,
      heap_bytes: Object.fromEntries(
        caps.flatMap(([name, { heap_bytes }]) => (heap_bytes ? [[name, heap_bytes]] : [])),
      ),
      apart: caps.filter(([, { cpus }]) => cpus !== 1).map(([name]) => name),
    };
    // Who has nobody to call is spared the message.
    this.settings = caps.length > 1 ? { ...settings, direct: this.#directCalls } : settings;
  }

  /** Components that hold a sandbox, by depth. */
  readonly #aliveAt: number[] = [];

  /** A component at that depth gets a sandbox; one that was called directly was counted by its caller. */
  enter(depth: number, { called }: { called: boolean }): void {
    this.#aliveAt[depth] = (this.#aliveAt[depth] ?? 0) + 1;
    if (!called) Atomics.add(this.#directCalls.alive, 0, 1);
  }

  exit(depth: number): void {
    this.#aliveAt[depth] = (this.#aliveAt[depth] ?? 1) - 1;
    this.uncount();
  }

  /** What was called directly is gone, unheard. */
  uncount(): void {
    Atomics.sub(this.#directCalls.alive, 0, 1);
  }

  get alive(): number {
    return Atomics.load(this.#directCalls.alive, 0);
  }

  /** Some component runs or is about to. */
  get goesOn(): boolean {
    return this.components.some(({ phase }) => phase === "running" || phase === "resuming");
  }

  get deepestAlive(): number {
    return this.#aliveAt.findLastIndex((count) => count > 0);
  }

  emit(event: UntimedEvent, at_ms: number = now_ms()): void {
    if (this.request.watch === "output" && event.type !== "printed") return;
    this.#events.push({ ...event, t_ms: Math.max(0, Math.round((at_ms - this.start_ms) * 1000) / 1000) });
  }

  /** Notes a component's end; the event waits for what only the reset can tell, so that nobody else has to. */
  owe(component: ComponentState, at_ms: number, event: Omit<EventOf<"component-ended">, "t_ms" | "local_bytes">): void {
    this.#owed.set(component, { event, at_ms });
  }

  settle(component: ComponentState, local_bytes: number): void {
    const owed = this.#owed.get(component);
    if (!owed) return;
    this.#owed.delete(component);
    this.emit({ ...owed.event, local_bytes }, owed.at_ms);
  }

  emitMade(component: number, made: readonly RegionMade[]): void {
    for (const { at_ms, ...region } of made) this.emit({ type: "memory-made", component, ...region }, at_ms);
  }

  takeEvents(): RunEvent[] {
    const events = this.#events;
    this.#events = [];
    return events;
  }
}

/** What a message of `parent` says of the component that it starts. */
export function childOf(
  parent: ComponentState,
  { name, ticket, line, regions }: Extract<FromSandbox, { type: "trigger" | "called" }>,
): Pick<Triggered, "name" | "depth" | "regions" | "parent" | "line"> {
  return { name, depth: parent.depth + 1, regions, parent: { component: parent.id, ticket }, line };
}
