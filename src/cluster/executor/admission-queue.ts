/** The components that wait for a CPU, and the CPUs: state for the materializer's admission, which decides. */
import { chooseNext, clampCpus, type Decision, type Demand } from "../../materializer/admission.ts";
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
  /** No more components may hold a sandbox. */
  readonly exhausted: boolean;
  readonly alive: number;
  readonly limit_alive: number;
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
  next(runs: Iterable<RunState>, idleSandboxes: number): { admitted: Waiting; reason: string } | Shortage | undefined {
    const [first] = this.#waiting;
    if (!first) return undefined;
    const { alive, limit_alive, ...nesting } = nestingOf(runs);
    const candidates = idleSandboxes > 0 ? this.#waiting : this.#waiting.filter(({ demand }) => demand.resuming);
    const decision: Decision = chooseNext(
      candidates.map(({ demand }) => demand),
      { cpus: this.cpus, free_cpus: this.#free_cpus, alive, limit_alive, ...nesting },
    );
    if (decision.admit === undefined) {
      const wanting = this.#waiting.filter(({ demand }) => demand.needs_sandbox).length;
      const sandboxes = Math.max(0, Math.min(wanting, Math.ceil(this.#free_cpus), limit_alive - alive));
      const reason = candidates.length > 0 ? decision.reason : "every sandbox is in use";
      return { first, reason, sandboxes, exhausted: wanting > 0 && alive >= limit_alive, alive, limit_alive };
    }
    const at = this.#waiting.findIndex(({ demand }) => demand.component === decision.admit);
    const admitted = this.#waiting.splice(at, 1)[0] as Waiting;
    this.#free_cpus -= clampCpus(admitted.component.cpus, this.cpus);
    return { admitted, reason: decision.reason };
  }
}

/** How many components hold a sandbox, how deep the deepest is, and how deep any run can nest. */
function nestingOf(runs: Iterable<RunState>) {
  const nesting = { alive: 0, limit_alive: Number.MAX_SAFE_INTEGER, deepest_alive: 0, limit_depth: 0 };
  for (const run of runs) {
    nesting.alive += run.alive;
    nesting.limit_alive = Math.min(nesting.limit_alive, run.request.limits.components_alive);
    nesting.limit_depth = Math.max(nesting.limit_depth, run.request.depth);
    nesting.deepest_alive = Math.max(nesting.deepest_alive, run.deepestAlive);
  }
  return nesting;
}
