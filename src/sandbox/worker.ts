/** A worker thread's entry: holds one sandbox. Piscina calls it with one task at a time. */
import { type ResetReport, type WorkerTask } from "./messages.ts";
import { Sandbox } from "./sandbox.ts";

let sandbox: Sandbox | undefined;

export default async function handle(task: WorkerTask): Promise<ResetReport | undefined> {
  if (task.type === "make") {
    sandbox = await Sandbox.make(task);
    return undefined;
  }
  if (!sandbox) throw new Error("this worker has no sandbox yet");
  return sandbox.run(task);
}
