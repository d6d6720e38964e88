/** Plain Pyodide, pristine as people have it: a new thread, and in it a new interpreter, for each request. */
import { Worker } from "node:worker_threads";
import type { PyodideCall } from "./pyodide-thread.ts";

/** @returns the answer, and when it was there, from before the thread was started */
export async function callInPyodide(call: PyodideCall): Promise<{ answer: string; ms: number }> {
  const started = performance.now();
  const thread = new Worker(new URL("pyodide-thread.ts", import.meta.url), { workerData: call });
  try {
    const answer = await new Promise<string>((resolve, reject) => {
      thread.once("message", resolve);
      thread.once("error", reject);
      thread.once("exit", (code) => reject(new Error(`Pyodide's thread ended with ${code} and without an answer`)));
    });
    return { answer, ms: performance.now() - started };
  } finally {
    await thread.terminate();
  }
}
