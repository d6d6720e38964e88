import { afterAll, beforeAll, describe, test } from "vitest";
import { CPython, noCPython } from "../support/cpython.ts";
import { useBench } from "../support/running.ts";
import { expectAgreement } from "./compare.ts";
import { generate } from "./generate.ts";

const PROGRAMS = 80;

describe.skipIf(noCPython)("a generated program gives the same result in sandboxes and under CPython", () => {
  const bench = useBench();
  let python: CPython;
  beforeAll(() => {
    python = new CPython();
  });
  afterAll(() => python.close());

  test.each(Array.from({ length: PROGRAMS }, (_, seed) => seed))("seed %i", async (seed) => {
    await expectAgreement(bench, python, generate(seed), `seed ${seed}`);
  });
});
