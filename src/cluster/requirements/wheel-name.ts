/** What a wheel's file name says (PEP 427): which project and version, and what it runs on. */
import { valid } from "@renovatebot/pep440";
import { nameKey } from "./pep508.ts";

export interface WheelName {
  readonly file: string;
  readonly key: string;
  readonly version: string;
  readonly pythons: readonly string[];
  readonly abis: readonly string[];
  readonly platforms: readonly string[];
}

/** undefined for what is no wheel, or one of a version that PEP 440 does not know. */
export function parseWheelName(file: string): WheelName | undefined {
  if (!/^[\w.!+-]+\.whl$/.test(file)) return undefined;
  const parts = file.slice(0, -".whl".length).split("-");
  if (parts.length < 5 || parts.length > 6) return undefined;
  const [name = "", rawVersion = ""] = parts;
  const [python = "", abi = "", platform = ""] = parts.slice(-3);
  const version = rawVersion.replaceAll("_", "-");
  if (valid(version) === null) return undefined;
  const split = (tag: string): string[] => tag.split(".");
  return {
    file,
    key: nameKey(name),
    version,
    pythons: split(python),
    abis: split(abi),
    platforms: split(platform),
  };
}

/** Python files only: `py3-none-any`, or one that names Python 2 as well. */
export const isPure = ({ pythons, abis, platforms }: WheelName): boolean =>
  abis.includes("none") &&
  platforms.includes("any") &&
  pythons.some((tag) => /^(py3|py31[0-4]|py3[0-9]|cp314)$/.test(tag));

/**
 * Projects whose compiled part only makes them faster: each has the same in Python beside it and takes that when the other is not
 * there, and none publishes a wheel without it. Their Python files are taken from a wheel for CPython 3.14 on Linux.
 */
const FASTER_ONLY: ReadonlySet<string> = new Set(["markupsafe", "pyyaml", "msgpack"]);

export const isUsable = (name: WheelName): boolean =>
  isPure(name) ||
  (FASTER_ONLY.has(name.key) &&
    name.pythons.includes("cp314") &&
    name.abis.includes("cp314") &&
    name.platforms.some((platform) => /^manylinux.*_x86_64$/.test(platform)));
