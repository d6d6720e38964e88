import { expect, test } from "vitest";
import { useBench } from "../support/running.ts";
import { expectNoGrowth } from "./growth.ts";

const bench = useBench();

test("150 runs of a small application leave descriptors, mappings, threads, sandboxes and memory as they were", async () => {
  await expectNoGrowth(bench, { warmUp: 60, runs: 150, mappings: 300, pss_bytes: 80 * 1024 * 1024 });
  expect.hasAssertions();
});
