/** How a component ended, in the forms in which it is told. */
import { MAILBOX_BYTES } from "./exchange.ts";
import { encodeAnswer } from "./frames.ts";
import type { ComponentOutcome } from "./messages.ts";

const NOTHING: Uint8Array = new Uint8Array(0);

/** The answer that fits a mailbox and needs nobody but its caller to be understood. */
export function directAnswer(result: Exclude<ComponentOutcome, { outcome: "died" }>): Uint8Array | undefined {
  const raised = result.outcome === "raised";
  if (raised && (result.fatal || result.report.code === "HeapCapExceeded")) return undefined;
  const answer = encodeAnswer({ raised, regions: raised ? [] : result.regions, payload: result.payload });
  return answer.length <= MAILBOX_BYTES ? answer : undefined;
}

export function withoutPayload(result: ComponentOutcome): ComponentOutcome {
  if (result.outcome === "returned") return { ...result, payload: NOTHING, regions: [] };
  return result.outcome === "raised" ? { ...result, payload: NOTHING } : result;
}

export function died(code: string, message: string, details: Readonly<Record<string, unknown>> = {}): ComponentOutcome {
  return { outcome: "died", report: { code, message, details } };
}

export function describeDeath(error: unknown): string {
  if (error instanceof RangeError) return `the interpreter's stack overflowed (${error.message})`;
  const { name, status } = error as { name?: string; status?: number };
  if (name === "ExitStatus")
    return `the component ended its interpreter (exit status ${status}): return or raise instead`;
  const text = error instanceof Error ? error.message : String(error);
  return `the interpreter died: ${text.slice(0, 500)}`;
}
