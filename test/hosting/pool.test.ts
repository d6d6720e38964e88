// The pool of a real server: how it follows demand, what it does when memory is short, and what it says of that.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startServer } from "../../src/index.ts";
import type { HostStats } from "../../src/cluster/hosting/host.ts";
import { serveForTest, type TestServer } from "./serving.ts";

const PROGRAM = `
import time
import numpy as np
from sandloom import split

@split
def deeper(n):
    time.sleep(0.001)
    return 1 if n == 0 else 1 + deeper(n - 1)

def main(event):
    held = np.ones(event.get("mib", 0) * 131072)
    time.sleep(event.get("s", 0))
    return deeper(event["deep"]) if "deep" in event else float(held.size)
`;

const poolOf = async (server: TestServer): Promise<HostStats["pool"]> =>
  ((await server.call("GET", "/v1/stats")).body as HostStats).pool;
const reasons = ({ recent }: HostStats["pool"], what: string, cause: string): string[] =>
  recent.filter((event) => event.what === what && event.cause === cause).map(({ reason }) => reason);
const settled = { timeout: 20_000 };

describe("a pool that keeps one", () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await serveForTest({ workers: 4, min_warm: 1, idle_ms: 200 });
    await server.deploy("f", PROGRAM);
  }, 60_000);
  afterAll(() => server[Symbol.asyncDispose]());

  test("begins with one", async () => {
    const pool = await poolOf(server);
    expect(pool).toMatchObject({ sandboxes: 1, min_warm: 1, "let-go": 0, discarded: 0, refused: 0 });
    expect(reasons(pool, "made", "start")).toEqual(["the first"]);
  });

  test("makes what is wanted, and one ahead of demand, says why, and lets go of them one by one when they stand idle", async () => {
    const answers = await Promise.all(Array.from({ length: 4 }, () => server.invoke("f", { s: 0.5 })));
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200]);
    await expect.poll(async () => (await poolOf(server)).sandboxes, settled).toBe(1);
    const pool = await poolOf(server);
    expect(pool.made).toBeGreaterThanOrEqual(4);
    expect(pool).toMatchObject({ "let-go": pool.made - 1, discarded: 0, refused: 0 });
    expect(reasons(pool, "made", "demand").length).toBeGreaterThan(0);
    expect(reasons(pool, "let-go", "idle")[0]).toMatch(/^idle for \d+ s, and \d are more than the \d that are kept$/);
    const sizes = pool.recent.filter(({ what }) => what === "let-go").map(({ sandboxes }) => sandboxes);
    expect(sizes).toEqual(sizes.map((_, i) => sizes.length - i));
    expect((await server.invoke("f")).status).toBe(200);
  });

  test("makes a spare while the only one is held", async () => {
    const before = (await poolOf(server)).made;
    const held = server.invoke("f", { s: 0.5 });
    await expect.poll(async () => (await poolOf(server)).made, settled).toBeGreaterThan(before);
    expect(reasons(await poolOf(server), "made", "spare").at(-1)).toBe(
      "0 idle and 0 coming: 1 are kept ahead of demand",
    );
    expect((await held).status).toBe(200);
  });

  test("counts all of it", async () => {
    const { body } = await server.call("GET", "/metrics");
    expect(body).toMatch(/^sandloom_pool_events_total\{what="made",cause="start"\} 1$/m);
    expect(body).toMatch(/^sandloom_pool_events_total\{what="let-go",cause="idle"\} \d+$/m);
    expect(body).toMatch(/^sandloom_sandboxes_idle \d+$/m);
    expect(body).toMatch(/^sandloom_pool_memory_bound_bytes \d+$/m);
    const { memory_bytes, bound_bytes } = await poolOf(server);
    expect(memory_bytes).toBeGreaterThan(50e6);
    expect(memory_bytes).toBeLessThan(bound_bytes);
  });
});

test("a pool that keeps none lets go of all, and makes one for the next who comes", async () => {
  await using server = await serveForTest({ workers: 2, min_warm: 0, idle_ms: 50 });
  await server.deploy("f", PROGRAM);
  await expect.poll(async () => (await poolOf(server)).sandboxes, settled).toBe(0);
  expect((await server.invoke("f", { mib: 1 })).body).toBe(131072);
  await expect.poll(async () => (await poolOf(server)).sandboxes, settled).toBe(0);
  expect((await server.deploy("g", "def main(event):\n    return 1\n")).status).toBe(201);
}, 60_000);

describe("a pool whose memory is short", () => {
  const WORKERS = 24;
  let server: TestServer;
  beforeAll(async () => {
    server = await serveForTest({ workers: WORKERS, min_warm: 1, idle_ms: 200, memory_bytes: 600e6 });
    await server.deploy("f", PROGRAM);
  }, 60_000);
  afterAll(() => server[Symbol.asyncDispose]());

  test("lets invocations wait for a sandbox: all are answered", async () => {
    const answers = await Promise.all(Array.from({ length: WORKERS }, () => server.invoke("f", { s: 0.2 })));
    expect(answers.every(({ status }) => status === 200)).toBe(true);
    const pool = await poolOf(server);
    expect(pool.made).toBeLessThan(WORKERS);
    expect(reasons(pool, "refused", "memory")[0]).toMatch(
      /^(\d+ MB held( and \d+ being made)?|\d+ sandboxes): with one more \d+ MB would be held, and 600 MB are allowed$/,
    );
    expect(server.said.some((line) => line.startsWith("no sandbox is made: "))).toBe(true);
  });

  test("ends an invocation whose components hold all sandboxes and wait for one more", async () => {
    const { status, headers, body } = await server.invoke("f", { deep: 25 });
    expect(status).toBe(503);
    expect(headers.get("retry-after")).toBe("1");
    expect(body).toMatchObject({ code: "PoolFull", details: { limit: "memory_bytes", bound: 600e6 } });
    expect(body.details.value).toBeGreaterThan(600e6);
  });

  test("ends who began first when heaps grow past it, and the server goes on", async () => {
    await expect.poll(async () => (await poolOf(server)).sandboxes, settled).toBe(1);
    const answers = await Promise.all([1, 2, 3].map(() => server.invoke("f", { mib: 200, s: 2 })));
    const failed = answers.filter(({ status }) => status !== 200);
    expect(failed.length).toBeGreaterThan(0);
    for (const { status, body } of failed) {
      expect([status, body.code]).toEqual([503, "PoolFull"]);
      expect(body.detail).toMatch(/hold \d+ bytes and 600000000 are allowed/);
    }
    expect((await server.invoke("f", { mib: 1 })).body).toBe(131072);
  });
});

test("less memory than a server takes is refused", async () => {
  const options = { port: 0, address: "127.0.0.1", dataDir: "/nowhere", workers: 1, memory_bytes: 100e6 };
  await expect(startServer(options)).rejects.toMatchObject({
    code: "BadInput",
    details: { limit: "memory_bytes", bound: 512 * 2 ** 20, value: 100e6 },
  });
});
