/** The rows of the suite "main", in the order of the table. */
import type { Row } from "../bench.ts";
import { chain } from "./chain.ts";
import { copies } from "./copies.ts";
import { fanOut } from "./fan-out.ts";
import { firstLine } from "./first-line.ts";
import { firstResult } from "./first-result.ts";
import { memory } from "./memory.ts";
import { pss } from "./pss.ts";
import { reset } from "./reset.ts";

export const rows: readonly Row[] = [chain, fanOut, memory, copies, firstLine, firstResult, reset, pss];
