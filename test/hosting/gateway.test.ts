// The HTTP API of a real server: what each request is answered with.
import { createConnection } from "node:net";
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startServer } from "../../src/index.ts";
import { serveForTest, sourcesOf, type TestServer } from "./serving.ts";

const ECHO = `
import os
import time
import numpy as np
print("loaded once")
seen = []
def main(event):
    print("hello")
    if event.get("raise"):
        raise ValueError("no " + event["raise"])
    if event.get("sleep"):
        time.sleep(event["sleep"])
    if event.get("bytes"):
        return "x" * event["bytes"]
    return {"event": event, "sum": float(np.arange(10.0).sum()), "env": os.environ.get("REGION"), "key": os.environ.get("KEY")}
`;

let server: TestServer;
beforeAll(async () => {
  server = await serveForTest({ workers: 2, waiting_per_function: 3, request_bytes: 100_000 });
  await server.deploy("echo", ECHO, {
    settings: { environment: { REGION: "north" }, timeout_ms: 1000 },
    secrets: { KEY: "hidden" },
  });
}, 60_000);
afterAll(() => server[Symbol.asyncDispose]());

describe("a deployment", () => {
  test("is a version that is there for good; one that changes nothing is none", async () => {
    const first = await server.deploy("versions", "def main(event):\n    return 1\n");
    expect(first.status).toBe(201);
    expect(first.body).toMatchObject({ unchanged: false, deployment: { name: "versions", version: 1 } });
    const same = await server.deploy("versions", "def main(event):\n    return 1\n");
    expect(same.status).toBe(200);
    expect(same.body).toMatchObject({ unchanged: true, deployment: { version: 1 } });
    expect((await server.deploy("versions", "def main(event):\n    return 2\n")).body.deployment.version).toBe(2);
    expect((await server.invoke("versions")).body).toBe(2);
    expect((await server.call("POST", "/v1/functions/versions/invocations?version=1", {})).body).toBe(1);
    const { body } = await server.call("GET", "/v1/functions/versions");
    expect(body.versions.map((v: { version: number }) => v.version)).toEqual([2, 1]);
  });

  test("shows what the top level printed, and never a secret", async () => {
    const { body } = await server.deploy("secretive", ECHO, { secrets: { KEY: "hidden" } });
    expect(body.output).toBe("loaded once\n");
    expect(body.deployment.secrets).toEqual(["KEY"]);
    const everything = JSON.stringify([
      body,
      await server.call("GET", "/v1/functions"),
      await server.call("GET", "/v1/functions/echo"),
    ]);
    expect(everything).not.toContain("hidden");
  });

  test("that cannot be compiled is refused with the place", async () => {
    const { status, headers, body } = await server.deploy(
      "bad",
      "from sandloom import split\n\nclass A:\n    @split\n    def f(x):\n        return x\ndef main(event):\n    return 1\n",
    );
    expect(status).toBe(422);
    expect(headers.get("content-type")).toContain("application/problem+json");
    expect(body).toMatchObject({ code: "CompileRefused", type: "urn:sandloom:error:CompileRefused", status: 422 });
    expect(body.details.refusals[0]).toMatchObject({ file: "app.py", line: 5 });
    expect((await server.invoke("bad")).status).toBe(404);
  });

  test("whose top level raises is refused with its traceback and output", async () => {
    const { status, body } = await server.deploy(
      "raises",
      "print('so far')\nraise KeyError('x')\ndef main(event):\n    pass\n",
    );
    expect(status).toBe(422);
    expect(body).toMatchObject({ code: "GuestRaised", status: 422, details: { type: "KeyError", output: "so far\n" } });
    expect(body.traceback.at(-1)).toMatchObject({ file: "app.py", line: 2 });
  });

  test.each([
    ["a name that is none", "/v1/functions/9x/versions", { sources: sourcesOf("") }],
    ["no sources", "/v1/functions/x/versions", {}],
    ["an unknown field", "/v1/functions/x/versions", { sources: sourcesOf(""), speed: 1 }],
    ["a timeout of nothing", "/v1/functions/x/versions", { sources: sourcesOf(""), settings: { timeout_ms: 0 } }],
    [
      "a path that leaves the folder",
      "/v1/functions/x/versions",
      { sources: { name: "a", entry_file: "../a.py", files: [{ path: "../a.py", text: "" }] } },
    ],
    [
      "no entry file",
      "/v1/functions/x/versions",
      { sources: { name: "a", entry_file: "b.py", files: [{ path: "a.py", text: "" }] } },
    ],
    [
      "a secret that is a variable too",
      "/v1/functions/x/versions",
      { sources: sourcesOf(""), settings: { environment: { A: "1" } }, secrets: { A: "2" } },
    ],
  ])("with %s is a bad request", async (_, path, body) => {
    const answer = await server.call("POST", path, body);
    expect(answer.status).toBe(400);
    expect(answer.body).toMatchObject({ code: "BadInput", status: 400 });
  });

  test("can be removed, and its numbers are not used again", async () => {
    await server.deploy("gone", "def main(event):\n    return 1\n");
    expect((await server.call("DELETE", "/v1/functions/gone")).status).toBe(204);
    expect((await server.invoke("gone")).status).toBe(404);
    expect((await server.call("DELETE", "/v1/functions/gone")).status).toBe(404);
    expect((await server.deploy("gone", "def main(event):\n    return 1\n")).body.deployment.version).toBe(2);
  });
});

