/**
 * Reads a wheel, which anybody may have made: every path is checked, and nothing is unpacked before its declared size was counted
 * (fflate writes no more than that).
 */
import { unzipSync } from "fflate";
import { RequirementRefused, type SandloomError } from "../../graph/errors.ts";
import { REQUIREMENT_LIMITS } from "./limits.ts";
import { nameKey, parseRequirement, type Requirement } from "./pep508.ts";
import { parseWheelName } from "./wheel-name.ts";

/** What the resolution needs of a wheel's METADATA. */
export interface WheelMetadata {
  readonly name: string;
  readonly version: string;
  readonly requires: readonly Requirement[];
  readonly requires_python: string;
  readonly extras: readonly string[];
}

/** A path relative to site-packages → its content. */
export type WheelFiles = ReadonlyMap<string, Uint8Array>;

/** @throws RequirementRefused */
export function readMetadata(file: string, bytes: Uint8Array): WheelMetadata {
  const found = members(
    file,
    bytes,
    (path) => /^[^/]+\.dist-info\/METADATA$/.test(path),
    REQUIREMENT_LIMITS.metadata_bytes,
  );
  if (found.size !== 1) throw damaged(file, `it has ${found.size} METADATA files, and a wheel has one`);
  return parseMetadata(file, found.values().next().value as Uint8Array);
}

/** The headers of METADATA, which are as in a mail. @throws RequirementRefused */
export function parseMetadata(file: string, bytes: Uint8Array): WheelMetadata {
  const { metadata_bytes } = REQUIREMENT_LIMITS;
  if (bytes.length > metadata_bytes) throw tooLarge(file, "metadata_bytes", metadata_bytes, bytes.length);
  const [head = ""] = new TextDecoder().decode(bytes).replaceAll("\r\n", "\n").split("\n\n", 1);
  const headers = head
    .replaceAll(/\n[ \t]+/g, " ")
    .split("\n")
    .map((line) => {
      const colon = line.indexOf(":");
      return [line.slice(0, Math.max(0, colon)).toLowerCase(), line.slice(colon + 1).trim()] as const;
    });
  const all = (name: string): string[] => headers.filter(([key]) => key === name).map(([, value]) => value);
  const [[name = ""], [version = ""], [requires_python = ""]] = [all("name"), all("version"), all("requires-python")];
  const named = parseWheelName(file);
  if (named && nameKey(name) !== named.key)
    throw damaged(file, `its METADATA is that of ${JSON.stringify(name.slice(0, 100))}`);
  return {
    name,
    version,
    requires: all("requires-dist").map((text) => parseRequirement(text)),
    requires_python,
    extras: all("provides-extra").map(nameKey),
  };
}

/**
 * What of a wheel lands in site-packages: its files and those of its `purelib` and `platlib`, without compiled ones and scripts.
 *
 * @throws RequirementRefused
 */
export function readFiles(file: string, bytes: Uint8Array): WheelFiles {
  const files = new Map<string, Uint8Array>();
  for (const [path, content] of members(
    file,
    bytes,
    (name) => target(name) !== undefined,
    REQUIREMENT_LIMITS.unpacked_bytes,
  ))
    files.set(target(path) as string, content);
  return files;
}

/** Where a member goes; undefined: nowhere. */
function target(path: string): string | undefined {
  if (/\.(so|pyd|dll|dylib|pyc)$/.test(path)) return undefined;
  const data = /^[^/]+\.data\/(?:(?:purelib|platlib)\/(.+))?/.exec(path);
  return data ? data[1] : path;
}

function members(
  file: string,
  bytes: Uint8Array,
  wanted: (path: string) => boolean,
  most_bytes: number,
): Map<string, Uint8Array> {
  const limits = REQUIREMENT_LIMITS;
  if (bytes.length > limits.wheel_bytes) throw tooLarge(file, "wheel_bytes", limits.wheel_bytes, bytes.length);
  let [count, total] = [0, 0];
  const filter = ({ name, originalSize }: { name: string; originalSize: number }): boolean => {
    if (++count > limits.files) throw tooLarge(file, "files", limits.files, count);
    if (name.endsWith("/")) return false;
    checkPath(file, name);
    if (!wanted(name)) return false;
    total += originalSize;
    if (total > most_bytes)
      throw tooLarge(
        file,
        most_bytes === limits.metadata_bytes ? "metadata_bytes" : "unpacked_bytes",
        most_bytes,
        total,
      );
    return true;
  };
  try {
    return new Map(Object.entries(unzipSync(bytes, { filter })));
  } catch (error) {
    if (error instanceof RequirementRefused) throw error;
    throw damaged(file, (error as Error).message);
  }
}

/** A path stays in site-packages, and is one that a file system can have. */
function checkPath(file: string, path: string): void {
  const bad =
    path.length > REQUIREMENT_LIMITS.path_bytes ||
    // eslint-disable-next-line no-control-regex -- just those
    /[\u0000-\u001f\\]/.test(path) ||
    path.split("/").some((part) => part === "" || part === "." || part === ".." || part === "__proto__") ||
    /^[A-Za-z]:/.test(path);
  if (bad)
    throw damaged(
      file,
      `it has a member at ${JSON.stringify(path.slice(0, 200))}, which is no path below site-packages`,
    );
}

const damaged = (wheel: string, why: string): SandloomError =>
  new RequirementRefused(`the wheel ${wheel} is not right: ${why}`, { wheel, reason: "bad-wheel" });

const tooLarge = (wheel: string, limit: string, bound: number, value: number): SandloomError =>
  new RequirementRefused(`the wheel ${wheel} is too large: ${limit} is ${value}, and ${bound} is allowed`, {
    wheel,
    limit,
    bound,
    value,
    reason: "too-large",
  });
