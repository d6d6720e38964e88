// The server as a process: the command, its end by SIGTERM, and its end at any moment.
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, test } from "vitest";
import { Random } from "../agreement/random.ts";
import { sourcesOf } from "./serving.ts";

const bin = fileURLToPath(new URL("../../bin/sandloom.js", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "sandloom-process-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

interface Served {
  readonly child: ChildProcess;
  readonly url: string;
  readonly ended: Promise<number | null>;
}

async function serve(data: string, ...more: string[]): Promise<Served> {
  const args = [bin, "serve", "--port", "0", "--data", join(folder, data), "--workers", "2", ...more];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "pipe"], cwd: folder });
  let text = "";
  let said = "";
  const ended = new Promise<number | null>((resolve) => child.on("exit", resolve));
  const url = await new Promise<string>((resolve, reject) => {
    child.stdout?.on("data", (chunk: Buffer) => {
      text += chunk.toString();
      if (text.includes("\n")) resolve(text.trim());
    });
    child.stderr?.on("data", (chunk: Buffer) => (said += chunk.toString()));
    void ended.then((code) => reject(new Error(`the server ended with ${code}: ${said}`)));
  });
  return { child, url, ended };
}

interface Reply {
  readonly status: number;
  readonly body: Record<string, unknown>;
}

