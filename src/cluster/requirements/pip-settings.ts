/** Where pip would look for packages on this machine: its variables, its configuration files, its own default, in this order. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { PackageIndexFailed } from "../../graph/errors.ts";
import type { IndexSettings } from "./index-client.ts";

const run = promisify(execFile);
const PIP_TIMEOUT_MS = 30_000;

/** @throws PackageIndexFailed where there is no pip, or it uses no index */
export async function pipSettings(): Promise<IndexSettings> {
  const variable = process.env["PIP_INDEX_URL"];
  if (variable !== undefined && variable !== "") return settingsOf(variable, process.env["PIP_CERT"]);
  const configured = await pip(["config", "list"]);
  const option = (name: string): string | undefined => {
    // A section named after a command goes before `global`, as it does for pip.
    for (const section of [":env:", "download", "install", "global"]) {
      const found = configured.split("\n").find((line) => line.startsWith(`${section}.${name}=`));
      const value = found && /='(.*)'$/.exec(found)?.[1];
      if (value !== undefined && value !== "") return value;
    }
    return undefined;
  };
  if (/^(1|true|yes|on)$/i.test(option("no-index") ?? ""))
    throw new PackageIndexFailed(
      "pip is configured to use no package index: put the wheels into a folder and name it in SANDLOOM_WHEELS",
      {},
    );
  // pip tells its default in the help of the option, and nowhere else.
  const url = option("index-url") ?? defaultIn(await pip(["download", "--help"]));
  if (url === undefined)
    throw new PackageIndexFailed("pip does not tell which package index it uses: set PIP_INDEX_URL", {});
  return settingsOf(url, option("cert"));
}

function settingsOf(url: string, certificates: string | undefined): IndexSettings {
  if (!URL.canParse(url)) throw new PackageIndexFailed(`the address of pip's package index, ${url}, is none`, {});
  return { url: url.replace(/\/*$/, "/"), ...(certificates === undefined ? {} : { certificates }) };
}

export const defaultIn = (help: string): string | undefined =>
  /--index-url <url>[^(]*\(default\s+(https?:[^\s)]+)\)/.exec(help.replaceAll(/\s+/g, " "))?.[1];

async function pip(args: readonly string[]): Promise<string> {
  try {
    const env = { ...process.env, COLUMNS: "1000", NO_COLOR: "1" };
    return (await run("python3", ["-m", "pip", ...args], { timeout: PIP_TIMEOUT_MS, env })).stdout;
  } catch (error) {
    throw new PackageIndexFailed(
      `pip, which knows the package index, cannot be asked (${(error as Error).message.split("\n")[0]}): install python3-pip, set PIP_INDEX_URL, or put the wheels into a folder and name it in SANDLOOM_WHEELS`,
      {},
    );
  }
}
