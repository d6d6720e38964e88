/** Tasks of the host's own in a sandbox: parsing sources, loading an application. They are no components of a run. */
import { SandloomError } from "../../graph/errors.ts";
import { defaultLimits } from "../../graph/limits.ts";
import type { SandboxCell } from "../../sandbox/cell.ts";
import {
  type EntryKind,
  type FromSandbox,
  NO_ACCOUNT,
  type PackMount,
  type RunSettings,
} from "../../sandbox/messages.ts";
import type { CellPool } from "./pool.ts";

export interface HostTask {
  readonly kind: EntryKind;
  readonly document: string;
  readonly image: number;
  /** Where the pages that the task changed are written. */
  readonly deltaPath?: string;
  /** The application's wheels. */
  readonly packages?: PackMount;
}

const SETTINGS: RunSettings = {
  run: -1,
  account: NO_ACCOUNT,
  mounts: [],
  heap_bytes: defaultLimits.heap_bytes,
  file_bytes: defaultLimits.file_bytes,
  message_bytes: defaultLimits.message_bytes,
};

const discarded = { what: "discarded", cause: "failed", reason: "a task of the host failed in it" } as const;

export interface HostAnswer {
  readonly document: string;
  /** What the task printed. */
  readonly output: string;
}

/** @returns what the guest answered. @throws what it raised, with what it printed in `details.output`. */
export async function runHostTask(pool: CellPool, cell: SandboxCell, task: HostTask): Promise<HostAnswer> {
  const { promise, resolve, reject } = Promise.withResolvers<HostAnswer>();
  promise.catch(() => undefined); // awaited below, but perhaps after it was rejected
  let output = "";
  const listener = (message: FromSandbox): void => {
    if (message.type === "print") output += message.text;
    if (message.type !== "ended") return;
    const { result } = message;
    if (result.outcome === "returned") resolve({ document: Buffer.from(result.payload).toString("utf8"), output });
    else reject(SandloomError.fromReport({ ...result.report, details: { ...result.report.details, output } }));
  };
  pool.resetting(cell);
  const { kind, document, image, deltaPath, packages } = task;
  const settings = packages === undefined ? SETTINGS : { ...SETTINGS, packages };
  const timer = setTimeout(() => {
    reject(
      SandloomError.fromReport({
        code: "TimedOut",
        message: `loading took longer than ${defaultLimits.component_timeout_ms} ms`,
        details: {},
      }),
    );
    void pool.discard(cell, discarded);
  }, defaultLimits.component_timeout_ms);
  try {
    const extra = deltaPath === undefined ? {} : { deltaPath };
    const payload = Buffer.from(document);
    await cell.run({ type: "run", image, kind, name: "", payload, regions: [], settings, ...extra }, listener);
    const answer = await promise;
    return answer;
  } catch (error) {
    reject(SandloomError.from(error));
    if (SandloomError.from(error).code === "SandboxDied") await pool.discard(cell, discarded);
    return await promise;
  } finally {
    clearTimeout(timer);
    if (pool.has(cell)) pool.give(cell);
  }
}
