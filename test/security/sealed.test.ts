// A new sandbox is sealed, and one that is not serves nobody.
import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { beforeAll, describe, expect, test } from "vitest";
import { SANDBOX_FLAGS } from "../../src/sandbox/runtime/v8-flags.ts";
import { ensureBase } from "../../src/sandbox/image/base.ts";
import { cacheDirectory } from "../../src/sandbox/runtime/paths.ts";
import { REALM_ATTACKS } from "./realm-attacks.ts";
import type { Found } from "./realm.ts";

let prefix = "";
beforeAll(async () => {
  ({ prefix } = await ensureBase(cacheDirectory(), () => undefined));
});

async function realm(how: string, flags: readonly string[] = SANDBOX_FLAGS): Promise<Found> {
  const script = join(import.meta.dirname, "realm.ts");
  const { stdout } = await promisify(execFile)(process.execPath, [...flags, script, prefix, how]);
  return JSON.parse(stdout) as Found;
}

describe("from what a guest may call, from Python's handles and from the realm", () => {
  test("no function of the host is reached, and none that is not ECMAScript's", async () => {
    const found = await realm("sealed");
    expect(found.error).toBeUndefined();
    expect(found.objects).toBeGreaterThan(500);
    expect(found.host).toEqual([]);
    expect(found.others).toEqual([]);
  });

  test("one that is there is found", async () => {
    expect((await realm("planted")).host).toEqual(["imports.fd_write.planted.readFileSync is fs.readFileSync"]);
  });

  test("in a thread that is no sandbox many are", async () => {
    const found = await realm("open");
    expect(found.host.length).toBeGreaterThan(10);
    expect(found.others.length).toBeGreaterThan(500);
  });
});

describe("who has got hold of a JavaScript object all the same", () => {
  test("makes no code, finds nothing of Node's, and changes nothing that the host uses", async () => {
    expect((await realm("sealed")).reached).toEqual([]);
  });

  test("would do all of it in a thread that is no sandbox", async () => {
    const { reached } = await realm("open", ["--no-warnings"]);
    expect(reached).toEqual(REALM_ATTACKS.map(([name]) => name));
  });
});

describe("a sandbox that is not sealed is refused by name:", () => {
  test("in a process that makes code from strings", async () => {
    const flags = SANDBOX_FLAGS.filter((flag) => flag !== "--disallow-code-generation-from-strings");
    const { error } = await realm("cell", flags);
    expect(error).toEqual({ code: "SandboxNotSealed", details: { open: ["code generation from strings"] } });
  });

  test("with the executor's flags it is made", async () => {
    expect((await realm("cell")).error).toBeUndefined();
  });
});
