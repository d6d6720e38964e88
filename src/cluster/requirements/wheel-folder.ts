/** The folder of wheels that a user keeps. */
import { existsSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";

/** The same as long as nobody put a wheel in or took one out. */
export function folderState(folder: string): string {
  return wheelsIn(folder)
    .map((file) => {
      const { size, mtimeMs } = statSync(join(folder, file));
      return `${file} ${size} ${mtimeMs}`;
    })
    .join("\n");
}

export function wheelsIn(folder: string): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .filter((file) => file.endsWith(".whl"))
    .toSorted();
}
