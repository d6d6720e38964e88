/** Those who take turns in several rows. */
import { setTimeout as sleep } from "node:timers/promises";
import { type Contender, expectEqual } from "../bench.ts";
import { type Answer, type Connection, requestOf } from "./connection.ts";
import { expectAnswered, type Handler } from "./handlers.ts";
import { deploy, invocationOf } from "./server.ts";

/** A sandbox is put back within this, and so nobody's trial meets what another's left to be done. */
const SETTLE_MS = 3;

export interface Answering extends Contender {
  /** Of the rounds that count. */
  readonly answers: readonly Answer[];
}

/** One request a turn, and after it a pause. */
export const spaced = (contender: Contender): Contender => ({
  name: contender.name,
  trial: async (round: number): Promise<number> => {
    const ms = await contender.trial(round);
    await sleep(SETTLE_MS);
    return ms;
  },
});

export interface Burst extends Contender {
  /** Every request of the rounds that count. */
  readonly each: readonly number[];
}

/** Several requests a turn, one as soon as the one before was answered, and after them a pause. @returns their mean, a turn */
export function burst(contender: Contender, size: number): Burst {
  const each: number[] = [];
  return {
    name: contender.name,
    each,
    trial: async (round: number): Promise<number> => {
      let sum = 0;
      for (let i = 0; i < size; i++) {
        const ms = await contender.trial(round * size + (round < 0 ? -i : i));
        if (round >= 0) each.push(ms);
        sum += ms;
      }
      await sleep(SETTLE_MS);
      return sum / size;
    },
  };
}

/** The empty route of our own server: what HTTP and Node take, whatever is asked. */
export function emptyRoute(connection: Connection): Contender {
  const request = requestOf("GET", "/health");
  return {
    name: "empty route",
    trial: async (): Promise<number> => {
      const { status, ms } = await connection.ask(request);
      expectEqual(status, 200, "the empty route");
      return ms;
    },
  };
}

/** Someone who runs a handler for whoever asks over HTTP. */
export function answering(
  name: string,
  connection: Connection,
  handler: Handler,
  request: (round: number) => Buffer,
): Answering {
  const answers: Answer[] = [];
  return {
    name,
    answers,
    trial: async (round: number): Promise<number> => {
      const bytes = request(round);
      const answer = await connection.ask(bytes);
      expectAnswered(answer, handler, round, name);
      if (round >= 0) answers.push(answer);
      return answer.ms;
    },
  };
}

/** A function that is invoked again and again. */
export const warm = (connection: Connection, handler: Handler): Answering =>
  answering("Sandloom", connection, handler, (round) => invocationOf(handler.name, handler.event(round)));

/** Another function for each: its text differs, so that it has an image of its own. */
const another = (handler: Handler, name: string): string => `${handler.source}\n# The function ${name}.\n`;

/** Deploys functions that are never invoked here. @returns their names */
export async function deployMany(
  connection: Connection,
  handler: Handler,
  count: number,
  of: string,
): Promise<string[]> {
  const names = Array.from({ length: count }, (_, i) => `${handler.name}-${of}-${i}`);
  for (const name of names) await deploy(connection, name, another(handler, name));
  return names;
}

/** Another of these functions for each trial: none was ever invoked, and so no sandbox has its image mapped. */
export function firstInvocations(
  name: string,
  connection: Connection,
  handler: Handler,
  functions: { readonly names: readonly string[]; readonly version?: number },
): Answering {
  const names = [...functions.names];
  return answering(name, connection, handler, (round) => {
    const next = names.shift();
    if (next === undefined) throw new Error(`${name}: more rounds than functions`);
    return invocationOf(next, handler.event(round), functions.version);
  });
}
