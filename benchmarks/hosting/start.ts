/** A server process that starts with functions deployed before: until it has answered an invocation. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { figure, type Figure, type Row, takeTurns } from "../bench.ts";
import { expectAnswered, numpy } from "./handlers.ts";
import { dataFolder, deploy, invocationOf, startServer } from "./server.ts";

export const start: Row = {
  name: "start",
  title: "`sandloom serve` in a new process to the first invocation answered, images cached",

  async measure(bench): Promise<Figure[]> {
    using data = dataFolder(bench);
    {
      await using server = await startServer(bench, data.path);
      await deploy(await server.connect(), numpy.name, numpy.source);
    }
    const listening: number[] = [];
    const ours = {
      name: "Sandloom",
      trial: async (round: number): Promise<number> => {
        const request = invocationOf(numpy.name, numpy.event(round));
        const started = performance.now();
        await using server = await startServer(bench, data.path);
        const listening_ms = performance.now() - started;
        const answer = await (await server.connect()).ask(request);
        const ms = performance.now() - started;
        expectAnswered(answer, numpy, round, "the server that was just started");
        if (round >= 0) listening.push(listening_ms);
        return ms;
      },
    };
    // What any command of this Node pays before its first line of JavaScript.
    const floor = {
      name: "empty script",
      trial: async (): Promise<number> => {
        const started = performance.now();
        await once(spawn(process.execPath, ["-e", "0"], { stdio: "ignore" }), "close");
        return performance.now() - started;
      },
    };
    const values = await takeTurns([ours, floor], bench.quick ? { warmups: 1, rounds: 3 } : { warmups: 2, rounds: 20 });
    return [
      figure(start.name, { what: "to the first answer", values: values.get(ours) ?? [], bound: 1000 }),
      figure(start.name, { what: "of it until it says where it listens", values: listening }),
      figure(start.name, { what: "an empty script in this Node, to its end", values: values.get(floor) ?? [] }),
    ];
  },
};
