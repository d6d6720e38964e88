/** Many runs of a small application on one cluster: what the executor holds afterwards is what it held before. */
import { readdirSync } from "node:fs";
import { expect } from "vitest";
import type { Bench } from "../support/running.ts";

const MIB = 1024 * 1024;

const APP = `
import numpy as np
import pandas as pd
from sandloom import remote, split


@split
def scaled(x, by):
    if by == 13:
        raise ValueError("thirteen")
    return x * by


@split(writes=("x",))
def fill(x, by):
    x[:] = by
    with open("/tmp/kept", "w") as file:
        file.write("x" * 10_000)
    return pd.DataFrame({"v": x, "s": ["a"] * len(x)})


def main(event):
    x = remote(np.arange(30_000.0))
    total = sum(scaled(p, event["n"] % 20).sum() for p in split(x, 3))
    frames = [fill(p, i) for i, p in enumerate(split(x[:300], 2))]
    return [float(total), float(sum(f["v"].sum() for f in frames))]
`;

interface Held {
  readonly fds: number;
  readonly mappings: number;
  readonly sandboxes: number;
  readonly pss_bytes: number;
  readonly regions: number;
  readonly accounts: number;
  readonly used_bytes: number;
}

function threadsOf(pid: number): number {
  return readdirSync(`/proc/${pid}/task`).length;
}

export interface Growth {
  /** Runs before the first look: V8 compiles what is hot, and its heaps find their size. */
  readonly warmUp: number;
  readonly runs: number;
  /** Far less than one a run. */
  readonly mappings: number;
  readonly pss_bytes: number;
}

export async function expectNoGrowth(bench: Bench, { warmUp, runs, mappings, pss_bytes }: Growth): Promise<void> {
  const app = bench.write({ "app.py": APP });
  const go = async (from: number, to: number): Promise<void> => {
    for (let n = from; n < to; n++) {
      const { value, error } = await bench.run(app, { event: { n } });
      if (n % 20 === 13) expect(error?.message).toBe("ValueError: thirteen");
      else expect(value).toEqual([449_985_000 * (n % 20), 150]);
    }
  };
  const held = async (): Promise<Held & { threads: number; executor_pid: number }> => {
    await expect
      .poll(() => bench.cluster.stats(), { timeout: 10_000 })
      .toMatchObject({ regions: 0, accounts: 0, used_bytes: 0 });
    const stats = await bench.cluster.stats();
    const executor_pid = stats.executor_pid as number;
    return { ...stats, executor_pid, threads: threadsOf(executor_pid) };
  };
  await go(0, warmUp);
  const before = await held();
  await go(warmUp, warmUp + runs);
  const after = await held();
  console.log(`${runs} runs: ${JSON.stringify({ before, after })}`);
  expect(after.executor_pid).toBe(before.executor_pid);
  expect(after.sandboxes).toBeLessThanOrEqual(before.sandboxes + 1);
  expect(after.threads).toBeLessThanOrEqual(before.threads + 2);
  expect(after.fds).toBeLessThanOrEqual(before.fds + 20);
  expect(after.mappings).toBeLessThanOrEqual(before.mappings + mappings);
  expect(after.pss_bytes - before.pss_bytes).toBeLessThan(pss_bytes + 60 * MIB * (after.sandboxes - before.sandboxes));
}
