import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { createCluster } from "../../src/index.ts";
import { useBench } from "../support/running.ts";

const PAGE_BYTES = 4096;

const bench = useBench();

const application = (k: number): string => `
from sandloom import split

K = ${k}


@split
def plus(x):
    return x + K


def main(event):
    return plus(1)
`;

test("an executor keeps few application images open, and opens one again that is needed again", async () => {
  const count = 12;
  for (let k = 0; k < count; k++) expect(await bench.valueOf(application(k))).toBe(k + 1);
  const full = await bench.cluster.stats();
  for (let k = 0; k < count; k++) expect(await bench.valueOf(application(100 + k))).toBe(k + 101);
  expect(await bench.valueOf(application(0))).toBe(1);
  const { fds, regions, accounts } = await bench.cluster.stats();
  expect({ regions, accounts }).toEqual({ regions: 0, accounts: 0 });
  // Each open image is a memfd.
  expect(fds).toBeLessThanOrEqual(full.fds);
});

test("applications that run side by side, more than stay open, each get their own image", async () => {
  const runs = Array.from({ length: 10 }, (_, k) => bench.valueOf(application(200 + k)));
  expect(await Promise.all(runs)).toEqual(Array.from({ length: 10 }, (_, k) => k + 201));
});

test("what a component makes lies close together, and so does what loading a small application makes", async () => {
  const first = await bench.runSource(application(300));
  if (first.error) throw first.error;
  const folder = join(bench.folder, "cache", "applications");
  const deltas = readdirSync(folder).map((name) => statSync(join(folder, name, "image.delta")).size);
  expect(deltas.length).toBeGreaterThan(0);
  // With holes in the heap to be filled first, it was 780 pages.
  expect(Math.max(...deltas) / PAGE_BYTES).toBeLessThan(300);
  // A cluster of its own: what its sandboxes wrote is what this application's components did, and no others.
  await using cluster = await createCluster({ cpus: 1, cacheDir: join(bench.folder, "cache") });
  const app = bench.write({ "app.py": application(300) });
  for (let i = 0; i < 4; i++) {
    const { record } = await cluster.run(app).result;
    for (const event of record.events)
      if (event.type === "sandbox-reset") expect(event.dirty_pages, `of sandbox ${event.sandbox}`).toBeLessThan(400);
  }
});
