/** What the dispatcher knows of one run and of its components. */
import type { EventOf, RunEvent } from "../../graph/events.ts";
import type { SandboxCell } from "../../sandbox/cell.ts";
import { type DirectCalls, now_ms, type RegionMade, type RegionUse, type RunSettings } from "../../sandbox/messages.ts";
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
  /** `calling`: it called another directly, which has its CPU. */
  phase: "queued" | "running" | "calling" | "waiting" | "resuming" | "ended";
  cell: SandboxCell | undefined;
  /** In that cell. */
  turn: number;
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
    this.request = request;
    this.image = image;
    this.onGone = onGone;
    this.#directCalls = {
      allowed: new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT)),
      run_heap_bytes: settings.heap_bytes,
      heap_bytes: Object.fromEntries(
        caps.flatMap(([name, { heap_bytes }]) => (heap_bytes ? [[name, heap_bytes]] : [])),
      ),
      apart: caps.filter(([, { cpus }]) => cpus !== 1).map(([name]) => name),
    };
    this.settings = { ...settings, direct: this.#directCalls };
  }

  /** Components that hold a sandbox, by depth. */
  readonly #aliveAt: number[] = [];

  enter(depth: number): void {
    this.#aliveAt[depth] = (this.#aliveAt[depth] ?? 0) + 1;
    this.#allowDirectCalls();
  }

  exit(depth: number): void {
    this.#aliveAt[depth] = (this.#aliveAt[depth] ?? 1) - 1;
    this.#allowDirectCalls();
  }

  /** As long as every component alive may call one, and what admission keeps back for the deepest is still left. */
  #allowDirectCalls(): void {
    const { components_alive } = this.request.limits;
    const needed = 2 * this.alive + Math.min(this.request.depth, components_alive);
    Atomics.store(this.#directCalls.allowed, 0, needed <= components_alive ? 1 : 0);
  }

  get alive(): number {
    return this.#aliveAt.reduce((sum, count) => sum + count, 0);
  }

  /** Some component runs or is about to. */
  get goesOn(): boolean {
    return this.components.some(({ phase }) => phase === "running" || phase === "resuming");
  }

  get deepestAlive(): number {
    return this.#aliveAt.findLastIndex((count) => count > 0);
  }

  emit(event: UntimedEvent, at_ms: number = now_ms()): void {
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
