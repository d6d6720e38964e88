/** The files of an application's wheels in one file, as sandboxes mount it: `src/sandbox/runtime/pack-file.ts` has the form. */
import { RequirementRefused, type SandloomError } from "../../graph/errors.ts";
import { encodePack } from "../../sandbox/runtime/pack-file.ts";
import { REQUIREMENT_LIMITS } from "./limits.ts";
import { readFiles } from "./wheel.ts";

export interface NamedWheel {
  readonly file: string;
  readonly bytes: Uint8Array;
}

/**
 * Where two wheels have a file at one path, that of the later one stays, as when pip installs them one after the other.
 *
 * @throws RequirementRefused for wheels that are damaged or too large together
 */
export function packWheels(wheels: readonly NamedWheel[]): Uint8Array[] {
  const { files: most_files, unpacked_bytes } = REQUIREMENT_LIMITS;
  const files = new Map<string, Uint8Array>();
  let total = 0;
  for (const { file, bytes } of wheels) {
    for (const [path, content] of readFiles(file, bytes)) {
      total += content.length;
      files.set(path, content);
    }
    if (files.size > most_files) throw tooLarge("files", most_files, files.size);
    if (total > unpacked_bytes) throw tooLarge("unpacked_bytes", unpacked_bytes, total);
  }
  refuseFileAsFolder(files);
  return encodePack(files);
}

function refuseFileAsFolder(files: ReadonlyMap<string, Uint8Array>): void {
  for (const path of files.keys())
    for (let end = path.lastIndexOf("/"); end > 0; end = path.lastIndexOf("/", end - 1))
      if (files.has(path.slice(0, end)))
        throw new RequirementRefused(`the wheels have ${path.slice(0, end)} as a file and as a folder`, {
          path: path.slice(0, end),
          reason: "bad-wheel",
        });
}

const tooLarge = (limit: "files" | "unpacked_bytes", bound: number, value: number): SandloomError =>
  new RequirementRefused(
    `the required packages are too large together: ${limit} is ${value}, and ${bound} is allowed`,
    {
      limit,
      bound,
      value,
      reason: "too-large",
    },
  );
