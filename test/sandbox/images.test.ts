import { execFileSync } from "node:child_process";
import {
  closeSync,
  mkdirSync,
  openSync,
  readdirSync,
  readSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { expect, test } from "vitest";
import { createCluster } from "../../src/index.ts";
import { baseOf } from "../../src/sandbox/image/base.ts";
import { cacheDirectory } from "../../src/sandbox/runtime/paths.ts";
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

test("a compiled module that nobody imports at once works where the top level imports it: it is in the base image", async () => {
  const fit = `
import numpy as np
from numpy.linalg import lapack_lite

def main(event):
    a, b, s, work = np.ones((1, 2)), np.ones((1, 2)), np.zeros(2), np.zeros(1)
    found = lapack_lite.dgelsd(1, 2, 1, a, 1, b, 2, s, -1.0, 0, work, -1, np.zeros(100, dtype=np.intc), 0)
    return [found["info"], bool(work[0] > 0)]
`;
  expect(await bench.valueOf(fit)).toEqual([0, true]);
});

test("the images of small applications share one memfd", async () => {
  const count = 12;
  for (let k = 0; k < count; k++) expect(await bench.valueOf(application(k))).toBe(k + 1);
  // All that will be: each new one opens a few files.
  await expect.poll(async () => (await bench.cluster.stats()).sandboxes, { timeout: 10_000 }).toBe(4);
  const full = await bench.cluster.stats();
  for (let k = 0; k < count; k++) expect(await bench.valueOf(application(100 + k))).toBe(k + 101);
  expect(await bench.valueOf(application(0))).toBe(1);
  const { fds, regions, accounts } = await bench.cluster.stats();
  expect({ regions, accounts }).toEqual({ regions: 0, accounts: 0 });
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

test("an image that was damaged is found, told of, and built again", async () => {
  const cacheDir = join(bench.folder, "damaged");
  mkdirSync(cacheDir);
  symlinkSync(join(cacheDirectory(), "compile-cache"), join(cacheDir, "compile-cache"));
  mkdirSync(join(cacheDir, "images"));
  const original = baseOf(cacheDirectory()).prefix;
  for (const name of readdirSync(dirname(original)).filter((file) => file.startsWith(basename(original))))
    execFileSync("cp", ["--sparse=always", join(dirname(original), name), join(cacheDir, "images")]);
  const app = bench.write({ "app.py": application(400) });
  const said: string[] = [];
  const runs = async (): Promise<unknown> => {
    said.length = 0;
    await using cluster = await createCluster({ cpus: 1, cacheDir, onProgress: (line) => said.push(line) });
    return (await cluster.run(app).result).value;
  };
  expect(await runs()).toBe(401);
  expect(said).toEqual([]);

  const folder = join(cacheDir, "applications", readdirSync(join(cacheDir, "applications"))[0] as string);
  const delta = join(folder, "image.delta");
  flipByte(delta, statSync(delta).size >> 1);
  expect(await runs()).toBe(401);
  expect(said).toEqual([expect.stringContaining("it is built again")]);
  truncateSync(delta, 5000);
  expect(await runs()).toBe(401);
  expect(await runs()).toBe(401);
  expect(said).toEqual([]);

  const { prefix } = baseOf(cacheDir);
  flipByte(`${prefix}.img`, 8 << 20);
  expect(await runs()).toBe(401);
  expect(said.join("\n")).toMatch(/base-[0-9a-f]+\.img is not what was written: it is built again/);
  expect(await runs()).toBe(401);
  expect(said).toEqual([]);
}, 60_000);

function flipByte(path: string, at: number): void {
  const file = openSync(path, "r+");
  const byte = Buffer.alloc(1);
  readSync(file, byte, 0, 1, at);
  writeSync(file, Buffer.of((byte[0] as number) ^ 1), 0, 1, at);
  closeSync(file);
}
