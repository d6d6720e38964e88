// The command as a process: what the shell sees of it.
import { spawn, spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";

const bin = fileURLToPath(new URL("../../bin/sandloom.js", import.meta.url));
const run = (args: string[]): { status: number | null; stdout: string; stderr: string } =>
  spawnSync(process.execPath, [bin, ...args], { encoding: "utf8", env: { ...process.env, NO_COLOR: "1" } });

describe("the command", () => {
  test("runs from its script and gives the exit code to the shell", () => {
    expect(run(["--version"])).toMatchObject({
      status: 0,
      stdout: expect.stringMatching(/^\d+\.\d+\.\d+\n$/),
      stderr: "",
    });
    expect(run(["run", "no-such.py"])).toMatchObject({
      status: 2,
      stdout: "",
      stderr: "BadInput: no-such.py: there is no such file or folder\n",
    });
  });

  test("honours FORCE_COLOR and NO_COLOR", () => {
    const colours = (env: Record<string, string>): string =>
      spawnSync(process.execPath, [bin, "run", "no-such.py"], {
        encoding: "utf8",
        env: { PATH: process.env["PATH"], ...env },
      }).stderr;
    expect(colours({ FORCE_COLOR: "1" })).toContain("\u001B[");
    expect(colours({ NO_COLOR: "1" })).not.toContain("\u001B[");
    expect(colours({})).not.toContain("\u001B[");
  });

  test("is quiet when its reader goes away", async () => {
    const child = spawn(process.execPath, [bin, "run", "--help"], { stdio: ["ignore", "pipe", "pipe"] });
    child.stdout.destroy();
    let stderr = "";
    child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
    const code = await new Promise((resolve) => child.on("close", resolve));
    expect(stderr).toBe("");
    expect(code).toBe(0);
  });
});
