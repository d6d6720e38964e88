import { expect, test } from "vitest";
import { flameGraph } from "../../benchmarks/hosting/flame-graph.ts";

const frame = (functionName: string, url = "", lineNumber = 0) => ({ functionName, url, lineNumber });
const profile = {
  nodes: [
    { id: 1, callFrame: frame("(root)"), children: [2, 4, 5] },
    { id: 2, callFrame: frame("serve", "file:///x/sandbox.ts", 9), children: [3] },
    { id: 3, callFrame: frame("a<b", "file:///x/y.ts", 1) },
    { id: 4, callFrame: frame("(idle)") },
    { id: 5, callFrame: frame("sleep", "file:///x/exchange.ts", 100) },
  ],
  samples: [3, 2, 4, 5, 3],
  timeDeltas: [1000, 3000, 50_000, 60_000, 4000],
};

test("a flame graph has a box for each function under each of its callers, and leaves waiting out", () => {
  const svg = flameGraph("T & Co", { sandboxes: [profile, profile], dispatcher: [] });
  const titles = [...svg.matchAll(/<title>([^<]*)<\/title><rect x="([\d.]+)" y="(\d+)" width="([\d.]+)"/g)].map((m) =>
    m.slice(1),
  );
  expect(titles).toEqual([
    ["all: 16.0 ms, 100.0 %", "0.0", "34", "1600.0"],
    ["sandboxes: 16.0 ms, 100.0 %", "0.0", "51", "1600.0"],
    ["serve sandbox.ts:10: 16.0 ms, 100.0 %", "0.0", "68", "1600.0"],
    ["a&lt;b y.ts:2: 10.0 ms, 62.5 %", "0.0", "85", "1000.0"],
  ]);
  expect(svg).toContain("T &amp; Co");
});