describe("an invocation", () => {
  test("is answered with what the function returned, as it is", async () => {
    const { status, headers, body } = await server.invoke("echo", { n: 1.5, text: "ä" });
    expect(status).toBe(200);
    expect(body).toEqual({ event: { n: 1.5, text: "ä" }, sum: 45, env: "north", key: "hidden" });
    expect(headers.get("sandloom-version")).toBe("1");
    expect(headers.get("sandloom-invocation")).toMatch(/^[0-9a-f-]{36}$/);
    expect(headers.get("server-timing")).toMatch(/^queue;dur=[\d.]+, run;dur=[\d.]+, cpu;dur=[\d.]+$/);
  });

  test("is answered with its own result and output, whatever their sizes, with others in flight", async () => {
    const source = `
import time
def main(event):
    if event["print"]:
        print("said", event["n"])
    return {"n": event["n"], "text": "x" * event["size"]}
`;
    await server.deploy("sizes", source);
    // About where an answer is too long for the short way (src/sandbox/answers.ts), and far beyond it.
    const sizes = [0, 10, 8000, 8100, 8150, 8192, 9000, 100_000];
    const asked = Array.from({ length: 64 }, (_, n) => ({ n, size: sizes[n % 8] as number, print: n % 3 === 0 }));
    for (let n = 0; n < asked.length; n += 4) {
      const some = asked.slice(n, n + 4);
      const answers = await Promise.all(some.map((event) => server.invoke("sizes", event)));
      expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200]);
      expect(answers.map(({ body }) => body)).toEqual(
        some.map((event) => ({ n: event.n, text: "x".repeat(event.size) })),
      );
    }
    const said = JSON.stringify((await server.call("GET", "/v1/functions/sizes/logs?limit=1000")).body);
    for (const { n, print } of asked) expect(said.includes(`said ${n}\\n`)).toBe(print);
  });

  test("without a body has the event {}", async () => {
    expect((await server.call("POST", "/v1/functions/echo/invocations")).body.event).toEqual({});
  });

  test("of an application with components is the same call", async () => {
    const text =
      "import numpy as np\nfrom sandloom import remote, split\n@split\ndef part(x):\n    return float(x.sum())\n" +
      "def main(event):\n    x = remote(np.arange(8.0))\n    return sum(part(p) for p in split(x, 4))\n";
    await server.deploy("parts", text);
    expect((await server.invoke("parts")).body).toBe(28);
  });

  test("that raises is answered with its traceback", async () => {
    const { status, headers, body } = await server.invoke("echo", { raise: "way" });
    expect(status).toBe(500);
    expect(body).toMatchObject({
      code: "GuestRaised",
      detail: "ValueError: no way",
      details: { type: "ValueError", version: 1 },
    });
    expect(body.traceback.at(-1)).toMatchObject({ file: "app.py", function: "main" });
    expect(headers.get("sandloom-invocation")).toBe(body.invocation);
  });

  test("that takes too long is ended, and 504", async () => {
    const { status, body } = await server.invoke("echo", { sleep: 60 });
    expect(status).toBe(504);
    expect(body).toMatchObject({ code: "TimedOut", details: { limit: "component_timeout_ms", bound: 1000 } });
  });

  test.each([
    [400, "an event that is no JSON", "{bad", {}],
    [415, "a body of another kind", "x=1", { "content-type": "application/x-www-form-urlencoded" }],
    [415, "a body that a page may send unasked", "{}", { "content-type": "text/plain" }],
    [413, "a body that is too long", JSON.stringify("x".repeat(100_001)), {}],
  ])("is %i for %s", async (status, _, body, headers) => {
    const answer = await server.invoke("echo", body, headers);
    expect(answer.status).toBe(status);
    expect(answer.headers.get("content-type")).toContain("application/problem+json");
    expect(answer.body.status).toBe(status);
  });

  test("is 404 where there is no such function, version or path", async () => {
    for (const path of ["/v1/functions/nope/invocations", "/v1/functions/echo/invocations?version=9", "/v1/nothing"])
      expect((await server.call("POST", path, {})).body).toMatchObject({ status: 404, code: "NotFound" });
  });

  test("is refused at once when too many wait, and others are not", async () => {
    const slow = "import time\ndef main(event):\n    time.sleep(event['s'])\n    return 'slow'\n";
    await server.deploy("slow", slow);
    await server.deploy("quick", "def main(event):\n    return 'quick'\n");
    await server.invoke("quick");
    const flood = Array.from({ length: 6 }, () => server.invoke("slow", { s: 0.4 }));
    const refused = (await Promise.all(flood)).filter(({ status }) => status === 429);
    expect(refused).toHaveLength(1);
    expect(refused[0]?.headers.get("retry-after")).toBe("1");
    expect(refused[0]?.body).toMatchObject({
      code: "Overloaded",
      details: { limit: "waiting_per_function", bound: 3 },
    });
    const again = Array.from({ length: 5 }, () => server.invoke("slow", { s: 0.4 }));
    const order: string[] = [];
    const all = again.map((answer) => answer.then(() => order.push("slow")));
    await Promise.all([...all, server.invoke("quick").then(() => order.push("quick"))]);
    // Two run when it comes and three wait; it is not behind those three.
    expect(order.indexOf("quick")).toBeLessThanOrEqual(3);
  });

  test("whose client goes away is ended", async () => {
    const text = "import time\ndef main(event):\n    print('begun')\n    time.sleep(0.8)\n    print('ended')\n";
    await server.deploy("left", text);
    const gone = new AbortController();
    const answer = fetch(`${server.url}/v1/functions/left/invocations`, { method: "POST", signal: gone.signal });
    await new Promise((resolve) => setTimeout(resolve, 300));
    gone.abort();
    await expect(answer).rejects.toThrow();
    await expect.poll(async () => (await lines("left")).at(-1)).toContain("ClientClosed");
    expect(await lines("left")).not.toContain("ended\n");
  });

  test("as a stream tells what it prints as it comes, and the result", async () => {
    const answer = await server.invoke("echo", {}, { accept: "text/event-stream" });
    expect(answer.headers.get("content-type")).toBe("text/event-stream");
    expect(answer.body).toContain('event: output\ndata: {"stream":"stdout","text":"hello\\n"}\n\n');
    expect(answer.body).toMatch(/event: result\ndata: \{"event": \{\}.*\}\n\n$/);
    const failed = await server.invoke("echo", { raise: "x" }, { accept: "text/event-stream" });
    expect(failed.body).toMatch(/event: error\ndata: \{.*"code":"GuestRaised".*\}\n\n$/);
  });

  test("finds nothing of the one before", async () => {
    const text =
      "import numpy as np\nseen = []\ndef main(event):\n    import os, random\n    open('/tmp/x', 'a').close()\n    os.environ['LEFT'] = '1'\n    return [len(os.listdir('/tmp')), random.random(), float(np.random.rand())]\n";
    await server.deploy("pristine", text);
    const answers = [];
    for (let i = 0; i < 8; i++) answers.push((await server.invoke("pristine")).body as number[]);
    expect(answers.map(([files]) => files)).toEqual(Array(8).fill(1));
    expect(new Set(answers.map(([, own]) => own)).size).toBe(8);
    expect(new Set(answers.map(([, , own]) => own)).size).toBe(8);
  });
});

