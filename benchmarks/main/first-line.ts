/** The command: from its start to the first line that `main` prints. */
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { figure, type Figure, type Row, takeTurns } from "../bench.ts";

const MARK = "first line of main";

export const firstLine: Row = {
  name: "first-line",
  title: "`sandloom run` in a new process to the first line of main",

  async measure(bench): Promise<Figure[]> {
    const { root, cacheDir, app, folder } = bench.workspace;
    const at = mkdtempSync(join(folder, "first-line-"));
    const source = readFileSync(app("first_line"), "utf8");
    const cachedPath = join(at, "cached.py");
    const freshPath = join(at, "fresh.py");
    writeFileSync(cachedPath, source);
    const env = { ...process.env, SANDLOOM_CACHE: cacheDir };
    const command = (...args: string[]): Promise<{ first_ms: number; end_ms: number }> =>
      timed(join(root, "bin", "sandloom.js"), args, { env, cwd: at });
    const run = (path: string): Promise<{ first_ms: number; end_ms: number }> =>
      command("run", path, "--out", join(at, "out"));
    const ends = { cached: [] as number[], fresh: [] as number[] };
    const cached = {
      name: "cached",
      trial: async (round: number): Promise<number> => {
        const { first_ms, end_ms } = await run(cachedPath);
        if (round >= 0) ends.cached.push(end_ms);
        return first_ms;
      },
    };
    const fresh = {
      name: "fresh",
      trial: async (round: number): Promise<number> => {
        writeFileSync(freshPath, `${source}\n# Never seen before: ${round} ${performance.now()}\n`);
        const { first_ms, end_ms } = await run(freshPath);
        if (round >= 0) ends.fresh.push(end_ms);
        return first_ms;
      },
    };
    // What any command of this Node pays before its first line of JavaScript: the floor of the figures above.
    const floor = {
      name: "floor",
      trial: async (): Promise<number> => (await timed("-e", ["0"], { env, cwd: at })).end_ms,
    };
    try {
      const values = await takeTurns(
        [cached, fresh, floor],
        bench.quick ? { warmups: 1, rounds: 3 } : { warmups: 2, rounds: 20 },
      );
      return [
        figure(firstLine.name, { what: "image and graph cached", values: values.get(cached) ?? [], bound: 500 }),
        figure(firstLine.name, {
          what: "graph not cached: compiled and loaded first",
          values: values.get(fresh) ?? [],
          bound: 900,
        }),
        figure(firstLine.name, { what: "to the end of the command, cached", values: ends.cached }),
        figure(firstLine.name, { what: "to the end of the command, not cached", values: ends.fresh }),
        figure(firstLine.name, { what: "an empty script in this Node, to its end", values: values.get(floor) ?? [] }),
      ];
    } finally {
      rmSync(at, { recursive: true, force: true });
    }
  },
};

/** Both times are from just before the process is started; the first is that of the first output that holds the mark. */
async function timed(
  script: string,
  args: readonly string[],
  options: { env: NodeJS.ProcessEnv; cwd: string },
): Promise<{ first_ms: number; end_ms: number }> {
  const started = performance.now();
  const child = spawn(process.execPath, [script, ...args], { ...options, stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  let first_ms = Number.NaN;
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (chunk: Buffer) => {
      output += chunk.toString();
      if (Number.isNaN(first_ms) && output.includes(MARK)) first_ms = performance.now() - started;
    });
  }
  const code = await new Promise<number | null>((resolve) => child.once("close", resolve));
  const end_ms = performance.now() - started;
  if (code !== 0 || (script !== "-e" && Number.isNaN(first_ms)))
    throw new Error(`the command failed (exit code ${code}):\n${output}`);
  return { first_ms, end_ms };
}
