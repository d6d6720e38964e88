/** Files kept between processes, each under a name that says its content; what was not used for longest goes when there are too many. */
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";

export interface Bound {
  readonly bytes?: number;
  readonly files?: number;
}

/** A file that is older than this and has a draft's name was left by a process that ended. */
const DRAFT_MS = 3600_000;

export class FileStore {
  readonly #folder: string;
  readonly #bound: Bound;

  constructor(folder: string, bound: Bound) {
    this.#folder = folder;
    this.#bound = bound;
  }

  /** Where the file is, if it is there; it counts as used now. */
  path(name: string): string | undefined {
    const path = join(this.#folder, name);
    if (!existsSync(path)) return undefined;
    try {
      const now = new Date();
      utimesSync(path, now, now);
      return path;
    } catch {
      return undefined; // somebody made room a moment ago
    }
  }

  read(name: string): Uint8Array | undefined {
    const path = this.path(name);
    try {
      return path === undefined ? undefined : readFileSync(path);
    } catch {
      return undefined;
    }
  }

  /** Several writers of one name do no harm: the content is the same. @returns the path */
  write(name: string, content: Uint8Array | readonly Uint8Array[]): string {
    mkdirSync(this.#folder, { recursive: true });
    const path = join(this.#folder, name);
    const draft = `${path}.${process.pid}.${performance.now().toString(36)}.draft`;
    writeFileSync(draft, content instanceof Uint8Array ? content : Buffer.concat(content));
    renameSync(draft, path);
    this.#prune(name);
    return path;
  }

  drop(name: string): void {
    rmSync(join(this.#folder, name), { force: true });
  }

  #prune(keep: string): void {
    const entries = readdirSync(this.#folder).flatMap((name) => {
      const stat = statSync(join(this.#folder, name), { throwIfNoEntry: false });
      return stat ? [{ name, bytes: stat.size, used_ms: stat.mtimeMs }] : [];
    });
    const drafts = entries.filter(({ name, used_ms }) => name.endsWith(".draft") && Date.now() - used_ms > DRAFT_MS);
    for (const { name } of drafts) this.drop(name);
    const files = entries.filter(({ name }) => !name.endsWith(".draft"));
    let [bytes, count] = [files.reduce((sum, file) => sum + file.bytes, 0), files.length];
    for (const file of files.toSorted((a, b) => a.used_ms - b.used_ms)) {
      if (bytes <= (this.#bound.bytes ?? Infinity) && count <= (this.#bound.files ?? Infinity)) return;
      if (file.name === keep) continue;
      this.drop(file.name);
      bytes -= file.bytes;
      count--;
    }
  }
}
