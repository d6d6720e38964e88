import { readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { CPython, noCPython } from "../support/cpython.ts";
import { useBench } from "../support/running.ts";

const APP = `
from sandloom import remote, split
from values import CASES, describe


@split
def seen(v):
    return describe(v)


@split
def echo(v):
    return v


@split
def by_name(a, *, v):
    return [a, describe(v)]


def main(event):
    made = {}
    for name, make in CASES.items():
        v = make()
        row = made[name] = {}
        for world in event["ways"]:
            try:
                if world == "here":
                    row[world] = describe(v)
                elif world == "argument":
                    row[world] = seen(v)
                elif world == "keyword":
                    row[world] = by_name(1, v=v)[1]
                elif world == "result":
                    row[world] = describe(echo(v))
                elif world == "result of a result":
                    row[world] = describe(echo(echo(v)))
                elif world == "remote":
                    row[world] = describe(remote(v))
                elif world == "remote argument":
                    row[world] = seen(remote(v))
                else:
                    row[world] = describe([echo(x) for x in [v, v]][1])
            except Exception as e:
                row[world] = f"{type(e).__name__}: {e}"
    return made
`;
const ways = ["here", "argument", "keyword", "result", "result of a result", "remote", "remote argument", "fan-out"];
const files = { "app.py": APP, "values.py": readFileSync(join(import.meta.dirname, "values.py"), "utf8") };
const names = [...files["values.py"].matchAll(/^(ARRAYS|FRAMES|PLAIN) = /gm)].length;

type Rows = Record<string, Record<string, unknown>>;

describe("a value of every kind", () => {
  const bench = useBench();
  let ours: Rows;
  let theirs: Rows | undefined;
  beforeAll(async () => {
    const app = bench.write(files);
    const { value, error } = await bench.run(app, { event: { ways } });
    if (error) throw error;
    ours = value as Rows;
    if (noCPython) return;
    const python = new CPython();
    const plain = await python.run(app, { event: { ways } });
    python.close();
    if (plain.error) throw new Error(plain.trace);
    theirs = plain.value as Rows;
  });

  test("is tried", () => {
    expect(names).toBe(3);
    expect(Object.keys(ours).length).toBeGreaterThan(100);
  });

  test.each(ways.slice(1))("arrives as it was sent: %s", (way) => {
    const column = (of: string): Record<string, unknown> =>
      Object.fromEntries(Object.entries(ours).map(([name, row]) => [name, row[of]]));
    expect(column(way)).toEqual(column("here"));
  });

  test.skipIf(noCPython)("is the same value under CPython", () => {
    expect(ours).toEqual(theirs);
  });
});
