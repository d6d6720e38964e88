import { expect, test } from "vitest";
import { useBench } from "../support/running.ts";
import { expectNoGrowth } from "./growth.ts";

const bench = useBench();

test("1,000 runs of a small application leave descriptors, mappings, threads, sandboxes and memory as they were", async () => {
  await expectNoGrowth(bench, { warmUp: 400, runs: 1000, mappings: 150, pss_bytes: 40 * 1024 * 1024 });
  expect.hasAssertions();
});
