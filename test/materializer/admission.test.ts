import { describe, expect, test } from "vitest";
import { type Capacity, chooseNext, clampCpus, type Demand } from "../../src/materializer/admission.ts";

const demand = (component: number, more: Partial<Demand> = {}): Demand => ({
  component,
  depth: 1,
  order: component,
  cpus: 1,
  resuming: false,
  needs_sandbox: true,
  ...more,
});
const goesOn = (component: number): Demand => demand(component, { resuming: true, needs_sandbox: false });
const server = (more: Partial<Capacity> = {}): Capacity => ({
  cpus: 2,
  free_cpus: 2,
  alive: 0,
  limit_alive: 40,
  ...more,
});

describe("admission", () => {
  test("nothing is admitted when nothing waits", () => {
    expect(chooseNext([], server())).toEqual({ admit: undefined, reason: "nothing waits" });
  });

  test("among equals the first in trigger order goes first, wherever it stands in the list", () => {
    expect(chooseNext([demand(7), demand(3), demand(5)], server()).admit).toBe(3);
  });

  test("children go before roots that were triggered earlier", () => {
    const decision = chooseNext([demand(1), demand(2, { depth: 2 }), demand(3, { depth: 3 })], server());
    expect(decision).toEqual({ admit: 3, reason: "first among the deepest (depth 3); 2 of 2 CPUs free" });
  });

  test("a component that only has to go on after its children goes before every new one", () => {
    const decision = chooseNext([demand(9, { depth: 8 }), goesOn(1)], server());
    expect(decision).toEqual({ admit: 1, reason: "its children are done and it needs only a CPU; 2 of 2 CPUs free" });
  });

  test("a component that goes on needs no sandbox, so the limit on live components does not hold it", () => {
    const full = server({ alive: 40 });
    expect(chooseNext([demand(9, { depth: 8 }), goesOn(1)], full).admit).toBe(1);
    expect(chooseNext([demand(9, { depth: 8 })], full)).toEqual({
      admit: undefined,
      reason: "1 wait for a sandbox: 40 of 40 components are alive",
    });
  });

  test("without a free CPU nothing is admitted, and the reason names who is next and what it lacks", () => {
    expect(chooseNext([demand(4), demand(5)], server({ free_cpus: 0 }))).toEqual({
      admit: undefined,
      reason: "component 4 is next and needs 1 CPU: 0 of 2 are free",
    });
  });

  test("a component that waits for several CPUs is not starved by smaller ones behind it", () => {
    expect(chooseNext([demand(1, { cpus: 2 }), demand(2)], server({ free_cpus: 1 })).admit).toBeUndefined();
  });

  test("a component that asks for more CPUs than the server has gets all of them", () => {
    expect(clampCpus(16, 2)).toBe(2);
    expect(chooseNext([demand(1, { cpus: 16 })], server())).toEqual({
      admit: 1,
      reason: "first in trigger order; 2 of 2 CPUs free; it asked for 16 CPUs and gets all 2",
    });
  });

  test("fractions of CPUs that were added and taken back leave no remainder that keeps a component out", () => {
    expect(chooseNext([demand(1)], server({ free_cpus: 2 - 0.1 - 0.2 - 0.7 })).admit).toBe(1);
  });

  test("sandboxes are kept back for what nests deeper, and never from the deepest component", () => {
    const scarce = server({ cpus: 8, free_cpus: 4, alive: 3, limit_alive: 5, deepest_alive: 2, limit_depth: 4 });
    expect(chooseNext([demand(7, { depth: 2 })], scarce)).toEqual({
      admit: undefined,
      reason: "1 wait for a sandbox: 3 of 5 components are alive, the rest is kept for those that nest deeper",
    });
    expect(chooseNext([demand(7, { depth: 2 }), demand(8, { depth: 3 })], scarce).admit).toBe(8);
    // An application that nests no deeper has all sandboxes.
    expect(chooseNext([demand(7, { depth: 2 })], { ...scarce, limit_depth: 2 }).admit).toBe(7);
  });

  test("a program that nests runs to its end with no more sandboxes than it is deep, when its depth is known", () => {
    for (let seed = 1; seed <= 80; seed++) {
      const depth = 1 + (seed % 6);
      const ran = simulate({ seed, depth, cpus: 1 + (seed % 5), limit_alive: depth, limit_depth: depth });
      expect(ran.stuck, `seed ${seed}`).toBe(false);
      expect(ran.ended, `seed ${seed}`).toBe(ran.triggered);
    }
  });

  test("without its depth known it runs to its end with a sandbox for each CPU at each depth", () => {
    for (let seed = 1; seed <= 80; seed++) {
      const depth = 1 + (seed % 6);
      const cpus = 1 + (seed % 5);
      expect(simulate({ seed, depth, cpus, limit_alive: depth * cpus }).stuck, `seed ${seed}`).toBe(false);
    }
  });
});

interface Node {
  readonly order: number;
  readonly parent: Node | undefined;
  readonly depth: number;
  readonly cpus: number;
  left: number;
  begun: boolean;
}

/** Components that trigger a random number of children and wait for all of them, on one server, admitted by `chooseNext`. */
function simulate(o: { seed: number; depth: number; cpus: number; limit_alive: number; limit_depth?: number }): {
  stuck: boolean;
  triggered: number;
  ended: number;
} {
  let state = o.seed;
  const random = (below: number): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
  const waiting: Node[] = [];
  const running: Node[] = [];
  const alive = new Set<Node>();
  let triggered = 0;
  let ended = 0;
  let free_cpus = o.cpus;
  const trigger = (parent: Node | undefined): void => {
    waiting.push({
      order: triggered++,
      parent,
      depth: (parent?.depth ?? 0) + 1,
      cpus: 1 + random(4),
      left: 0,
      begun: false,
    });
  };
  const demandOf = (node: Node): Demand =>
    demand(node.order, { depth: node.depth, cpus: node.cpus, resuming: node.begun, needs_sandbox: !node.begun });
  const capacity = (): Capacity => ({
    cpus: o.cpus,
    free_cpus,
    alive: alive.size,
    limit_alive: o.limit_alive,
    ...(o.limit_depth === undefined
      ? {}
      : { limit_depth: o.limit_depth, deepest_alive: Math.max(0, ...[...alive].map((node) => node.depth)) }),
  });
  trigger(undefined);
  while (ended < triggered) {
    const decision = chooseNext(waiting.map(demandOf), capacity());
    if (decision.admit !== undefined) {
      const at = waiting.findIndex((node) => node.order === decision.admit);
      const [node] = waiting.splice(at, 1) as [Node];
      free_cpus -= clampCpus(node.cpus, o.cpus);
      alive.add(node);
      running.push(node);
      expect(free_cpus).toBeGreaterThanOrEqual(0);
      expect(alive.size).toBeLessThanOrEqual(o.limit_alive);
      continue;
    }
    if (running.length === 0) return { stuck: true, triggered, ended };
    const [node] = running.splice(random(running.length), 1) as [Node];
    free_cpus += clampCpus(node.cpus, o.cpus);
    node.left = node.begun || node.depth === o.depth ? 0 : random(5);
    node.begun = true;
    if (node.left > 0) {
      for (let child = node.left; child > 0; child--) trigger(node);
      continue;
    }
    ended++;
    alive.delete(node);
    if (node.parent && --node.parent.left === 0) waiting.push(node.parent);
  }
  return { stuck: false, triggered, ended };
}
