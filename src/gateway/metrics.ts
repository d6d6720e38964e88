/** Prometheus metrics of a host. */
import { Counter, Gauge, Histogram, Registry } from "prom-client";
import type { FunctionHost, InvocationReport } from "../cluster/hosting/host.ts";
import type { PoolEvent } from "../graph/pool.ts";

const SECONDS = [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60];

export class Metrics {
  readonly registry: Registry = new Registry();
  readonly #invocations: Counter<"function" | "outcome">;
  readonly #run: Histogram<"function">;
  readonly #queue: Histogram<"function">;
  readonly #cpu: Counter<"function">;
  readonly #pool: Counter<"what" | "cause">;

  constructor() {
    const registers = [this.registry];
    this.#invocations = new Counter({
      name: "sandloom_invocations_total",
      help: "Invocations that ended, by outcome: ok, or the code of the error",
      labelNames: ["function", "outcome"],
      registers,
    });
    this.#run = new Histogram({
      name: "sandloom_invocation_run_seconds",
      help: "From having a worker to the answer",
      labelNames: ["function"],
      buckets: SECONDS,
      registers,
    });
    this.#queue = new Histogram({
      name: "sandloom_invocation_queue_seconds",
      help: "Until an invocation had a worker",
      labelNames: ["function"],
      buckets: SECONDS,
      registers,
    });
    this.#cpu = new Counter({
      name: "sandloom_invocation_cpu_seconds_total",
      help: "CPU time of components",
      labelNames: ["function"],
      registers,
    });
    this.#pool = new Counter({
      name: "sandloom_pool_events_total",
      help: "Sandboxes made, let go, discarded and refused, by cause; /v1/stats has the reasons of the last ones",
      labelNames: ["what", "cause"],
      registers,
    });
  }

  pooled({ what, cause }: PoolEvent): void {
    this.#pool.inc({ what, cause });
  }

  invoked({ name, outcome, run_ms, queue_ms, usage }: InvocationReport): void {
    this.#invocations.inc({ function: name, outcome });
    this.#run.observe({ function: name }, run_ms / 1e3);
    this.#queue.observe({ function: name }, queue_ms / 1e3);
    this.#cpu.inc({ function: name }, usage.cpu_ms / 1e3);
  }

  /** What is asked of the host when the metrics are. */
  watch(host: FunctionHost): void {
    const gauge = (name: string, help: string): Gauge => new Gauge({ name, help, registers: [this.registry] });
    const running = gauge("sandloom_invocations_running", "Invocations that have a worker");
    const waiting = gauge("sandloom_invocations_waiting", "Invocations that wait for one");
    const sandboxes = gauge("sandloom_sandboxes", "Sandboxes of the executor");
    const idle = gauge("sandloom_sandboxes_idle", "Sandboxes that stand idle");
    const held = gauge("sandloom_pool_memory_bytes", "What sandboxes and memory components hold");
    const bound = gauge("sandloom_pool_memory_bound_bytes", "What they may hold");
    const memory = new Gauge({
      name: "sandloom_executor_memory_bytes",
      help: "Proportional set size of the executor",
      registers: [this.registry],
      async collect() {
        const stats = await host.stats();
        running.set(stats.running);
        waiting.set(stats.waiting);
        sandboxes.set(stats.sandboxes);
        idle.set(stats.pool.idle);
        held.set(stats.pool.memory_bytes);
        bound.set(stats.pool.bound_bytes);
        this.set(stats.pss_bytes);
      },
    });
    memory.set(0);
  }
}
