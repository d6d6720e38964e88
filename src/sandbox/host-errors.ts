/** What the guest is told when the host does not do what it asks: a code of `src/graph/errors.ts`, a text, and the numbers. */
import { FabricFullError, MemoryCapExceededError, WindowFullError } from "../fabric/native-errors.ts";
import type { ErrorReport } from "../graph/errors.ts";

/** A message that is longer than the run allows. */
export class MessageTooLong extends Error {
  readonly value: number;
  readonly bound: number;

  constructor(value: number, bound: number) {
    super(`a message of ${value} bytes is over the limit of ${bound}: put large data into remote(...) arrays`);
    this.value = value;
    this.bound = bound;
  }
}

export function hostError(error: unknown): ErrorReport {
  if (error instanceof MemoryCapExceededError) {
    const { limit_bytes: bound, used_bytes, requested_bytes } = error;
    const value = used_bytes + requested_bytes;
    const message = `the run's memory components would hold ${value} bytes and its cap is ${bound}: raise --memory, or let go of arrays earlier`;
    return { code: error.code, message, details: { limit: "memory_bytes", bound, value } };
  }
  if (error instanceof FabricFullError) {
    const { limit_bytes: bound, used_bytes, requested_bytes } = error;
    const message = `the memory components of all runs would hold ${used_bytes + requested_bytes} bytes and this server has ${bound} for them`;
    return { code: error.code, message, details: { bound, value: used_bytes + requested_bytes } };
  }
  if (error instanceof WindowFullError) {
    const { limit_bytes: bound, requested_bytes: value, free_bytes } = error;
    const message = `no free range of ${value} bytes is left in the sandbox's window of ${bound}: let go of arrays, or split the work`;
    return { code: error.code, message, details: { bound, value, free_bytes } };
  }
  if (error instanceof MessageTooLong) {
    const { message, value, bound } = error;
    return { code: "BadHostCall", message, details: { limit: "message_bytes", bound, value } };
  }
  const { code } = error as { code?: unknown };
  return {
    code: typeof code === "string" ? code : "BadHostCall",
    message: error instanceof Error ? error.message : String(error),
    details: {},
  };
}
