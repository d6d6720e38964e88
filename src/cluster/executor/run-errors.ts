/** The limits that the dispatcher enforces, as errors: the value, the bound, and what to do. */
import {
  ComponentLimitExceeded,
  type ErrorReport,
  OutputLimitExceeded,
  PoolFull,
  type SandloomError,
  TimedOut,
} from "../../graph/errors.ts";
import type { Refusal } from "../../materializer/pool.ts";

export function runTimedOut(bound: number): ErrorReport {
  const details = { limit: "run_timeout_ms", bound };
  return new TimedOut(`the run took longer than ${bound} ms: raise --timeout, or make it do less`, details).toReport();
}

export function componentTimedOut(component: string, bound: number): ErrorReport {
  const details = { component, limit: "component_timeout_ms", bound };
  const message = `${component} took longer than ${bound} ms: raise @split(timeout=...), or make it do less`;
  return new TimedOut(message, details).toReport();
}

export function tooManyAlive(value: number, bound: number): ErrorReport {
  const details = { limit: "components_alive", bound, value };
  const message = `${value} components are alive, all wait for children, and the limit is ${bound}: nest less deeply, or raise the limit components_alive`;
  return new ComponentLimitExceeded(message, details).toReport();
}

export function tooDeep(value: number, bound: number): ErrorReport {
  const details = { limit: "depth", bound, value };
  const message = `components nest ${value} deep and the limit is ${bound}: recurse less deeply, or raise the limit depth`;
  return new ComponentLimitExceeded(message, details).toReport();
}

export function tooManyPending(value: number, bound: number): ErrorReport {
  const details = { limit: "components_pending", bound, value };
  const message = `${value} components are triggered and not ended, and the limit is ${bound}: trigger fewer at once`;
  return new ComponentLimitExceeded(message, details).toReport();
}

export function tooMuchOutput(component: string, value: number, bound: number): ErrorReport {
  const details = { component, limit: "output_bytes", bound, value };
  return new OutputLimitExceeded(
    `the run printed more than ${bound} bytes: print less, or write a file to /out`,
    details,
  ).toReport();
}

/** Something waits for a sandbox that never comes. */
export function poolFull({ cause, reason, bound, value }: Refusal): SandloomError {
  const limit = cause === "memory" ? "memory_bytes" : "sandboxes";
  const help = cause === "memory" ? "raise --memory, or run less at a time" : "run less at a time";
  return new PoolFull(`no sandbox can be made, and none comes free: ${reason}; ${help}`, { limit, bound, value });
}

/** It ran longest when memory ran out. */
export function memoryShort(value: number, bound: number): ErrorReport {
  const details = { limit: "memory_bytes", bound, value };
  const message = `sandboxes and memory components hold ${value} bytes and ${bound} are allowed; of what runs, this began first: raise --memory, or give functions less`;
  return new PoolFull(message, details).toReport();
}
