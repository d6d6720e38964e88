/** How an executor's pool of sandboxes is kept: for programs, which end, and for a host of functions, which does not. */
import { totalmem } from "node:os";
import { BadInput } from "../graph/errors.ts";
import type { PoolEvent } from "../graph/pool.ts";
import { FIRST_SANDBOX_BYTES } from "../materializer/pool.ts";
import type { PoolSettings } from "./executor/protocol.ts";

/** Beside the ones that run: one for an entry that waits, one that is being put back to its image. */
const SPARE_SANDBOXES = 2;
/** A sandbox that is not needed is let go after this. */
const IDLE_MS = 60_000;
/** One sandbox and some memory components; what a sandbox's own heap grows by comes out of it too. */
const LEAST_HOST_BYTES = 512 * 2 ** 20;

export interface PoolOptions extends PoolSettings {
  readonly onEvent?: (event: PoolEvent) => void;
}

/** A program's sandboxes are made when it wants them: making spares would take CPU from it. */
export function poolOfPrograms(cpus: number): PoolOptions {
  return { min_warm: Math.ceil(cpus) + SPARE_SANDBOXES, reserve: 0, idle_ms: IDLE_MS };
}

export interface HostPoolOptions {
  readonly workers: number;
  /** Sandboxes that are kept, whether or not they are used. */
  readonly min_warm?: number;
  /** A sandbox above these that stood idle for so long is let go. */
  readonly idle_ms?: number;
  /** What sandboxes and memory components may hold together. */
  readonly memory_bytes?: number;
}

/** @throws BadInput for memory in which no sandbox would fit */
export function poolOfHost({ workers, min_warm, idle_ms = IDLE_MS, memory_bytes }: HostPoolOptions): {
  readonly pool: PoolSettings & { readonly bound_bytes: number };
  /** For memory components. */
  readonly memory_bytes: number;
} {
  const bound_bytes = memory_bytes ?? Math.max(LEAST_HOST_BYTES, Math.floor(machineBytes() / 2));
  if (!(bound_bytes >= LEAST_HOST_BYTES))
    throw new BadInput(
      `memory_bytes is ${bound_bytes}, and a server takes at least ${LEAST_HOST_BYTES}: ${FIRST_SANDBOX_BYTES} for itself and its first sandbox`,
      { limit: "memory_bytes", bound: LEAST_HOST_BYTES, value: bound_bytes },
    );
  const kept = min_warm ?? workers + SPARE_SANDBOXES;
  if (!Number.isInteger(kept) || kept < 0)
    throw new BadInput(`min_warm is a number of sandboxes, not ${kept}`, { min_warm: kept });
  // Who keeps none ready wants none made ahead.
  const reserve = Math.min(SPARE_SANDBOXES, kept);
  return {
    pool: { min_warm: kept, reserve, thread_ahead: true, idle_ms, bound_bytes },
    memory_bytes: bound_bytes - FIRST_SANDBOX_BYTES,
  };
}

/** In a container what that may have, and not what the machine has. */
function machineBytes(): number {
  const constrained = process.constrainedMemory();
  return constrained > 0 ? Math.min(totalmem(), constrained) : totalmem();
}