async function call(url: string, method: string, path: string, body?: unknown, headers = {}): Promise<Reply> {
  const response = await fetch(url + path, {
    method,
    headers: { ...headers, ...(body === undefined ? {} : { "content-type": "application/json" }) },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  return { status: response.status, body: (await response.json()) as Record<string, unknown> };
}

describe("the command", () => {
  test("serves, deploys, invokes, shows and removes", async () => {
    const { child, url, ended } = await serve("commands");
    const app = join(folder, "app.py");
    writeFileSync(
      app,
      "import os\nprint('loaded')\ndef main(event):\n    print('hi')\n    return [event, os.environ['A']]\n",
    );
    const sandloom = (...args: string[]): { status: number | null; stdout: string; stderr: string } => {
      const env = { ...process.env, NO_COLOR: "1", SANDLOOM_SERVER: url };
      const { status, stdout, stderr } = spawnSync(process.execPath, [bin, ...args], {
        encoding: "utf8",
        env,
        cwd: folder,
      });
      return { status, stdout, stderr };
    };
    expect(sandloom("deploy", "app.py", "--name", "f", "--env", "A=1")).toEqual({
      status: 0,
      stdout: "f@1\n",
      stderr: "loaded\n",
    });
    const invoked = sandloom("invoke", "f", "--set", "k=1");
    expect([invoked.status, JSON.parse(invoked.stdout), invoked.stderr]).toEqual([0, [{ k: 1 }, "1"], "hi\n"]);
    const id = sandloom("invoke", "f@1", "--async").stdout.trim();
    await call(url, "GET", `/v1/invocations/${id}?wait_ms=5000`);
    expect(JSON.parse(sandloom("result", id).stdout)).toEqual([{}, "1"]);
    expect(sandloom("functions").stdout).toMatch(/^function +deployed +timeout +memory\nf@1 /);
    expect(sandloom("logs", "f").stdout).toMatch(/ hi\n.* ok in [\d.]+ ms/);
    expect(sandloom("top").stdout).toMatch(
      /^\d of 2 workers busy, 0 waiting; \d+ sandboxes, \d+ idle, \d+ MB of [\d.]+ GB\nsandboxes since the start: \d+ made, 0 let go, 0 discarded, 0 refused\n  .* made s0: the first\n/,
    );
    expect(sandloom("remove", "f").status).toBe(0);
    expect(sandloom("invoke", "f")).toEqual({ status: 2, stdout: "", stderr: "NotFound: there is no function f\n" });
    expect(sandloom("deploy", "app.py", "--name", "no/name").status).toBe(2);
    expect(sandloom("serve", "--address", "0.0.0.0").stderr).toMatch(
      /^BadInput: 0\.0\.0\.0 can be reached from elsewhere/,
    );
    child.kill("SIGTERM");
    expect(await ended).toBe(0);
    expect(sandloom("functions").stderr).toMatch(/^BadInput: no server answers at /);
  });

  test("has its data to itself", async () => {
    const { child, ended } = await serve("shared");
    await expect(serve("shared")).rejects.toThrow(
      /BadInput: .*sandloom\.db cannot be opened .*does another server use it\?/,
    );
    child.kill("SIGKILL");
    await ended;
    const again = await serve("shared");
    again.child.kill("SIGTERM");
    expect(await again.ended).toBe(0);
  });

  test("lets what runs end when it is told to, and takes no more", async () => {
    const { child, url, ended } = await serve("drain");
    const text = "import time\ndef main(event):\n    time.sleep(0.6)\n    return 'ended'\n";
    await call(url, "POST", "/v1/functions/slow/versions", { sources: sourcesOf(text) });
    const answer = call(url, "POST", "/v1/functions/slow/invocations", {});
    await new Promise((resolve) => setTimeout(resolve, 200));
    child.kill("SIGTERM");
    await new Promise((resolve) => setTimeout(resolve, 100));
    const refused = await call(url, "POST", "/v1/functions/slow/invocations", {});
    expect(refused).toMatchObject({ status: 503, body: { code: "Cancelled" } });
    expect(await answer).toEqual({ status: 200, body: "ended" });
    expect(await ended).toBe(0);
  });
});

describe("a server that is told to end while functions run", () => {
  const SLOW = "import time\ndef main(event):\n    print('begun')\n    time.sleep(event['s'])\n    return 'ended'\n";

  async function running(url: string, number: number): Promise<void> {
    const stats = async (): Promise<unknown> => (await call(url, "GET", "/v1/stats")).body["running"];
    await expect.poll(stats, { timeout: 10_000 }).toBe(number);
  }

  test("answers those that outlive their grace with 503, streams too, and begins what is stored anew at the next start", async () => {
    const { child, url, ended } = await serve("late", "--grace", "300ms");
    await call(url, "POST", "/v1/functions/slow/versions", { sources: sourcesOf(SLOW) });
    const path = "/v1/functions/slow/invocations";
    const stored = await call(url, "POST", path, { s: 3 }, { prefer: "respond-async" });
    await running(url, 1);
    const stream = fetch(url + path, {
      method: "POST",
      headers: { "content-type": "application/json", accept: "text/event-stream" },
      body: '{"s":60}',
    }).then((response) => response.text());
    await running(url, 2);
    const waiting = call(url, "POST", path, { s: 60 });
    await expect.poll(async () => (await call(url, "GET", "/v1/stats")).body["waiting"]).toBe(1);
    child.kill("SIGTERM");
    expect(await waiting).toMatchObject({ status: 503, body: { code: "Cancelled" } });
    expect(await stream).toMatch(/^event: output\n.*begun[^]*event: error\n.*"code":"Cancelled"/);
    expect(await ended).toBe(0);

    const next = await serve("late");
    const { body } = await call(next.url, "GET", `/v1/invocations/${String(stored.body["id"])}?wait_ms=20000`);
    expect(body).toMatchObject({ state: "succeeded", result: "ended", attempts: 2 });
    next.child.kill("SIGTERM");
    expect(await next.ended).toBe(0);
  }, 60_000);

  test("lets a stream and one that waits in line end too, if their time suffices", async () => {
    const { child, url, ended } = await serve("patient", "--workers", "1");
    await call(url, "POST", "/v1/functions/slow/versions", { sources: sourcesOf(SLOW) });
    const path = "/v1/functions/slow/invocations";
    const stream = fetch(url + path, {
      method: "POST",
      headers: { "content-type": "application/json", accept: "text/event-stream" },
      body: '{"s":0.5}',
    }).then((response) => response.text());
    await running(url, 1);
    const waiting = call(url, "POST", path, { s: 0 });
    await expect.poll(async () => (await call(url, "GET", "/v1/stats")).body["waiting"]).toBe(1);
    child.kill("SIGTERM");
    expect(await waiting).toEqual({ status: 200, body: "ended" });
    expect(await stream).toMatch(/event: result\ndata: "ended"/);
    expect(await ended).toBe(0);
  }, 60_000);

  test("ends at once when it is told twice", async () => {
    const { child, url, ended } = await serve("twice");
    await call(url, "POST", "/v1/functions/slow/versions", { sources: sourcesOf(SLOW) });
    const cut = call(url, "POST", "/v1/functions/slow/invocations", { s: 60 }).catch(() => "cut");
    await running(url, 1);
    child.kill("SIGTERM");
    await expect.poll(async () => (await call(url, "GET", "/ready")).status).toBe(503);
    child.kill("SIGTERM");
    expect(await ended).not.toBe(0);
    expect(await cut).toBe("cut");
  }, 60_000);
});

test("a server that is killed at any moment loses nothing that it acknowledged", async () => {
  const random = new Random(7);
  const versions: number[] = [];
  const invocations: string[] = [];
  const source = (n: number): object => ({ sources: sourcesOf(`def main(event):\n    return [${n}, event]\n`) });
  for (let round = 0; round < 4; round++) {
    const { child, url, ended } = await serve("killed");
    await expect.poll(async () => (await call(url, "GET", "/ready")).status, { timeout: 10_000 }).toBe(200);
    if (round > 0) {
      const known = (await call(url, "GET", "/v1/functions/f")).body["versions"] as { version: number }[];
      expect(known.map(({ version }) => version)).toEqual(expect.arrayContaining(versions));
    }
    const life = { alive: true };
    const deploy = async (): Promise<void> => {
      for (let n = round * 1000; life.alive; n++) {
        const { status, body } = await call(url, "POST", "/v1/functions/f/versions", source(n));
        expect(status).toBe(201);
        versions.push((body["deployment"] as { version: number }).version);
      }
    };
    const enqueue = async (): Promise<void> => {
      while (life.alive) {
        if (versions.length === 0) {
          await new Promise((resolve) => setTimeout(resolve, 5));
          continue;
        }
        const { status, body } = await call(
          url,
          "POST",
          "/v1/functions/f/invocations",
          { n: invocations.length },
          { prefer: "respond-async" },
        );
        expect(status).toBe(202);
        invocations.push(body["id"] as string);
      }
    };
    const work = [deploy(), enqueue(), enqueue()].map((one) =>
      one.catch((error: unknown) => {
        // Only its end may cut a request off.
        if (life.alive) throw error;
      }),
    );
    await new Promise((resolve) => setTimeout(resolve, 400 + random.int(0, 600)));
    life.alive = false;
    child.kill("SIGKILL");
    await Promise.all([...work, ended]);
  }
  const { child, url, ended } = await serve("killed");
  expect(versions.length).toBeGreaterThan(2);
  expect(invocations.length).toBeGreaterThan(20);
  for (const id of invocations) {
    const { body } = await call(url, "GET", `/v1/invocations/${id}?wait_ms=20000`);
    expect(body).toMatchObject({ id, state: "succeeded" });
  }
  child.kill("SIGTERM");
  expect(await ended).toBe(0);
}, 120_000);
