// Every known way out of a sandbox is tried, each in a sandbox of its own.
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { useBench } from "../support/running.ts";
import { ATTACKS } from "./attacks.ts";

const bench = useBench();
const host = mkdtempSync(join(tmpdir(), "sandloom-host-"));
let server: Server;
/** Connections that came. */
let hits = 0;

// An executor is not given it, and a guest must not see it.
process.env["SANDLOOM_TEST_CANARY"] = "CANARY";

beforeAll(async () => {
  writeFileSync(join(host, "canary.txt"), "CANARY");
  writeFileSync(join(host, "evil.js"), `require("fs").writeFileSync(${JSON.stringify(join(host, "evil"))}, "CANARY")`);
  server = createServer((socket) => {
    hits++;
    socket.end("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nCANARY");
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
});
afterAll(() => {
  server.close();
  rmSync(host, { recursive: true, force: true });
});

/** Drives an async function to its end, or to what waits for JavaScript, which never answers here. */
const DRIVER = `
async def attack():
BODY

async def _caught():
    try:
        return await attack()
    except BaseException as e:
        return "stopped by %s: %s" % (type(e).__name__, str(e)[:100])

coroutine = _caught()
answer = "it waits"
try:
    for _ in range(3):
        coroutine.send(None)
except StopIteration as end:
    answer = repr(end.value)
answer`;

interface Outcome {
  readonly answer: string;
  readonly reached: string[];
}

async function attack(id: string, body: string): Promise<Outcome> {
  const { port } = server.address() as { port: number };
  const filled = body.replaceAll("HOST", host).replaceAll("PORT", String(port)).replaceAll("ID", id);
  const code = DRIVER.replace("BODY", () => filled.replaceAll(/^/gm, "    "));
  const hits_before = hits;
  const sandbox = await bench.cluster.createSandbox();
  let answer: string;
  try {
    answer = String((await sandbox.run(code, { timeout_ms: 5000 })).value);
  } catch (error) {
    const { code: kind, message } = error as { code: string; message: string };
    expect(["SandboxDied", "TimedOut"], message).toContain(kind);
    answer = `${kind}: ${message}`;
  } finally {
    await sandbox.close();
  }
  return { answer, reached: await reachedBy(id, answer, hits_before) };
}

async function reachedBy(id: string, answer: string, hits_before: number): Promise<string[]> {
  // What went out may be a moment behind.
  await new Promise((resolve) => setTimeout(resolve, 20));
  return [
    ...(/^.?CANARY/.test(answer) ? [`it got ${answer}`] : []),
    ...(existsSync(join(host, id)) || existsSync(join(host, "evil")) ? ["it wrote a file of the host"] : []),
    ...(hits > hits_before ? ["it reached a server"] : []),
  ];
}

describe("no way leads out of a sandbox:", () => {
  test.each(ATTACKS.map(([name, body], i) => [name, `attack${i}`, body] as const))("%s", async (_, id, body) => {
    const pid = (await bench.cluster.stats()).executor_pid;
    const { answer, reached } = await attack(id, body);
    expect(reached, answer).toEqual([]);
    // Nothing that it did ended the executor.
    expect((await bench.cluster.stats()).executor_pid).toBe(pid);
  });
});

describe("what is looked for would be seen:", () => {
  test("an answer", async () => {
    expect((await attack("control", "return 'CANARY'")).reached).toEqual(["it got 'CANARY'"]);
    expect((await attack("control", "async def f(): return 'CANARY'\nreturn await f()")).reached).toEqual([
      "it got 'CANARY'",
    ]);
    expect((await attack("control", "raise ValueError('no')")).answer).toBe("'stopped by ValueError: no'");
  });

  test("a file, and a connection", async () => {
    writeFileSync(join(host, "seen"), "CANARY");
    expect(await reachedBy("seen", "", hits)).toEqual(["it wrote a file of the host"]);
    const before = hits;
    expect(await (await fetch(`http://127.0.0.1:${(server.address() as { port: number }).port}/`)).text()).toBe(
      "CANARY",
    );
    expect(await reachedBy("none", "", before)).toEqual(["it reached a server"]);
  });
});
