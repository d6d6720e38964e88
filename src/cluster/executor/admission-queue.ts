/** The components that wait for a CPU, and the CPUs: state for the materializer's admission, which decides. */
import {
  type Capacity,
  chooseNext,
  clampCpus,
  type Decision,
  type Demand,
  sandboxLeftFor,
} from "../../materializer/admission.ts";
import type { ComponentState, RunState } from "./run-state.ts";

/** A component that waits for a CPU; `demand.component` is its place in the order of all triggers. */
export interface Waiting {
  readonly run: RunState;
  readonly component: ComponentState;
  readonly demand: Demand;
}

export interface Shortage {
  readonly first: Waiting;
  readonly reason: string;
  /** Sandboxes that the waiting ones could use at once, were they there. */
  readonly sandboxes: number;
  /** Runs whose components hold all the sandboxes that they may, and wait for more. */
  readonly exhausted: readonly RunState[];
}

export class AdmissionQueue {
  readonly cpus: number;
  readonly #waiting: Waiting[] = [];
  #free_cpus: number;

  constructor(cpus: number) {
    this.cpus = cpus;
    this.#free_cpus = cpus;
  }

  get free_cpus(): number {
    return this.#free_cpus;
  }

  add(run: RunState, component: ComponentState): void {
    const { depth, order, cpus, phase } = component;
    const resuming = phase === "resuming";
    const demand = { component: order, depth, order, cpus, resuming, needs_sandbox: !resuming };
    this.#waiting.push({ run, component, demand });
  }

  remove(component: ComponentState): void {
    const at = this.#waiting.findIndex((waiting) => waiting.component === component);
    if (at >= 0) this.#waiting.splice(at, 1);
  }

  /** The component ended or waits: its CPUs are free. */
  release(component: ComponentState): void {
    this.#free_cpus += clampCpus(component.cpus, this.cpus);
  }

  /** The next that may go, its CPUs taken; or why none can. */
  next(idleSandboxes: number): { admitted: Waiting; reason: string } | Shortage | undefined {
    const [first] = this.#waiting;
    if (!first) return undefined;
    const candidates = idleSandboxes > 0 ? this.#waiting : this.#waiting.filter(({ demand }) => demand.resuming);
    // The limit on sandboxes is each run's own: one that has reached it keeps no other back.
    const fitting = candidates.filter(
      ({ run, demand }) => !demand.needs_sandbox || sandboxLeftFor(demand, this.#capacityOf(run)),
    );
    const decision: Decision = chooseNext(demandsOf(fitting), {
      cpus: this.cpus,
      free_cpus: this.#free_cpus,
      alive: 0,
      limit_alive: Number.POSITIVE_INFINITY,
    });
    if (decision.admit === undefined)
      return this.#shortage(first, candidates, fitting.length > 0 ? decision.reason : undefined);
    const at = this.#waiting.findIndex(({ demand }) => demand.component === decision.admit);
    const admitted = this.#waiting.splice(at, 1)[0] as Waiting;
    this.#free_cpus -= clampCpus(admitted.component.cpus, this.cpus);
    return { admitted, reason: decision.reason };
  }

  #shortage(first: Waiting, candidates: readonly Waiting[], lacksCpu: string | undefined): Shortage {
    const wanting = new Map<RunState, number>();
    for (const { run, demand } of this.#waiting)
      if (demand.needs_sandbox) wanting.set(run, (wanting.get(run) ?? 0) + 1);
    let sandboxes = 0;
    for (const [run, count] of wanting) sandboxes += Math.min(count, Math.max(0, limitOf(run) - run.alive));
    const own = candidates.filter(({ run }) => run === first.run);
    const reason =
      lacksCpu ??
      (own.length > 0 ? chooseNext(demandsOf(own), this.#capacityOf(first.run)).reason : "every sandbox is in use");
    return {
      first,
      reason,
      sandboxes: Math.min(sandboxes, Math.max(0, Math.ceil(this.#free_cpus))),
      exhausted: [...wanting.keys()].filter((run) => run.alive >= limitOf(run)),
    };
  }

  #capacityOf(run: RunState): Capacity {
    return {
      cpus: this.cpus,
      free_cpus: this.#free_cpus,
      alive: run.alive,
      limit_alive: limitOf(run),
      deepest_alive: run.deepestAlive,
      limit_depth: run.request.depth,
    };
  }
}

const demandsOf = (waiting: readonly Waiting[]): Demand[] => waiting.map(({ demand }) => demand);
const limitOf = (run: RunState): number => run.request.limits.components_alive;
