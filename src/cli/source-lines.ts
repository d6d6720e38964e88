/** Lines of the user's source, for errors that name a place. */
import { readFileSync, statSync } from "node:fs";
import { dirname, isAbsolute, join, normalize } from "node:path";

/**
 * `app` is absolute; files are named relative to its folder. A file outside of it has no lines here: its path is one of the
 * sandbox, and may be another file on this machine.
 */
export function sourceLinesOf(app: string | undefined): (file: string, line: number) => string | undefined {
  const files = new Map<string, readonly string[]>();
  return (file, line) => {
    if (app === undefined || isAbsolute(file) || normalize(file).startsWith("..")) return undefined;
    const lines = files.get(file) ?? readLines(join(folderOf(app), file));
    files.set(file, lines);
    return lines[line - 1];
  };
}

function folderOf(app: string): string {
  return statSync(app, { throwIfNoEntry: false })?.isDirectory() ? app : dirname(app);
}

function readLines(path: string): readonly string[] {
  try {
    return readFileSync(path, "utf8").split(/\r\n|\r|\n/);
  } catch {
    return [];
  }
}
