/** Lines of the user's source, for errors that name a place. */
import { readFileSync, statSync } from "node:fs";
import { dirname, resolve } from "node:path";

/** `app` is absolute; files are named relative to its folder. Without a readable file there is no line. */
export function sourceLinesOf(app: string | undefined): (file: string, line: number) => string | undefined {
  const files = new Map<string, readonly string[]>();
  return (file, line) => {
    if (app === undefined) return undefined;
    const lines = files.get(file) ?? readLines(resolve(folderOf(app), file));
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
