/** Those who take turns in several rows. */
import { setTimeout as sleep } from "node:timers/promises";
import { type Contender, expectEqual } from "../bench.ts";
import { type Answer, type Connection, requestOf } from "./connection.ts";
import { expectAnswered, type Handler } from "./handlers.ts";
import { deploy, invocationOf } from "./server.ts";

/** A sandbox is put back within this, and so nobody's trial meets what another's left to be done. */
const SETTLE_MS = 3;
/** After a deployment: its image is written, and what compiled it is put back. */
const DEPLOYED_SETTLE_MS = 50;

export interface Answering extends Contender {
  /** Of the rounds that count. */
  readonly answers: readonly Answer[];
}

/** The empty route of our own server: what HTTP and Node take, whatever is asked. */
export function emptyRoute(connection: Connection): Contender {
  const request = requestOf("GET", "/health");
  return {
    name: "empty route",
    trial: async (): Promise<number> => {
      const { status, ms } = await connection.ask(request);
      expectEqual(status, 200, "the empty route");
      await sleep(SETTLE_MS);
      return ms;
    },
  };
}

/** Someone who answers to POST requests, at the path of the round. */
export function answering(
  name: string,
  connection: Connection,
  handler: Handler,
  request: (round: number) => Buffer | Promise<Buffer>,
): Answering {
  const answers: Answer[] = [];
  return {
    name,
    answers,
    trial: async (round: number): Promise<number> => {
      const bytes = await request(round);
      const answer = await connection.ask(bytes);
      expectAnswered(answer, handler, round, name);
      if (round >= 0) answers.push(answer);
      await sleep(SETTLE_MS);
      return answer.ms;
    },
  };
}

/** A function that is invoked again and again. */
export const warm = (connection: Connection, handler: Handler): Answering =>
  answering("Sandloom", connection, handler, (round) => invocationOf(handler.name, handler.event(round)));

/** Another function for each: its text differs, so that it has an image of its own. */
const another = (handler: Handler, name: string): string => `${handler.source}\n# The function ${name}.\n`;

/** A function that was deployed just before: its image is open in the executor, and no sandbox has it mapped. */
export const justDeployed = (connection: Connection, handler: Handler): Answering =>
  answering(`${handler.shown}, just deployed`, connection, handler, async (round) => {
    const name = `${handler.name}-new-${round < 0 ? "warm" : "round"}-${Math.abs(round)}`;
    await deploy(connection, name, another(handler, name));
    await sleep(DEPLOYED_SETTLE_MS);
    return invocationOf(name, handler.event(round));
  });

/**
 * A function that was deployed before many others and was never invoked: its image is in the page cache, and the executor, which
 * keeps some images open, has to open it again.
 */
export async function deployedLongAgo(
  connection: Connection,
  handler: Handler,
  count: number,
): Promise<Answering & { readonly name: string }> {
  const names = Array.from({ length: count }, (_, i) => `${handler.name}-old-${i}`);
  for (const name of names) await deploy(connection, name, another(handler, name));
  return answering(`${handler.shown}, deployed long ago`, connection, handler, (round) => {
    const name = names.shift();
    if (name === undefined) throw new Error("more rounds than functions");
    return invocationOf(name, handler.event(round));
  });
}
