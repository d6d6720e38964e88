/** A function that does not end: from its deadline to the answer that says so. */
import { setTimeout as sleep } from "node:timers/promises";
import { expectEqual, figure, type Figure, type Row, takeTurns } from "../bench.ts";
import { sourceOf } from "./handlers.ts";
import { deploy, invocationOf, openServer } from "./server.ts";

const TIMEOUT_MS = 100;
/** The sandbox that was ended is replaced within this. */
const SETTLE_MS = 200;
const WAYS = [
  { way: "computes", what: "`while True`: time from the deadline", bound_p99: 20 },
  { way: "sleeps", what: "blocked in `time.sleep`: time from the deadline", bound_p99: 80 },
] as const;

export const runaway: Row = {
  name: "runaway",
  title: `End of a runaway function (timeout ${TIMEOUT_MS} ms): from the deadline to the answer`,

  async measure(bench): Promise<Figure[]> {
    await using server = await openServer(bench);
    const connection = await server.connect();
    await deploy(connection, "runaway", sourceOf("runaway"), { timeout_ms: TIMEOUT_MS });
    const contenders = WAYS.map(({ way, what, bound_p99 }) => {
      const request = invocationOf("runaway", JSON.stringify({ way }));
      const trial = async (): Promise<number> => {
        const { status, body, ms } = await connection.ask(request);
        expectEqual(status, 504, `the function that ${way} (${body})`);
        expectEqual((JSON.parse(body) as { code: unknown }).code, "TimedOut", `the function that ${way}`);
        await sleep(SETTLE_MS);
        // The way to the sandbox is in it: the deadline is counted from when the server begins the run.
        return ms - TIMEOUT_MS;
      };
      return { name: way, what, bound_p99, trial };
    });
    const values = await takeTurns(contenders, bench.quick ? { warmups: 1, rounds: 5 } : { warmups: 2, rounds: 100 });
    return contenders.map((contender) => {
      const { what, bound_p99 } = contender;
      return figure(runaway.name, { what, bound_p99, values: values.get(contender) ?? [] });
    });
  },
};
