/** A process that holds shells, started as executors are, and asked what its cells alone can be asked. */
import { fork } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { executorEnvironment } from "../../src/cluster/executor/process.ts";
import { SANDBOX_FLAGS } from "../../src/sandbox/runtime/v8-flags.ts";
import { createCluster } from "../../src/index.ts";
import { baseOf } from "../../src/sandbox/image/base.ts";
import type { Bench } from "../bench.ts";

export interface FirstResult {
  /** From the hand-over of the call to the shell's thread: to the image mapped, and to the result. */
  readonly result_ms: number;
}

export type Question =
  | { readonly type: "first"; readonly handler: "numpy" | "pandas"; readonly count: number }
  | { readonly type: "grow"; readonly count: number };

export interface Answers {
  readonly first: FirstResult[];
  readonly grow: { readonly sandboxes: number; readonly pss_bytes: number };
}

export interface Shells extends AsyncDisposable {
  ask<Q extends Question>(question: Q): Promise<Answers[Q["type"]]>;
}

export interface Images {
  readonly basePrefix: string;
  readonly deltaPath: string;
}

export async function openShells(bench: Bench): Promise<Shells> {
  const images = await imagesOf(bench);
  const script = fileURLToPath(new URL("shells-process.ts", import.meta.url));
  const child = fork(script, [JSON.stringify(images)], {
    execArgv: [...SANDBOX_FLAGS],
    serialization: "advanced",
    env: executorEnvironment(bench.workspace.cacheDir),
  });
  const ended = new Promise<never>((_, reject) => {
    child.once("exit", (code, signal) => reject(new Error(`the process with the shells ended (${signal ?? code})`)));
  });
  ended.catch(() => undefined);
  return {
    ask: async <Q extends Question>(question: Q): Promise<Answers[Q["type"]]> => {
      const answer = new Promise((resolve) => child.once("message", resolve));
      child.send(question);
      return (await Promise.race([answer, ended])) as Answers[Q["type"]];
    },
    [Symbol.asyncDispose]: async () => {
      child.kill("SIGKILL");
      await ended.catch(() => undefined);
    },
  };
}

/** Made in another process than the one that uses it, as images are. */
async function imagesOf({ workspace, say }: Bench): Promise<Images> {
  const { cacheDir, app } = workspace;
  await using cluster = await createCluster({ cacheDir, onProgress: say });
  const { hash } = await cluster.compile(app("handlers"));
  return { basePrefix: baseOf(cacheDir).prefix, deltaPath: join(cacheDir, "applications", hash, "image.delta") };
}
