import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { parseMount, parseMounts, resolveApp, resolveOut } from "../../src/cli/input/paths.ts";

const cwd = mkdtempSync(join(tmpdir(), "sandloom-paths-"));
afterAll(() => rmSync(cwd, { recursive: true, force: true }));
for (const folder of ["application", "other", "empty", "compiled", "data", "a:b"]) mkdirSync(join(cwd, folder));
for (const file of ["one.py", "notes.txt", "application/app.py", "other/helpers.py", "compiled/graph.json"]) {
  writeFileSync(join(cwd, file), "");
}

describe("an application", () => {
  test.each(["one.py", "application", "application/", "compiled"])("may be %s", (app) => {
    expect(resolveApp(app, cwd)).toBe(join(cwd, app).replace(/\/$/, ""));
  });

  test.each([
    ["missing.py", "missing.py: there is no such file or folder"],
    ["one.py/x", "one.py/x: there is no such file or folder"],
    ["notes.txt", "notes.txt: an application is a .py file, a folder with app.py or main.py, or a compiled folder"],
    ["other", "other: this folder has neither app.py nor main.py, nor the graph.json of a compiled application"],
  ])("%s is refused", (app, message) => {
    expect(() => resolveApp(app, cwd)).toThrow(expect.objectContaining({ code: "BadInput", message }));
  });
});

describe("a mount", () => {
  test("without a path is seen where it is", () => {
    expect(parseMount("data", cwd)).toEqual({ host: join(cwd, "data"), guest: join(cwd, "data") });
  });

  test("with a path is seen there, without a slash at its end", () => {
    expect(parseMount("data:/in/", cwd)).toEqual({ host: join(cwd, "data"), guest: "/in" });
    expect(parseMount("a:b:/in", cwd)).toEqual({ host: join(cwd, "a:b"), guest: "/in" });
  });

  test.each([
    ["missing", "--mount missing: there is no folder missing"],
    ["missing:/data", "--mount missing:/data: there is no folder missing"],
    ["data:relative", "--mount data:relative: there is no folder data:relative"],
    ["one.py:/data", "--mount one.py:/data: one.py is a file; mount the folder that it is in"],
    ["data:/", '--mount data:/: "/" is no absolute path below / for components to see it at'],
    ["data:/a/../b", '--mount data:/a/../b: "/a/../b" is no absolute path below / for components to see it at'],
  ])("%s is refused", (mount, message) => {
    expect(() => parseMount(mount, cwd)).toThrow(expect.objectContaining({ code: "BadInput", message }));
  });

  test("is refused at a path that another one has", () => {
    expect(() => parseMounts(["data:/d", "empty:/d"], cwd)).toThrow("--mount: two folders at /d");
  });
});

describe("the folder to write to", () => {
  test.each(["new", "new/deeper", "empty", "compiled"])("may be %s", (folder) => {
    expect(resolveOut(folder, cwd, "--out")).toBe(join(cwd, folder));
  });

  test.each([
    ["one.py", "--out one.py: this is a file, and a folder is needed"],
    ["application", "--out application: this folder has other files (app.py); name a new or an empty one"],
  ])("%s is refused", (folder, message) => {
    expect(() => resolveOut(folder, cwd, "--out")).toThrow(expect.objectContaining({ code: "BadInput", message }));
  });
});
