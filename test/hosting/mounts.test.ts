// Folders of the server's machine in functions: only below those that the server was started with.
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { main } from "../../src/cli/program.ts";
import { startServer } from "../../src/index.ts";
import { memoryTerminal } from "../cli/recorded.ts";
import { serveForTest, type TestServer } from "./serving.ts";

const folder = mkdtempSync(join(tmpdir(), "sandloom-mounts-"));
const allowed = join(folder, "allowed");
const APP = `
import os
def main(event):
    try:
        open("/data/new", "w")
    except OSError as error:
        refused = type(error).__name__
    return [sorted(os.listdir("/data")), open("/data/file").read(), refused]
`;

let server: TestServer;
beforeAll(async () => {
  mkdirSync(join(allowed, "data"), { recursive: true });
  mkdirSync(join(folder, "other"));
  writeFileSync(join(allowed, "data", "file"), "given");
  writeFileSync(join(folder, "other", "file"), "secret");
  symlinkSync(join(folder, "other"), join(allowed, "link"));
  server = await serveForTest({ workers: 2, allowed_mounts: [allowed], dataDir: join(allowed, "server") });
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

const deploy = (name: string, mounts: { host: string; guest: string }[]): ReturnType<TestServer["deploy"]> =>
  server.deploy(name, APP, { settings: { mounts } });

test("a function reads a folder below one that is allowed, and nothing else of the machine", async () => {
  const mounts = [{ host: join(allowed, "data"), guest: "/data" }];
  const { status, body } = await deploy("reader", mounts);
  expect([status, body.deployment.settings.mounts]).toEqual([201, mounts]);
  const answer = [["file"], "given", "PermissionError"];
  expect((await server.invoke("reader")).body).toEqual(answer);
  // Another function in the same sandboxes has nothing there.
  await server.deploy("none", "import os\ndef main(event):\n    return os.path.exists('/data')\n");
  expect((await server.invoke("none")).body).toBe(false);
  expect((await server.invoke("reader")).body).toEqual(answer);
});

test.each([
  ["beside it", () => join(folder, "other")],
  ["above it", () => folder],
  ["that leaves it by its path", () => join(allowed, "data", "..", "..", "other")],
  ["that a link leads out to", () => join(allowed, "link")],
  ["of the server itself", () => join(allowed, "server")],
  ["that holds the server's own", () => allowed],
  ["that is not there", () => join(allowed, "gone")],
])("a folder %s is refused, and nothing is told of it", async (_, host) => {
  const { status, body } = await deploy("refused", [{ host: host(), guest: "/data" }]);
  expect([status, body.code]).toEqual([403, "Forbidden"]);
  expect(body.detail).toMatch(/may not be given to functions, or is not there: .*--allow-mount/);
});

test.each([
  ["/", 400],
  ["/tmp", 400],
  ["/lib/python3.14", 400],
  ["/proc/x", 400],
  ["/data/../tmp", 400],
])("it cannot be mounted at %s", async (guest, status) => {
  expect((await deploy("refused", [{ host: join(allowed, "data"), guest }])).status).toBe(status);
});

test("two folders cannot be at one place, nor one inside the other", async () => {
  const host = join(allowed, "data");
  for (const guest of ["/data", "/data/inner"]) {
    const { status } = await deploy("refused", [
      { host, guest: "/data" },
      { host, guest },
    ]);
    expect(status).toBe(400);
  }
});

test("what a link leads to is looked at each time", async () => {
  const link = join(allowed, "turning");
  symlinkSync(join(allowed, "data"), link);
  expect((await deploy("turning", [{ host: link, guest: "/data" }])).status).toBe(201);
  expect((await server.invoke("turning")).body[1]).toBe("given");
  const turn = (target: string): void => {
    symlinkSync(target, `${link}.new`);
    renameSync(`${link}.new`, link);
  };
  mkdirSync(join(allowed, "newer"));
  writeFileSync(join(allowed, "newer", "file"), "newer");
  turn(join(allowed, "newer"));
  expect((await server.invoke("turning")).body[1]).toBe("newer");
  turn(join(folder, "other"));
  expect(await server.invoke("turning")).toMatchObject({ status: 403, body: { code: "Forbidden" } });
});

test("a server that allows none gives none, and one does not start with a folder that is not there", async () => {
  await using strict = await serveForTest({ workers: 1 });
  const refused = await strict.deploy("f", APP, { settings: { mounts: [{ host: allowed, guest: "/data" }] } });
  expect(refused.status).toBe(403);
  const options = { port: 0, address: "127.0.0.1", dataDir: join(folder, "x"), workers: 1 };
  await expect(startServer({ ...options, allowed_mounts: [join(folder, "gone")] })).rejects.toMatchObject({
    code: "BadInput",
  });
});

test("the command sends what --mount says", async () => {
  const app = join(folder, "app.py");
  writeFileSync(app, APP);
  const terminal = memoryTerminal({ cwd: allowed });
  const args = ["deploy", app, "--name", "sent", "--server", server.url, "--mount", "data:/data"];
  expect(await main(args, { terminal })).toBe(0);
  expect((await server.invoke("sent")).body[1]).toBe("given");
  const refused = memoryTerminal({ cwd: folder });
  expect(await main([...args.slice(0, -1), "other:/data"], { terminal: refused })).toBe(2);
  expect(refused.stderr).toContain("Forbidden");
});