describe("an asynchronous invocation", () => {
  const later = { prefer: "respond-async" };

  test("is answered at once, and its result is kept", async () => {
    const { status, headers, body } = await server.invoke("echo", { a: 1 }, later);
    expect(status).toBe(202);
    expect(headers.get("location")).toBe(`/v1/invocations/${body.id}`);
    const ended = await server.call("GET", `/v1/invocations/${body.id}?wait_ms=5000`);
    expect(ended.body).toMatchObject({ state: "succeeded", attempts: 1, result: { event: { a: 1 } } });
  });

  test("that fails keeps its error", async () => {
    const { body } = await server.invoke("echo", { raise: "y" }, later);
    const ended = await server.call("GET", `/v1/invocations/${body.id}?wait_ms=5000`);
    expect(ended.body).toMatchObject({ state: "failed", error: { code: "GuestRaised", message: "ValueError: no y" } });
  });

  test("with an idempotency key runs once, and its result is the answer", async () => {
    const key = { "idempotency-key": "one" };
    const all = await Promise.all([1, 2, 3].map(() => server.invoke("echo", { k: 1 }, key)));
    expect(new Set(all.map(({ headers }) => headers.get("sandloom-invocation"))).size).toBe(1);
    expect(all.map(({ body }) => body.event.k)).toEqual([1, 1, 1]);
    const other = await server.invoke("echo", { k: 2 }, key);
    expect(other.body).toMatchObject({ status: 409, code: "Conflict" });
  });

  test("that is not known is 404", async () => {
    expect((await server.call("GET", "/v1/invocations/nope")).status).toBe(404);
  });
});

