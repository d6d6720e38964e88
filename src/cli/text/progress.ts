/** What is going on in a run, from its events: the counts of the status line and the lines that components print. */
import type { EventOf, RunEvent } from "../../graph/events.ts";
import { harmless, padEnd, type Paint } from "./paint.ts";
import { bytesText, durationText } from "./quantities.ts";

type State = "queued" | "running" | "waiting" | "done" | "failed" | "cancelled";

const STATE_AFTER: Readonly<Record<EventOf<"component-ended">["outcome"], State>> = {
  returned: "done",
  raised: "failed",
  failed: "failed",
  cancelled: "cancelled",
};

/** Takes the events in their order; holds what the live view shows. */
export class Progress {
  readonly #names: Map<number, string> = new Map();
  readonly #states: Map<number, State> = new Map();
  readonly #counts: Record<State, number> = { queued: 0, running: 0, waiting: 0, done: 0, failed: 0, cancelled: 0 };
  /** What they did when they were cancelled. */
  readonly #stopped: Record<"queued" | "running" | "waiting", number> = { queued: 0, running: 0, waiting: 0 };
  readonly #regions: Map<number, number> = new Map();
  #memory_bytes = 0;
  #t_ms = 0;

  get counts(): Readonly<Record<State, number>> {
    return this.#counts;
  }

  /** Components that did not come to their end: cancelled, or still there when the run ended. */
  get stopped(): Readonly<Record<"queued" | "running" | "waiting", number>> {
    const { queued, running, waiting } = this.#counts;
    return {
      queued: queued + this.#stopped.queued,
      running: running + this.#stopped.running,
      waiting: waiting + this.#stopped.waiting,
    };
  }

  get memory_bytes(): number {
    return this.#memory_bytes;
  }

  /** Time of the last event. */
  get t_ms(): number {
    return this.#t_ms;
  }

  take(event: RunEvent): void {
    this.#t_ms = event.t_ms;
    if (event.type === "component-triggered") {
      this.#names.set(event.component, event.name);
      this.#move(event.component, "queued");
    } else if (event.type === "component-started" || event.type === "component-resumed")
      this.#move(event.component, "running");
    else if (event.type === "component-waiting") this.#move(event.component, "waiting");
    else if (event.type === "component-ended") {
      const state = this.#states.get(event.component);
      if (event.outcome === "cancelled" && (state === "queued" || state === "running" || state === "waiting")) {
        this.#stopped[state]++;
      }
      this.#move(event.component, STATE_AFTER[event.outcome]);
    } else if (event.type === "memory-made") {
      this.#regions.set(event.region, event.bytes);
      this.#memory_bytes += event.bytes;
    } else if (event.type === "memory-freed") {
      this.#memory_bytes -= this.#regions.get(event.region) ?? 0;
      this.#regions.delete(event.region);
    }
  }

  /** `gradient#3`. */
  labelOf(component: number): string {
    return `${this.#names.get(component) ?? "component"}#${component}`;
  }

  #move(component: number, to: State): void {
    const from = this.#states.get(component);
    if (from) this.#counts[from]--;
    this.#counts[to]++;
    this.#states.set(component, to);
  }
}

/** `2 running · 1 waiting · 14 queued · 37 done · 120 MB in memory components · 1.20 s` */
export function statusText(progress: Progress, elapsed_ms: number, paint: Paint): string {
  const { counts } = progress;
  const parts = [
    paint("green", `${counts.running} running`),
    `${counts.waiting} waiting`,
    ...(counts.queued > 0 ? [`${counts.queued} queued`] : []),
    `${counts.done} done`,
    ...(counts.failed > 0 ? [paint("red", `${counts.failed} failed`)] : []),
    `${bytesText(progress.memory_bytes)} in memory components`,
    durationText(elapsed_ms),
  ];
  return parts.join(paint("dim", " · "));
}

/** What was stopped when a run was cancelled. */
export function cancelledText(progress: Progress): string {
  const { running, waiting, queued } = progress.stopped;
  const { done, failed } = progress.counts;
  if (running + waiting + queued + done + failed === 0) return "before any component ran";
  return `${running} running, ${waiting} waiting and ${queued} queued stopped; ${done} had returned`;
}

const COLOURS = ["cyan", "magenta", "yellow", "blue", "green"] as const;

/** Lines that a component printed: `gradient#3 │ text`, one column of names, a colour for each component's name. */
export function printedText(event: EventOf<"printed">, label: string, labelWidth: number, paint: Paint): string {
  const name = label.split("#")[0] ?? label;
  const colour =
    COLOURS[Array.from(name).reduce((sum, character) => sum + character.codePointAt(0)!, 0) % COLOURS.length]!;
  const bar = event.stream === "stderr" ? paint("red", "│") : paint("dim", "│");
  return harmless(event.text.replaceAll(/\r\n?/g, "\n"))
    .replace(/\n$/, "")
    .split("\n")
    .map((line) => `${paint(colour, padEnd(label, labelWidth))} ${bar} ${line}`)
    .join("\n");
}
