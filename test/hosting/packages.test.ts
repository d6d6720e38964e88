// Functions that require packages: deployed over HTTP, refused by name, and the same after a restart that knows nothing.
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { cacheDirectory } from "../../src/sandbox/runtime/paths.ts";
import { main } from "../../src/cli/program.ts";
import { memoryTerminal } from "../cli/recorded.ts";
import { makeWheel, TestIndex } from "../packages/wheels.ts";
import { serveForTest, sourcesOf, type TestServer } from "./serving.ts";

const folder = mkdtempSync(join(tmpdir(), "sandloom-host-packages-"));
let index: TestIndex;
let caches = 0;

beforeAll(async () => {
  index = await TestIndex.start();
  process.env["PIP_INDEX_URL"] = index.url;
  delete process.env["SANDLOOM_WHEELS"];
});
afterEach(() => index.clear());
afterAll(async () => {
  await index[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

/** Images are shared with others; what is resolved and fetched is not. */
function freshCache(): string {
  const cacheDir = join(folder, `cache${caches++}`);
  mkdirSync(cacheDir);
  for (const name of ["images", "compile-cache"]) symlinkSync(join(cacheDirectory(), name), join(cacheDir, name));
  return cacheDir;
}

const serve = (data: string, cacheDir = freshCache()): Promise<TestServer> =>
  serveForTest({ dataDir: join(folder, data), cacheDir, workers: 2 });

const APP = `
import lib
def main(event):
    from lib.late import ANSWER
    return [lib.VERSION, ANSWER]
`;
const addLib = (version: string, requires: string[] = []): string => {
  const wheel = makeWheel("lib", version, {
    requires,
    files: { "lib/__init__.py": `VERSION = "${version}"\n`, "lib/late.py": "ANSWER = 42\n" },
  });
  index.add("lib", wheel);
  return wheel.sha256;
};
const deploy = (server: TestServer, requirements: string, text = APP): ReturnType<TestServer["call"]> =>
  server.call("POST", "/v1/functions/needy/versions", { sources: { ...sourcesOf(text), requirements } });

test("a function has the packages that its requirements came to when it was deployed", async () => {
  await using server = await serve("plain");
  const sha256 = addLib("1.0");
  const first = await deploy(server, "LIB>=1\n");
  expect(first.status).toBe(201);
  const packages = [{ name: "lib", version: "1.0", file: "lib-1.0-py3-none-any.whl", sha256 }];
  expect(first.body.deployment).toMatchObject({ name: "needy", version: 1, packages });
  expect((await server.invoke("needy")).body).toEqual(["1.0", 42]);

  // What is there already is no other version of it, whatever the index has by now.
  addLib("2.0");
  expect((await deploy(server, "LIB>=1\n")).body).toMatchObject({
    unchanged: true,
    deployment: { version: 1, packages },
  });
  const second = await deploy(server, "LIB>=2\n");
  expect(second.body).toMatchObject({ unchanged: false, deployment: { version: 2 } });
  expect((await server.invoke("needy")).body).toEqual(["2.0", 42]);
  expect((await server.call("POST", "/v1/functions/needy/invocations?version=1", {})).body).toEqual(["1.0", 42]);
  const listed = await server.call("GET", "/v1/functions/needy");
  expect(listed.body.versions[1].packages).toEqual(packages);
});

test("a server that starts anew resolves nothing again, and fetches the same wheels", async () => {
  addLib("1.0");
  const before = await serve("again");
  await deploy(before, "lib");
  await before.server[Symbol.asyncDispose]();
  addLib("2.0");
  index.asked.length = 0;
  {
    await using after = await serve("again");
    expect((await after.invoke("needy")).body).toEqual(["1.0", 42]);
    expect(index.asked).toEqual(["/simple/lib/", "/files/lib-1.0-py3-none-any.whl"]);
  }
  // With its cache it needs no index at all.
  const cacheDir = freshCache();
  const warm = await serve("again", cacheDir);
  expect((await warm.invoke("needy")).body).toEqual(["1.0", 42]);
  await warm.server[Symbol.asyncDispose]();
  index.clear();
  await using last = await serve("again", cacheDir);
  expect((await last.invoke("needy")).body).toEqual(["1.0", 42]);
  expect(index.asked).toEqual([]);
});

test("what cannot work is refused when it is deployed, by name and with the reason", async () => {
  await using server = await serve("refused");
  index.add("fast", makeWheel("fast", "1.0", { tag: "cp314-cp314-win_amd64" }));
  addLib("1.0", ["fast"]);
  const native = await deploy(server, "lib");
  expect(native).toMatchObject({
    status: 422,
    body: { code: "RequirementRefused", details: { package: "fast", reason: "native" } },
  });
  expect((await deploy(server, "--index-url https://example.org\n")).body.detail).toMatch(/line 1.*option --index-url/);
  const unnamed = await deploy(server, "", "import lib\ndef main(event):\n    return 1\n");
  expect(unnamed).toMatchObject({ status: 422, body: { code: "CompileRefused" } });
  expect((await deploy(server, "x".repeat(300_000))).status).toBe(400);
  index.instead = (_, response) => {
    response.writeHead(500).end();
    return true;
  };
  expect(await deploy(server, "other")).toMatchObject({ status: 503, body: { code: "PackageIndexFailed" } });
  expect((await server.call("GET", "/v1/functions")).body.functions).toEqual([]);
});

test("the command sends requirements.txt, or the file that is named", async () => {
  await using server = await serve("command");
  addLib("1.0");
  addLib("2.0");
  const app = join(folder, "app");
  mkdirSync(app);
  writeFileSync(join(app, "app.py"), APP);
  writeFileSync(join(app, "requirements.txt"), "lib\n");
  writeFileSync(join(app, "old.txt"), "lib<2\n");
  for (const [args, version] of [
    [[], "2.0"],
    [["--requirements", "old.txt"], "1.0"],
  ] as const) {
    const terminal = memoryTerminal({ cwd: app });
    expect(await main(["deploy", ".", "--name", "needy", "--server", server.url, ...args], { terminal })).toBe(0);
    expect((await server.invoke("needy")).body).toEqual([version, 42]);
  }
});

test("a database of the format before is taken over", async () => {
  const dataDir = join(folder, "before");
  const server = await serve("before");
  await server.deploy("old", "def main(event):\n    return 1\n");
  await server.server[Symbol.asyncDispose]();
  const database = new DatabaseSync(join(dataDir, "sandloom.db"));
  database.exec("ALTER TABLE versions DROP COLUMN needs; PRAGMA user_version = 1;");
  database.close();
  await using upgraded = await serve("before");
  expect((await upgraded.invoke("old")).body).toBe(1);
  addLib("1.0");
  expect((await deploy(upgraded, "lib")).status).toBe(201);
});
