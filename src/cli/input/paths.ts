/** The application, the mounts and the output folder that a command line names. */
import { existsSync, readdirSync, type Stats, statSync } from "node:fs";
import { isAbsolute, join, resolve } from "node:path";
import type { Mount } from "../../cluster/api.ts";
import { BadInput } from "../../graph/errors.ts";

/** Absolute path of an application, checked before anything is started for it. */
export function resolveApp(app: string, cwd: string): string {
  const path = resolve(cwd, app);
  const found = statOf(path);
  if (!found) throw new BadInput(`${app}: there is no such file or folder`, { app });
  if (found.isDirectory()) {
    if (["graph.json", "app.py", "main.py"].some((name) => existsSync(join(path, name)))) return path;
    throw new BadInput(
      `${app}: this folder has neither app.py nor main.py, nor the graph.json of a compiled application`,
      { app },
    );
  }
  if (!app.endsWith(".py")) {
    throw new BadInput(`${app}: an application is a .py file, a folder with app.py or main.py, or a compiled folder`, {
      app,
    });
  }
  return path;
}

/** `DIR` (seen at the same absolute path) or `DIR:/path`. */
export function parseMount(text: string, cwd: string): Mount {
  const mount = parseDistantMount(text, cwd);
  const found = statOf(mount.host);
  const [folder] = partsOf(text);
  if (!found) throw new BadInput(`--mount ${text}: there is no folder ${folder}`, { mount: text });
  if (!found.isDirectory())
    throw new BadInput(`--mount ${text}: ${folder} is a file; mount the folder that it is in`, { mount: text });
  return mount;
}

function partsOf(text: string): [folder: string, guest: string | undefined] {
  const colon = text.lastIndexOf(":/");
  return colon > 0 ? [text.slice(0, colon), text.slice(colon + 1)] : [text, undefined];
}

/** Of a folder that may be on another machine. */
export function parseDistantMount(text: string, cwd: string): Mount {
  const [folder, at] = partsOf(text);
  const host = resolve(cwd, folder);
  const guest = at ?? host;
  if (!isAbsolute(guest) || guest.split("/").includes("..") || guest === "/") {
    throw new BadInput(`--mount ${text}: "${guest}" is no absolute path below / for components to see it at`, {
      mount: text,
    });
  }
  return { host, guest: guest.replace(/\/+$/, "") };
}

export function parseMounts(texts: readonly string[], cwd: string): Mount[] {
  const mounts = texts.map((text) => parseMount(text, cwd));
  for (const [index, mount] of mounts.entries()) {
    if (mounts.findIndex((other) => other.guest === mount.guest) < index) {
      throw new BadInput(`--mount: two folders at ${mount.guest}`, { guest: mount.guest });
    }
  }
  return mounts;
}

/** A folder to write to: a new one, an empty one, or one that an earlier run or compile wrote. Others keep their files. */
export function resolveOut(folder: string, cwd: string, option: string): string {
  const path = resolve(cwd, folder);
  const found = statOf(path);
  if (!found) return path;
  if (!found.isDirectory())
    throw new BadInput(`${option} ${folder}: this is a file, and a folder is needed`, { folder });
  const names = readdirSync(path);
  if (names.length > 0 && !names.includes("graph.json") && !names.includes("result.json")) {
    throw new BadInput(`${option} ${folder}: this folder has other files (${names[0]}); name a new or an empty one`, {
      folder,
    });
  }
  return path;
}

/** The file that `--requirements` names, checked before anything is started for it. */
export function resolveRequirements(file: string | undefined, cwd: string): { requirements?: string } {
  if (file === undefined) return {};
  const path = resolve(cwd, file);
  const found = statOf(path);
  if (!found || found.isDirectory()) throw new BadInput(`--requirements ${file}: there is no such file`, { file });
  return { requirements: path };
}

function statOf(path: string): Stats | undefined {
  return statSync(path, { throwIfNoEntry: false });
}
