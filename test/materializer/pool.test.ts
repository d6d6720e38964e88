import { describe, expect, test } from "vitest";
import {
  chooseSandbox,
  type PoolCounts,
  refusalOf,
  SANDBOX_BYTES,
  sandboxesNeeded,
  surplusOf,
} from "../../src/materializer/pool.ts";

describe("the sandbox that is taken", () => {
  const idle = [
    { id: 0, image: 1 },
    { id: 1, image: 2 },
    { id: 2, image: 2 },
    { id: 3, image: 3 },
  ];
  const uses = new Map([
    [1, 30],
    [2, 10],
    [3, 20],
  ]);
  const usedAt = (image: number): number => uses.get(image) ?? 0;

  test("has the image, if one has: the one that became idle last, so that the others can be let go", () => {
    const chosen = chooseSandbox(idle, 2, usedAt);
    expect(chosen?.take.id).toBe(2);
    expect(chosen?.reason).toBe("a sandbox that has its image stood idle");
  });

  test("else is the one whose own image was used longest ago: a function that is invoked often keeps its own", () => {
    const chosen = chooseSandbox(idle, 4, usedAt);
    expect(chosen?.take.id).toBe(1);
    expect(chosen?.reason).toBe("no idle sandbox has its image: the one whose own was used longest ago maps it");
  });

  test("an image that was never used is the first to go", () => {
    expect(chooseSandbox([...idle, { id: 4, image: 9 }], 4, usedAt)?.take.id).toBe(4);
  });

  test("is none when none is idle", () => {
    expect(chooseSandbox([], 1, usedAt)).toBeUndefined();
  });
});

describe("another sandbox is made", () => {
  const counts = (given: Partial<PoolCounts>): PoolCounts => ({
    sandboxes: 6,
    idle: 2,
    coming: 0,
    making: 0,
    min_warm: 4,
    reserve: 2,
    wanted: 0,
    ...given,
  });

  test("not while there is enough of everything", () => {
    expect(sandboxesNeeded(counts({}))).toBeUndefined();
  });

  test("for what waits, as many as lack, whatever else is being made", () => {
    expect(sandboxesNeeded(counts({ wanted: 5, idle: 1, coming: 2, making: 1 }))).toEqual({
      count: 2,
      cause: "demand",
      reason: "5 wanted, 1 idle and 2 coming",
    });
    expect(sandboxesNeeded(counts({ wanted: 3, idle: 1, coming: 2, making: 1 }))).toBeUndefined();
  });

  test("up to those that are kept, one after the other", () => {
    expect(sandboxesNeeded(counts({ sandboxes: 3 }))).toEqual({
      count: 1,
      cause: "min-warm",
      reason: "3 of the 4 that are kept",
    });
    expect(sandboxesNeeded(counts({ sandboxes: 3, making: 1, coming: 1 }))).toBeUndefined();
  });

  test("as a spare, when fewer are idle or coming than are kept ahead of demand", () => {
    expect(sandboxesNeeded(counts({ idle: 1 }))).toEqual({
      count: 1,
      cause: "spare",
      reason: "1 idle and 0 coming: 2 are kept ahead of demand",
    });
    expect(sandboxesNeeded(counts({ idle: 1, coming: 1 }))).toBeUndefined();
    expect(sandboxesNeeded(counts({ idle: 0, reserve: 0 }))).toBeUndefined();
  });
});

describe("another sandbox is refused", () => {
  const room = { sandboxes: 5, making: 0, limit: 1024, memory_bytes: 500e6, bound_bytes: 500e6 + SANDBOX_BYTES };

  test("not while one fits, and never the first", () => {
    expect(refusalOf(room)).toBeUndefined();
    expect(refusalOf({ ...room, bound_bytes: undefined, memory_bytes: 1e15 })).toBeUndefined();
    expect(refusalOf({ ...room, sandboxes: 0, bound_bytes: 1 })).toBeUndefined();
  });

  test("when it would take memory past the bound, those counted that are being made", () => {
    expect(refusalOf({ ...room, making: 1 })).toEqual({
      cause: "memory",
      reason: "500 MB held and 1 being made: with one more 580 MB would be held, and 540 MB are allowed",
      bound: 540e6,
      value: 580e6,
    });
  });

  test("when all of them would take it past the bound once they have run something", () => {
    expect(refusalOf({ ...room, sandboxes: 7 })).toMatchObject({
      reason: "7 sandboxes: with one more 580 MB would be held, and 540 MB are allowed",
      value: 580e6,
    });
  });

  test("when there are as many as an executor can have", () => {
    expect(refusalOf({ ...room, sandboxes: 1024 })).toMatchObject({ cause: "limit", bound: 1024, value: 1025 });
  });
});

describe("the sandbox that stood idle longest is let go", () => {
  const surplus = {
    sandboxes: 9,
    idle: 5,
    min_warm: 6,
    reserve: 2,
    idle_ms: 60_000,
    limit_ms: 60_000,
    memory_bytes: 500e6,
    bound_bytes: 600e6,
  };

  test("after its time, when there are more than are kept", () => {
    expect(surplusOf(surplus)).toEqual({
      cause: "idle",
      reason: "idle for 60 s, and 9 are more than the 6 that are kept",
    });
    expect(surplusOf({ ...surplus, idle_ms: 59_999 })).toBeUndefined();
    expect(surplusOf({ ...surplus, sandboxes: 6, idle: 6 })).toBeUndefined();
  });

  test("not if it would be made again at once, as a spare", () => {
    expect(surplusOf({ ...surplus, sandboxes: 9, idle: 2 })).toBeUndefined();
    expect(surplusOf({ ...surplus, sandboxes: 9, idle: 3 })?.cause).toBe("idle");
  });

  test("at once when memory is short, those included that would be kept, but not the last", () => {
    const short = { ...surplus, idle_ms: 0, sandboxes: 2, idle: 1, memory_bytes: 700e6 };
    expect(surplusOf(short)).toEqual({ cause: "memory", reason: "700 MB are held, and 600 MB allowed" });
    expect(surplusOf({ ...short, sandboxes: 1 })).toBeUndefined();
    expect(surplusOf({ ...short, idle: 0 })).toBeUndefined();
    expect(surplusOf({ ...short, bound_bytes: undefined })).toBeUndefined();
  });

  test("down to none where none is kept", () => {
    expect(surplusOf({ ...surplus, sandboxes: 1, idle: 1, min_warm: 0, reserve: 0 })?.cause).toBe("idle");
  });
});
