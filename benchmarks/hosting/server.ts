/** The server under test: `sandloom serve` in a process of its own, as its users start it, with a data folder of its own. */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type Bench, expectEqual } from "../bench.ts";
import { atExit } from "../cleanup.ts";
import { CPUS } from "../peers/start.ts";
import { type Answer, Connection, requestOf } from "./connection.ts";

/** What the command itself takes on a machine with so many CPUs. */
const WORKERS = 2 * CPUS;
const READY_DEADLINE_MS = 60_000;
/** A server is ready when it has one sandbox: the others are made after it, in about 50 ms each. */
const SANDBOXES_MS = 1000;
const STOP_DEADLINE_MS = 10_000;
const KEPT_CHARS = 4000;

export interface Server extends AsyncDisposable {
  readonly url: string;
  readonly pid: number;
  /** A connection that is closed with the server. */
  readonly connect: () => Promise<Connection>;
}

/** A data folder that is deleted in the end. */
export function dataFolder(bench: Bench): Disposable & { readonly path: string } {
  const path = mkdtempSync(join(bench.workspace.folder, "hosting-"));
  const remove = (): void => rmSync(path, { recursive: true, force: true });
  const done = atExit(remove);
  return {
    path,
    [Symbol.dispose]: () => {
      remove();
      done();
    },
  };
}

/** Resolves as soon as the command says where it listens: nothing is warm then. */
export async function startServer(bench: Bench, dataDir: string, more: readonly string[] = []): Promise<Server> {
  const { root, cacheDir } = bench.workspace;
  const serve = ["serve", "--port", "0", "--data", dataDir, "--workers", String(WORKERS), "--grace", "1s", ...more];
  const child = spawn(process.execPath, [join(root, "bin", "sandloom.js"), ...serve], {
    cwd: dataDir,
    env: { ...process.env, SANDLOOM_CACHE: cacheDir },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const done = atExit(() => child.kill("SIGKILL"));
  let said = "";
  child.stderr.on("data", (chunk: Buffer) => (said = (said + chunk.toString()).slice(-KEPT_CHARS)));
  const ended = new Promise<void>((resolve) => child.once("close", () => resolve()));
  const connections: Connection[] = [];
  const stop = async (): Promise<void> => {
    for (const connection of connections) connection.close();
    await end(child, ended);
    done();
  };
  try {
    const url = await Promise.race([
      firstLine(child),
      ended.then(() => Promise.reject(new Error(`the server ended:\n${said}`))),
    ]);
    const connect = async (): Promise<Connection> => {
      const connection = await Connection.open(url);
      connections.push(connection);
      return connection;
    };
    return { url, pid: child.pid ?? -1, connect, [Symbol.asyncDispose]: stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** A server that has all its sandboxes and, without a data folder of its own, nothing deployed. */
export async function openServer(bench: Bench, dataDir?: string, more: readonly string[] = []): Promise<Server> {
  const folder = dataDir === undefined ? dataFolder(bench) : { path: dataDir, [Symbol.dispose]: () => undefined };
  const remove = (): void => folder[Symbol.dispose]();
  let server: Server | undefined;
  try {
    const started = (server = await startServer(bench, folder.path, more));
    const connection = await started.connect();
    const deadline = performance.now() + READY_DEADLINE_MS;
    while ((await connection.ask(requestOf("GET", "/ready"))).status !== 200) {
      if (performance.now() > deadline) throw new Error("the server did not become ready");
      await sleep(10);
    }
    await sleep(SANDBOXES_MS);
    return {
      url: started.url,
      pid: started.pid,
      connect: started.connect,
      [Symbol.asyncDispose]: async () => {
        await started[Symbol.asyncDispose]();
        remove();
      },
    };
  } catch (error) {
    await server?.[Symbol.asyncDispose]();
    remove();
    throw error;
  }
}

export async function deploy(connection: Connection, name: string, text: string, settings: object = {}): Promise<void> {
  const sources = { name: "app", entry_file: "app.py", files: [{ path: "app.py", text }] };
  const path = `/v1/functions/${name}/versions`;
  const answer: Answer = await connection.ask(requestOf("POST", path, JSON.stringify({ sources, settings })));
  expectEqual(answer.status, 201, `deploying ${name} (${answer.body})`);
}

/** Of the last version, if none is named. */
export const invocationOf = (name: string, event: string, version?: number): Buffer =>
  requestOf("POST", `/v1/functions/${name}/invocations${version === undefined ? "" : `?version=${version}`}`, event);

async function firstLine(child: ChildProcess): Promise<string> {
  let text = "";
  return new Promise((resolve) => {
    child.stdout?.on("data", (chunk: Buffer) => {
      text += chunk.toString();
      if (text.includes("\n")) resolve(text.split("\n", 1)[0] ?? "");
    });
  });
}

async function end(child: ChildProcess, ended: Promise<void>): Promise<void> {
  child.kill("SIGTERM");
  const late = setTimeout(() => child.kill("SIGKILL"), STOP_DEADLINE_MS);
  await ended;
  clearTimeout(late);
}
