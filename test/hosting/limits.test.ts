// Limits of the server that the other tests do not meet: on what is stored, on slow requests, and on clients that do not read.
import { createConnection, type Socket } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { serveForTest, type TestServer } from "./serving.ts";

const PROGRAM = `
import time

def main(event):
    for _ in range(event.get("lines", 0)):
        print("x" * 100_000)
    time.sleep(event.get("s", 0))
    return 1
`;

const source = (n: number): string => `def main(event):\n    return ${n}\n`;
/** Kernels keep this much of a connection at most, both ways together; what is printed is more. */
const LINES = 150;

let server: TestServer;
beforeAll(async () => {
  const limits = { versions: 3, stored: 2, unread_bytes: 64 * 1024, request_timeout_ms: 200 };
  server = await serveForTest({ workers: 2, ...limits });
  await server.deploy("f", PROGRAM);
}, 60_000);
afterAll(() => server[Symbol.asyncDispose]());

/** A connection that sends this and reads nothing. */
async function silent(text: string): Promise<Socket> {
  const socket = createConnection(Number(new URL(server.url).port), "127.0.0.1");
  socket.pause();
  await new Promise((resolve) => socket.once("connect", resolve));
  socket.write(text);
  return socket;
}

const post = (path: string, body: string, ...headers: string[]): string =>
  [
    `POST ${path} HTTP/1.1`,
    "host: 127.0.0.1",
    "content-type: application/json",
    `content-length: ${body.length}`,
    ...headers,
    "",
    body,
  ].join("\r\n");

describe("what is stored", () => {
  test("versions of all functions have a limit, and one that is removed makes room", async () => {
    for (const n of [1, 2]) expect((await server.deploy("versions", source(n))).status).toBe(201);
    const { status, body } = await server.deploy("more", source(3));
    expect(status).toBe(429);
    expect(body).toMatchObject({ code: "Overloaded", details: { limit: "versions", bound: 3, value: 4 } });
    expect(body.detail).toBe("3 versions are deployed, and that is the most: remove some");
    expect((await server.invoke("more")).status).toBe(404);
    expect((await server.deploy("versions", source(2))).status).toBe(200);
    expect((await server.call("DELETE", "/v1/functions/versions?version=1")).status).toBe(204);
    expect((await server.deploy("more", source(3))).status).toBe(201);
  });

  test("invocations that have not ended have a limit, and those that end make room", async () => {
    const later = { prefer: "respond-async" };
    const ids: string[] = [];
    for (let i = 0; i < 2; i++) {
      const { status, body } = await server.invoke("f", { s: 0.5 }, later);
      expect(status).toBe(202);
      ids.push(body.id);
    }
    const refused = await server.invoke("f", {}, later);
    expect(refused.status).toBe(429);
    expect(refused.headers.get("retry-after")).toBe("1");
    expect(refused.body).toMatchObject({ code: "Overloaded", details: { limit: "stored", bound: 2, value: 3 } });
    expect((await server.invoke("f")).status).toBe(200);
    for (const id of ids)
      expect((await server.call("GET", `/v1/invocations/${id}?wait_ms=10000`)).body.state).toBe("succeeded");
    expect((await server.invoke("f", {}, later)).status).toBe(202);
  });
});

describe("a connection", () => {
  test("whose request stalls is answered with 408, and closed", async () => {
    const socket = await silent(post("/v1/functions/f/invocations", '{"s": 0}').slice(0, -3));
    let text = "";
    socket.on("data", (chunk: Buffer) => (text += chunk.toString()));
    socket.resume();
    await new Promise((resolve) => socket.once("close", resolve));
    expect(text).toMatch(/^HTTP\/1\.1 408 Request Timeout\r\n/);
    expect((await server.invoke("f")).status).toBe(200);
  });

  test("that does not read the stream it asked for is closed, and its invocation ended", async () => {
    const body = JSON.stringify({ lines: LINES, s: 20 });
    const socket = await silent(post("/v1/functions/f/invocations", body, "accept: text/event-stream"));
    const ended = async (): Promise<string[]> => {
      const { lines } = (await server.call("GET", "/v1/functions/f/logs?limit=10000")).body;
      const reports = (lines as { stream: string; text: string }[]).filter(({ stream }) => stream === "report");
      return reports.map(({ text }) => (JSON.parse(text) as { outcome: string }).outcome);
    };
    await expect.poll(ended, { timeout: 15_000 }).toContain("ClientClosed");
    socket.destroy();
    expect((await server.invoke("f")).status).toBe(200);
  });

  test("that does not read the logs it follows is closed, and others are not", async () => {
    const socket = await silent(
      "GET /v1/functions/f/logs?limit=1 HTTP/1.1\r\nhost: 127.0.0.1\r\naccept: text/event-stream\r\n\r\n",
    );
    expect((await server.invoke("f", { lines: LINES })).status).toBe(200);
    expect((await server.invoke("f", { lines: LINES })).status).toBe(200);
    // Whoever closed it, what it had not read is gone: it ends before all of the lines have come.
    let bytes = 0;
    socket.on("data", (chunk: Buffer) => (bytes += chunk.length));
    socket.on("error", () => undefined);
    socket.resume();
    await new Promise((resolve) => socket.once("close", resolve));
    expect(bytes).toBeLessThan(2 * LINES * 100_000);
  });
});
