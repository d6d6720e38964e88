/** A worker thread's entry: holds one sandbox. Piscina calls it to make the sandbox, and then once to serve. */
import type { ErrorReport } from "../graph/errors.ts";
import type { WorkerTask } from "./messages.ts";
import type { Sandbox } from "./sandbox.ts";

// No top-level await: Piscina could then load this file only by generating code, which the process forbids.
// All of it now: when the sandbox is made, its realm is locked, and nothing more can be imported.
const modules = Promise.all([import("./sandbox.ts"), import("../graph/errors.ts")]);

let sandbox: Sandbox | undefined;

/** Why the sandbox could not be made; undefined if it was. An error that crosses threads as it is loses its name. */
export default async function handle(task: WorkerTask): Promise<ErrorReport | undefined> {
  if (task.type === "make") {
    const [{ Sandbox }, { SandloomError }] = await modules;
    try {
      sandbox = await Sandbox.make(task);
      return undefined;
    } catch (error) {
      return SandloomError.from(error).toReport();
    }
  }
  if (!sandbox) throw new Error("this worker has no sandbox yet");
  return sandbox.serve();
}
