/** A worker thread's entry: holds one sandbox. Piscina calls it to make the sandbox, and then once to serve. */
import { enableCompileCache } from "node:module";
import { workerData } from "node:worker_threads";
import type { WorkerTask } from "./messages.ts";
import type { Sandbox } from "./sandbox.ts";

// A thread does not inherit the process's cache of compiled sources, and what is imported before it is there is not in it.
enableCompileCache(workerData as string | undefined);
// No top-level await: Piscina could then load this file only by generating code, which the process forbids.
const sandboxModule = import("./sandbox.ts");

let sandbox: Sandbox | undefined;

export default async function handle(task: WorkerTask): Promise<void> {
  if (task.type === "make") {
    sandbox = await (await sandboxModule).Sandbox.make(task);
    return;
  }
  if (!sandbox) throw new Error("this worker has no sandbox yet");
  sandbox.serve();
}
