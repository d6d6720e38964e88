import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { obtain, sha256Of } from "../../scripts/bootstrap/obtain.mjs";
import { localFolder, pyodideCdn } from "../../scripts/bootstrap/sources.mjs";
import { readZip } from "../../scripts/bootstrap/zip.mjs";

const scripts = fileURLToPath(new URL("../../scripts", import.meta.url));
let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "sandloom-bootstrap-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

describe("obtaining pinned files", () => {
  const good = Buffer.from("the right content");
  const pinned = { file: "a.whl", sha256: sha256Of(good) };

  /** A folder that has the file with this content, as a source. */
  function sourceWith(content: string | Buffer) {
    const path = mkdtempSync(join(folder, "source-"));
    writeFileSync(join(path, pinned.file), content);
    return localFolder(path);
  }

  function emptyFolder(): string {
    return mkdtempSync(join(folder, "into-"));
  }

  test("takes a file from the first source that has it, after one that throws and one that has another", async () => {
    const into = emptyFolder();
    const sources = [localFolder(join(folder, "absent")), sourceWith("tampered with"), sourceWith(good)];
    await obtain([pinned], into, sources);
    expect(readFileSync(join(into, pinned.file))).toEqual(good);
    expect(readdirSync(into)).toEqual([pinned.file]);
  });

  test("asks no source for what is there already", async () => {
    const into = emptyFolder();
    writeFileSync(join(into, pinned.file), good);
    const never = { name: "never", fetch: () => Promise.reject(new Error("asked")) };
    await expect(obtain([pinned], into, [never])).resolves.toBeUndefined();
  });

  test("replaces a file that was damaged since", async () => {
    const into = emptyFolder();
    writeFileSync(join(into, pinned.file), "damaged");
    await obtain([pinned], into, [sourceWith(good)]);
    expect(readFileSync(join(into, pinned.file))).toEqual(good);
  });

  test("says what each source answered when none has the file, and keeps nothing of a wrong one", async () => {
    const into = emptyFolder();
    const sources = [localFolder(join(folder, "absent")), sourceWith("tampered with")];
    await expect(obtain([pinned], into, sources)).rejects.toThrow(/a\.whl[^]*absent: not there[^]*a\.whl has sha256 /);
    expect(readdirSync(into)).toEqual([]);
  });

  test("gives up at once on a server that refuses", async () => {
    const into = emptyFolder();
    await expect(obtain([pinned], into, [pyodideCdn("http://127.0.0.1:9")])).rejects.toThrow("Pyodide's CDN: ");
  });
});

describe("reading a zip", () => {
  test("returns stored and deflated members byte for byte, and leaves out what is not there", () => {
    const path = join(folder, "a.zip");
    const code = [
      "import sys, zipfile",
      "z = zipfile.ZipFile(sys.argv[1], 'w')",
      "z.writestr('stored.txt', 'abc', zipfile.ZIP_STORED)",
      "z.writestr('deep/packed.txt', 'x' * 100000, zipfile.ZIP_DEFLATED)",
      "z.comment = b'a comment'",
      "z.close()",
    ].join("\n");
    expect(spawnSync("python3", ["-c", code, path]).status).toBe(0);
    const members = readZip(path, ["stored.txt", "deep/packed.txt", "absent.txt"]);
    expect([...members.keys()].toSorted()).toEqual(["deep/packed.txt", "stored.txt"]);
    expect(members.get("stored.txt")?.toString()).toBe("abc");
    expect(members.get("deep/packed.txt")?.toString()).toBe("x".repeat(100_000));
  });

  test("says so when the file is none", () => {
    const path = join(folder, "a.zip");
    writeFileSync(path, "<html>not found</html>");
    expect(() => readZip(path, ["a"])).toThrow(`${path} is not a zip file`);
  });
});

describe("the lock of the set-up", () => {
  /** Takes the lock, notes that it has it, holds it for a moment. */
  const holder = `
    import { takeLock } from ${JSON.stringify(join(scripts, "bootstrap/lock.mjs"))};
    import { appendFileSync } from "node:fs";
    const [folder, hold_ms] = process.argv.slice(1);
    await takeLock(folder);
    appendFileSync(folder + "/log", "in ");
    await new Promise((resolve) => setTimeout(resolve, Number(hold_ms)));
    appendFileSync(folder + "/log", "out ");`;

  function hold(hold_ms: number) {
    return spawn(process.execPath, ["--input-type=module", "--eval", holder, folder, String(hold_ms)]);
  }

  test("lets one in at a time", async () => {
    const holders = [hold(50), hold(50), hold(50)];
    await Promise.all(holders.map((child) => once(child, "exit")));
    expect(readFileSync(join(folder, "log"), "utf8")).toBe("in out in out in out ");
    expect(readdirSync(folder)).toEqual(["log"]);
  });

  test("is taken from an owner that was killed", async () => {
    const killed = hold(60_000);
    while (!existsSync(join(folder, "log"))) await new Promise((resolve) => setTimeout(resolve, 10));
    killed.kill("SIGKILL");
    await once(killed, "exit");
    await Promise.all([hold(20), hold(20)].map((child) => once(child, "exit")));
    expect(readFileSync(join(folder, "log"), "utf8")).toBe("in in out in out ");
  });

  test("is taken from an owner whose pid another process has now", async () => {
    mkdirSync(join(folder, "lock"));
    writeFileSync(join(folder, "lock/owner"), `${process.pid} 1`);
    await once(hold(0), "exit");
    expect(readFileSync(join(folder, "log"), "utf8")).toBe("in out ");
  });
});
