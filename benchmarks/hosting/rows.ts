/** The rows of the suite "hosting", in the order of the table. */
import type { Row } from "../bench.ts";
import { againstCpython } from "./against-cpython.ts";
import { cold } from "./cold.ts";
import { invokeNumpy, invokePandas } from "./invoke.ts";
import { noSpare } from "./no-spare.ts";
import { pss } from "./pss.ts";
import { reset } from "./reset.ts";
import { runaway } from "./runaway.ts";
import { start } from "./start.ts";
import { throughput } from "./throughput.ts";

export const rows: readonly Row[] = [
  invokeNumpy,
  invokePandas,
  cold,
  noSpare,
  start,
  reset,
  throughput,
  againstCpython,
  pss,
  runaway,
];