describe("the server", () => {
  test("tells its health, its metrics and its API", async () => {
    expect((await server.call("GET", "/health")).body).toEqual({ status: "ok" });
    expect((await server.call("GET", "/ready")).body).toEqual({ status: "ready" });
    const { body: metrics } = await server.call("GET", "/metrics");
    expect(metrics).toMatch(/sandloom_invocations_total\{function="echo",outcome="ok"\} \d+/);
    expect(metrics).toMatch(/sandloom_invocations_total\{function="echo",outcome="GuestRaised"\} \d+/);
    expect(metrics).toMatch(/sandloom_executor_memory_bytes [1-9]\d+/);
    const { body: api } = await server.call("GET", "/openapi.json");
    expect(api.openapi).toBe("3.1.0");
    expect(Object.keys(api.paths)).toEqual(
      expect.arrayContaining([
        "/v1/functions/{name}/versions",
        "/v1/functions/{name}/invocations",
        "/v1/invocations/{id}",
      ]),
    );
    expect((await server.call("GET", "/v1/stats")).body).toMatchObject({ workers: 2, running: 0, waiting: 0 });
  });

  test("follows logs", async () => {
    const stop = new AbortController();
    const response = await fetch(`${server.url}/v1/functions/echo/logs?limit=1`, {
      headers: { accept: "text/event-stream" },
      signal: stop.signal,
    });
    const reader = (response.body as ReadableStream<Uint8Array>).getReader();
    let text = "";
    const invoked = server.invoke("echo", { raise: "followed" });
    while (!text.includes("GuestRaised") || !text.includes("hello"))
      text += Buffer.from((await reader.read()).value ?? []).toString();
    expect(text).toMatch(/^id: \d+\nevent: line\ndata: \{"id":\d+/);
    expect((await invoked).status).toBe(500);
    stop.abort();
  });

  test("answers only requests that were meant for it", async () => {
    const { port } = new URL(server.url);
    const answer = await new Promise<string>((resolve) => {
      const socket = createConnection(Number(port), "127.0.0.1", () =>
        socket.write("GET /v1/functions HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n"),
      );
      let text = "";
      socket.on("data", (chunk) => (text += chunk.toString())).on("close", () => resolve(text));
    });
    expect(answer).toMatch(/^HTTP\/1\.1 403 /);
  });

  test("says so when its port is taken", async () => {
    const { port } = new URL(server.url);
    const dataDir = mkdtempSync(join(tmpdir(), "sandloom-taken-"));
    await expect(startServer({ port: Number(port), address: "127.0.0.1", dataDir, workers: 1 })).rejects.toMatchObject({
      code: "BadInput",
      message: expect.stringContaining("choose another --port"),
    });
  });

  test("asks for tokens where it is told to, and elsewhere than on loopback must be", async () => {
    const folder = mkdtempSync(join(tmpdir(), "sandloom-tokens-"));
    const options = { port: 0, dataDir: folder, workers: 1 };
    await expect(startServer({ ...options, address: "0.0.0.0" })).rejects.toMatchObject({ code: "BadInput" });
    const tokensPath = join(folder, "tokens.json");
    writeFileSync(tokensPath, "[]");
    await expect(startServer({ ...options, address: "127.0.0.1", tokensPath })).rejects.toMatchObject({
      code: "BadInput",
    });
    const token = (name: string): string => `${name}-0123456789abcdef`;
    writeFileSync(
      tokensPath,
      JSON.stringify([
        { name: "all", token: token("all"), scopes: ["read", "invoke", "deploy"] },
        { name: "invoker", token: token("invoker"), scopes: ["invoke"] },
      ]),
    );
    await using closed = await serveForTest({ tokensPath });
    const as = (name: string): Record<string, string> => ({ authorization: `Bearer ${token(name)}` });
    const none = await closed.call("GET", "/v1/functions");
    expect([none.status, none.headers.get("www-authenticate")]).toEqual([401, 'Bearer realm="sandloom"']);
    expect((await closed.call("GET", "/v1/functions", undefined, as("other"))).status).toBe(401);
    expect((await closed.call("GET", "/v1/functions", undefined, as("invoker"))).body).toMatchObject({
      status: 403,
      details: { scope: "read" },
    });
    const deploy = { sources: sourcesOf("def main(event):\n    return 'in'\n") };
    expect((await closed.call("POST", "/v1/functions/f/versions", deploy, as("invoker"))).status).toBe(403);
    expect((await closed.call("POST", "/v1/functions/f/versions", deploy, as("all"))).status).toBe(201);
    expect((await closed.invoke("f", {}, as("invoker"))).body).toBe("in");
    expect((await closed.call("GET", "/health")).status).toBe(200);
  });
});

async function lines(name: string): Promise<string[]> {
  const { body } = await server.call("GET", `/v1/functions/${name}/logs`);
  return (body.lines as { text: string }[]).map(({ text }) => text);
}
