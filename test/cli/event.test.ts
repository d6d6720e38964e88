import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { parseJson, readEvent } from "../../src/cli/input/event.ts";

const cwd = mkdtempSync(join(tmpdir(), "sandloom-event-"));
afterAll(() => rmSync(cwd, { recursive: true, force: true }));
const sources = (stdin = ""): { cwd: string; readStdin(): Promise<string> } => ({ cwd, readStdin: async () => stdin });
const event = (spec?: string, sets: string[] = [], stdin = ""): Promise<unknown> =>
  readEvent(spec, sets, sources(stdin));

describe("the event", () => {
  test("is {} when nothing is said", async () => expect(await event()).toEqual({}));

  test("is JSON on the command line, whatever its kind", async () => {
    expect(await event('{"rounds": 10}')).toEqual({ rounds: 10 });
    expect(await event("[1, 2]")).toEqual([1, 2]);
    expect(await event("null")).toBeNull();
  });

  test("is read from a file relative to the working folder, with or without a byte order mark", async () => {
    writeFileSync(join(cwd, "event.json"), '{"a": 1}');
    writeFileSync(join(cwd, "marked.json"), '\uFEFF{"a": 2}');
    expect(await event("@event.json")).toEqual({ a: 1 });
    expect(await event("@marked.json")).toEqual({ a: 2 });
  });

  test("is read from standard input", async () => expect(await event("-", [], '{"b": 2}')).toEqual({ b: 2 }));

  test("names the file that is missing, is a folder, or has no name", async () => {
    mkdirSync(join(cwd, "folder"));
    await expect(event("@missing.json")).rejects.toMatchObject({
      code: "BadInput",
      message: "--event @missing.json: there is no such file",
    });
    await expect(event("@folder")).rejects.toMatchObject({
      code: "BadInput",
      message: "--event @folder: it is a folder",
    });
    await expect(event("@")).rejects.toMatchObject({
      code: "BadInput",
      message: "--event @ names no file: write --event @event.json",
    });
  });

  test("says that it is empty, and from where it came", async () => {
    await expect(event("-", [], " \n")).rejects.toThrow(
      "standard input is empty, and an event is JSON: write {} for none",
    );
    await expect(event("")).rejects.toThrow("--event is empty");
  });

  test("shows the place where a file is not JSON", async () => {
    writeFileSync(join(cwd, "bad.json"), '{\n  "rounds": 10,\n  rate: 0.5\n}\n');
    await expect(event("@bad.json")).rejects.toMatchObject({
      code: "BadInput",
      message: 'bad.json is not JSON: "r" is not expected at line 3, column 3\n    rate: 0.5\n    ^',
      details: { line: 3, column: 3 },
    });
  });
});

describe("the place of an error in JSON", () => {
  test.each([
    ["{rounds: 1}", 1],
    ["{'a': 1}", 1],
    ['{"a": nope}', 7],
    ['{"a": 1,}', 8],
    ['{"a": 1} x', 9],
    ["[1 2]", 3],
    ["tru", 3],
    ['{"a": ', 6],
    ['"open', 5],
    ["01", 1],
    ["-", 1],
    [`{"long": "${"x".repeat(200)}", oops: 1}`, 213],
  ])("of %j is found", (text, position) => {
    expect(() => parseJson(text, "--event")).toThrow(
      expect.objectContaining({ details: expect.objectContaining({ position }) }),
    );
  });

  test("is shown in a window of a long line", () => {
    const text = `{"long": "${"x".repeat(200)}", oops: 1}`;
    expect(() => parseJson(text, "--event")).toThrow(`\n  ${"x".repeat(37)}", oops: 1}\n  ${" ".repeat(40)}^`);
  });

  test("comes with a hint for single quotes", () => {
    expect(() => parseJson("{'a': 1}", "--event")).toThrow(
      `"'" is not expected (JSON has double quotes) at line 1, column 2`,
    );
  });
});

describe("--set", () => {
  test("takes JSON where it parses and text where it does not, in order, over the event", async () => {
    expect(await event('{"a": 1, "b": 2}', ["b=3", "c=[1,2]", "d=hello", "e=", "f=x=y", 'g="5"', "b=4"])).toEqual({
      a: 1,
      b: 4,
      c: [1, 2],
      d: "hello",
      e: "",
      f: "x=y",
      g: "5",
    });
  });

  test("nests by dots, into what is there or into new objects", async () => {
    expect(await event('{"model": {"rate": 1}}', ["model.rate=2", "model.kind=sgd", "x.y.z=1"])).toEqual({
      model: { rate: 2, kind: "sgd" },
      x: { y: { z: 1 } },
    });
  });

  test.each(["novalue", "=5", "a..b=1", ".a=1", "a.=1"])("refuses %j and says how to write it", async (set) => {
    await expect(event("{}", [set])).rejects.toMatchObject({
      code: "BadInput",
      message: `--set ${set}: write it as key=value, or outer.inner=value`,
    });
  });

  test("says what is in the way of a key", async () => {
    await expect(event("[1]", ["a=1"])).rejects.toThrow(
      "--set a=1: the event is an array, and only an object has keys",
    );
    await expect(event('{"a": {"b": 5}}', ["a.b.c=1"])).rejects.toThrow(
      '--set a.b.c=1: "a.b" is a number, and only an object has keys',
    );
    await expect(event('{"a": null}', ["a.b=1"])).rejects.toThrow('"a" is null');
  });

  test("sets a key named __proto__ like any other and touches no prototype", async () => {
    const made = (await event("{}", ["__proto__.polluted=1"])) as object;
    expect(JSON.stringify(made)).toBe('{"__proto__":{"polluted":1}}');
    expect(({} as { polluted?: number }).polluted).toBeUndefined();
  });
});
