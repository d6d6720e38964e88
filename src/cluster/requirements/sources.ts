/** Where wheels come from: a folder of them, and a package index. What is at hand is told by both in the same words. */
import { createHash } from "node:crypto";
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { RequirementRefused } from "../../graph/errors.ts";
import type { IndexClient } from "./index-client.ts";
import { REQUIREMENT_LIMITS } from "./limits.ts";
import { wheelsIn } from "./wheel-folder.ts";
import { isUsable, parseWheelName, type WheelName } from "./wheel-name.ts";

/** A wheel that can be had. */
export interface Candidate {
  readonly wheel: WheelName;
  readonly sha256: string;
  /** PEP 440; empty: any. */
  readonly requires_python: string;
  readonly yanked: boolean;
  /** The wheel's own METADATA, where it can be had without the wheel. */
  metadata?(): Promise<Uint8Array>;
  bytes(): Promise<Uint8Array>;
}

/** What a source has of one project. */
export interface Project {
  readonly candidates: readonly Candidate[];
  /** Files that cannot be used: they are the reason when nothing else is there. */
  readonly unusable: readonly string[];
}

export interface WheelSource {
  readonly name: string;
  /** undefined: it does not know the project. */
  project(key: string): Promise<Project | undefined>;
}

export const sha256Of = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

/** The wheels in a folder. Each is hashed when it is looked at: what it was stays known. */
export function folderSource(folder: string): WheelSource {
  return {
    name: `the folder ${folder}`,
    async project(key) {
      const wheels = wheelsIn(folder).flatMap((file) => parseWheelName(file) ?? []);
      const own = wheels.filter((wheel) => wheel.key === key);
      if (own.length === 0) return undefined;
      const usable = own.filter(isUsable);
      const candidates = usable.map((wheel): Candidate => {
        const path = join(folder, wheel.file);
        const { size } = statSync(path);
        const bound = REQUIREMENT_LIMITS.wheel_bytes;
        if (size > bound)
          throw new RequirementRefused(`${path} is ${size} bytes, and a wheel may have ${bound}`, {
            wheel: wheel.file,
            limit: "wheel_bytes",
            bound,
            value: size,
          });
        const sha256 = sha256Of(readFileSync(path));
        return { wheel, sha256, requires_python: "", yanked: false, bytes: async () => readFileSync(path) };
      });
      return { candidates, unusable: own.filter((wheel) => !isUsable(wheel)).map(({ file }) => file) };
    },
  };
}

/** The index that pip uses. */
export function indexSource(client: IndexClient): WheelSource {
  return {
    name: "the package index",
    async project(key) {
      const files = await client.files(key);
      if (!files) return undefined;
      const candidates: Candidate[] = [];
      const unusable: string[] = [];
      for (const { file, url, sha256, requires_python, yanked, metadata_sha256 } of files) {
        const wheel = parseWheelName(file);
        // Without a checksum nobody could say later that it is the same.
        if (!wheel || wheel.key !== key || !isUsable(wheel) || sha256 === undefined) {
          unusable.push(file);
          continue;
        }
        candidates.push({
          wheel,
          sha256,
          requires_python,
          yanked,
          ...(metadata_sha256 === undefined
            ? {}
            : {
                metadata: () => client.download(`${url}.metadata`, REQUIREMENT_LIMITS.metadata_bytes, metadata_sha256),
              }),
          bytes: () => client.download(url, REQUIREMENT_LIMITS.wheel_bytes, sha256),
        });
      }
      return { candidates, unusable };
    },
  };
}
