import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { eventsOf, useBench, type Outcome } from "../support/running.ts";

const APP = readFileSync(join(import.meta.dirname, "pristine.py"), "utf8");
const MIB = 1024 * 1024;

type Seen = Record<string, unknown>;

/** The sandboxes in which a component ran. */
function sandboxesOf(outcome: Outcome, name: string): Set<number> {
  const ids = new Set(
    eventsOf(outcome, "component-triggered").flatMap((event) => (event.name === name ? [event.component] : [])),
  );
  return new Set(
    eventsOf(outcome, "component-started").flatMap(({ component, sandbox }) => (ids.has(component) ? [sandbox] : [])),
  );
}

describe("a sandbox is pristine for every component", () => {
  const bench = useBench();

  test("what one component plants, wherever it can, no other finds: in this run, and in the next", async () => {
    const outcome = await bench.runSource(APP, { do: "plant" });
    if (outcome.error) throw outcome.error;
    const [first, done, then] = outcome.value as [Seen[], Record<string, string>[], Seen[]];
    const [reference] = first;
    for (const seen of first) expect(seen).toEqual(reference);
    for (const row of done) {
      const refused = Object.entries(row).filter(([name]) => name.startsWith("/"));
      expect(refused.length).toBeGreaterThanOrEqual(7);
      for (const [path, what] of refused) expect(what, path).toMatch(/^(OSError|PermissionError|FileNotFoundError)$/);
      // What cannot be planted at all would prove nothing.
      const failed = Object.entries(row).filter(([name, what]) => !name.startsWith("/") && what !== "planted");
      expect(failed.map(([name]) => name)).toEqual([]);
    }
    for (const seen of then) expect(seen).toEqual(reference);
    const planted = sandboxesOf(outcome, "plant");
    const looked = sandboxesOf(outcome, "look");
    expect([...planted].filter((sandbox) => looked.has(sandbox)).length).toBeGreaterThan(0);

    const next = await bench.runSource(APP, { do: "look" });
    const [entry, ...components] = next.value as Seen[];
    for (const seen of components) expect(seen).toEqual(reference);
    expect(entry).toEqual(reference);
    for (const { local_bytes } of eventsOf(next, "component-ended")) expect(local_bytes).toBeLessThan(64 * MIB);
  });

  test("what the entry plants is not there in the next run", async () => {
    const [reference] = (await bench.valueOf(APP, { do: "look" })) as Seen[];
    for (let i = 0; i < 3; i++) await bench.runSource(APP, { do: "plant here" });
    for (const seen of (await bench.valueOf(APP, { do: "look" })) as Seen[]) expect(seen).toEqual(reference);
  });

  test("what was printed in half by one component does not begin the next one's text", async () => {
    const outcome = await bench.runSource(`
import os
from sandloom import split


@split
def half(n):
    os.write(1, "€".encode()[:2])


@split
def whole(n):
    print("whole")


def main(event):
    for i in range(6):
        half(i)
        whole(i)
`);
    expect(outcome.error).toBeUndefined();
    const lines = eventsOf(outcome, "printed").filter(({ text }) => text.includes("whole"));
    expect(lines.map(({ text }) => text)).toEqual(Array.from({ length: 6 }, () => "whole\n"));
  });

  test("what was written to a terminal in part by one component does not begin the next one's text", async () => {
    const outcome = await bench.runSource(`
import fcntl
import os
from sandloom import split


@split
def part(n):
    fd = os.open("/dev/tty", os.O_WRONLY)
    os.dup2(fd, 2)
    os.close(fd)
    os.write(2, b"part")
    fcntl.fcntl(0, fcntl.F_SETFL, os.O_WRONLY)
    os.write(0, b"part")


@split
def whole(n):
    fd = os.open("/dev/tty", os.O_WRONLY)
    os.write(fd, b"whole\\n")


def main(event):
    for i in range(6):
        part(i)
        whole(i)
`);
    expect(outcome.error).toBeUndefined();
    const printed = eventsOf(outcome, "printed");
    const lines = printed.filter(({ text }) => text.includes("whole"));
    expect(lines.map(({ text }) => text)).toEqual(Array.from({ length: 6 }, () => "whole\n"));
    // It was printed by who wrote it, at once.
    expect(printed.filter(({ text }) => text.includes("part")).length).toBeGreaterThanOrEqual(6);
  });

  test("random numbers differ from component to component and from run to run", async () => {
    const rows = [
      ...((await bench.valueOf(APP, { do: "draw" })) as unknown[][]),
      ...((await bench.valueOf(APP, { do: "draw" })) as unknown[][]),
    ];
    expect(rows).toHaveLength(24);
    for (let column = 0; column < 5; column++) expect(new Set(rows.map((row) => row[column])).size).toBe(24);
  });

  test("another application finds nothing of this one", async () => {
    await bench.runSource(APP, { do: "plant here" });
    const value = await bench.valueOf(`
import sys, os


def main(event):
    return [m for m in sys.modules if "planted" in m] + [k for k in os.environ if "PLANTED" in k] + os.listdir("/tmp") + os.listdir("/out")
`);
    expect(value).toEqual([]);
  });
});
