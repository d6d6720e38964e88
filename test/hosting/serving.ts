/** Servers for tests: real ones, on any port, with a data folder of their own. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startServer, type RunningServer, type ServerOptions } from "../../src/index.ts";

export interface TestServer extends AsyncDisposable {
  readonly url: string;
  readonly server: RunningServer;
  readonly said: string[];
  /** One request with a JSON body, if there is one; the answer parsed where it is JSON. */
  call(method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<Answer>;
  deploy(name: string, text: string, more?: object): Promise<Answer>;
  invoke(name: string, event?: unknown, headers?: Record<string, string>): Promise<Answer>;
}

// eslint-disable-next-line typescript/no-explicit-any -- answers are looked at field by field
type Json = any;

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Json;
}

export async function serveForTest(options: Partial<ServerOptions> = {}): Promise<TestServer> {
  const folder = mkdtempSync(join(tmpdir(), "sandloom-server-"));
  const said: string[] = [];
  const server = await startServer({
    port: 0,
    address: "127.0.0.1",
    dataDir: folder,
    workers: 4,
    onProgress: (line) => said.push(line),
    ...options,
  });
  await server.warm;
  const call: TestServer["call"] = async (method, path, body, headers = {}) => {
    const response = await fetch(server.url + path, {
      method,
      headers: { ...(body === undefined ? {} : { "content-type": "application/json" }), ...headers },
      ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) }),
    });
    const text = await response.text();
    const json = response.headers.get("content-type")?.includes("json") ?? false;
    return { status: response.status, headers: response.headers, body: json ? JSON.parse(text) : text };
  };
  return {
    url: server.url,
    server,
    said,
    call,
    deploy: (name, text, more = {}) =>
      call("POST", `/v1/functions/${name}/versions`, { sources: sourcesOf(text), ...more }),
    invoke: (name, event = {}, headers = {}) => call("POST", `/v1/functions/${name}/invocations`, event, headers),
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

export const sourcesOf = (text: string): object => ({
  name: "app",
  entry_file: "app.py",
  files: [{ path: "app.py", text }],
});
