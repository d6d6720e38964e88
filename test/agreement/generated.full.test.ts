import { afterAll, beforeAll, describe, test } from "vitest";
import { CPython, noCPython } from "../support/cpython.ts";
import { useBench } from "../support/running.ts";
import { expectAgreement } from "./compare.ts";
import { generate } from "./generate.ts";

/** Each batch has a cluster of its own: an executor keeps the image of every application that it has run. */
const BATCHES = 12;
const PROGRAMS = 100;
const FIRST_SEED = 1000;

describe.skipIf(noCPython).each(Array.from({ length: BATCHES }, (_, batch) => FIRST_SEED + batch * PROGRAMS))(
  "a generated program gives the same result in sandboxes and under CPython: from seed %i",
  (first) => {
    const bench = useBench();
    let python: CPython;
    beforeAll(() => {
      python = new CPython();
    });
    afterAll(() => python.close());

    test.each(Array.from({ length: PROGRAMS }, (_, i) => first + i))("seed %i", async (seed) => {
      await expectAgreement(bench, python, generate(seed), `seed ${seed}`);
    });
  },
);
