import { expect, test } from "vitest";
import { useBench } from "../support/running.ts";

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
