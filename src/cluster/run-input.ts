/** Checks of what a caller gives a cluster or a run. */
import { existsSync, statSync } from "node:fs";
import { isAbsolute, resolve } from "node:path";
import { BadInput } from "../graph/errors.ts";
import { defaultLimits, type Limits } from "../graph/limits.ts";
import type { Mount } from "./api.ts";

export function positive(name: string, value: number): number {
  if (!Number.isFinite(value) || value <= 0)
    throw new BadInput(`${name} must be a number above 0, not ${value}`, { name, value });
  return value;
}

export function checkedLimits(given: Partial<Limits> = {}): Limits {
  for (const [name, value] of Object.entries(given)) {
    if (!(name in defaultLimits))
      throw new BadInput(`there is no limit ${name}: the limits are ${Object.keys(defaultLimits).join(", ")}`, {
        name,
      });
    positive(name, value);
  }
  return { ...defaultLimits, ...given };
}

/** Paths of the guest's own that a mount may not hide. */
const RESERVED = ["/", "/dev", "/lib", "/proc", "/tmp", "/out", "/home", "/home/pyodide"];

export function checkedMounts(mounts: readonly Mount[]): Mount[] {
  return mounts.map(({ host, guest }) => {
    const folder = resolve(host);
    if (!existsSync(folder) || !statSync(folder).isDirectory())
      throw new BadInput(`the folder to mount does not exist: ${host}`, { host });
    if (!isAbsolute(guest) || guest !== resolve(guest) || RESERVED.includes(guest) || /^\/(dev|lib|proc)\//.test(guest))
      throw new BadInput(
        `a folder cannot be mounted at ${guest}: choose an absolute path that is not the guest's own (${RESERVED.join(", ")})`,
        { guest },
      );
    return { host: folder, guest };
  });
}

export function eventText(event: unknown): string {
  let text: string | undefined;
  try {
    text = JSON.stringify(event === undefined ? {} : event);
  } catch (error) {
    throw new BadInput(`the event is no JSON value: ${(error as Error).message}`);
  }
  if (text === undefined) throw new BadInput(`the event is no JSON value: it is a ${typeof event}`);
  return text;
}
