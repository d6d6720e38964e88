/**
 * One file that holds many: a mark, the length of the index, the index (JSON), the files' bytes. Sandboxes mount it read-only
 * ({@link packFileSystem}), and read of it what they import.
 */
import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { TextDecoder } from "node:util";
import { InternalError } from "../../graph/errors.ts";
import type { EmscriptenModule, FileSystemType } from "./emscripten.ts";
import { packFileSystem, type PackIndex, packInFile } from "./guest-files.ts";

const MARK = "SLPACK1\n";
const HEAD_BYTES = MARK.length + 8;
const ALIGN = 16;

const align = (at: number): number => Math.ceil(at / ALIGN) * ALIGN;

/** The parts of the file, in their order. Equal files give equal bytes. */
export function encodePack(files: ReadonlyMap<string, Uint8Array>): Uint8Array[] {
  const sorted = [...files].toSorted(([a], [b]) => (a < b ? -1 : 1));
  let at = 0;
  const parts: Uint8Array[] = [];
  const places = sorted.map(([path, content]) => {
    const place = [path, [at, content.length]] as const;
    const padding = align(content.length) - content.length;
    parts.push(content, new Uint8Array(padding));
    at += content.length + padding;
    return place;
  });
  const index = new TextEncoder().encode(JSON.stringify(Object.fromEntries(places)));
  const padded = new Uint8Array(align(HEAD_BYTES + index.length) - HEAD_BYTES).fill(0x20);
  padded.set(index);
  const head = new Uint8Array(HEAD_BYTES);
  head.set(new TextEncoder().encode(MARK));
  const view = new DataView(head.buffer);
  view.setUint32(MARK.length, padded.length, true);
  view.setUint32(MARK.length + 4, at, true);
  return [head, padded, ...parts];
}

interface PackHead {
  readonly index_bytes: number;
  /** Where the files' bytes begin. */
  readonly data_offset: number;
}

/** What the head of a pack says; undefined for a file that is none, or was cut short. */
function readPackHead(fd: number): PackHead | undefined {
  const head = new Uint8Array(HEAD_BYTES);
  if (readSync(fd, head, 0, HEAD_BYTES, 0) !== HEAD_BYTES) return undefined;
  if (new TextDecoder().decode(head.subarray(0, MARK.length)) !== MARK) return undefined;
  const view = new DataView(head.buffer);
  const [index_bytes, data_bytes] = [view.getUint32(MARK.length, true), view.getUint32(MARK.length + 4, true)];
  const data_offset = HEAD_BYTES + index_bytes;
  return fstatSync(fd).size === data_offset + data_bytes ? { index_bytes, data_offset } : undefined;
}

/** Where each file lies, from the beginning of the pack. */
function readPackIndex(fd: number, { index_bytes, data_offset }: PackHead): PackIndex {
  const bytes = new Uint8Array(index_bytes);
  readSync(fd, bytes, 0, index_bytes, HEAD_BYTES);
  const index = JSON.parse(new TextDecoder().decode(bytes)) as PackIndex;
  return Object.fromEntries(Object.entries(index).map(([path, [at, length]]) => [path, [data_offset + at, length]]));
}

/** What a sandbox sees of a pack. The index is read when something is looked for in it: most components look for nothing. */
export function packFile(module: EmscriptenModule, fd: number): FileSystemType {
  const index = (): PackIndex => {
    const head = readPackHead(fd);
    if (!head) throw new InternalError("the pack of wheels is damaged");
    return readPackIndex(fd, head);
  };
  return packFileSystem(module, index, packInFile(fd));
}

/** The index of a pack on the disk; undefined for a file that is none. */
export function packIndexOf(path: string): PackIndex | undefined {
  const fd = openSync(path, "r");
  try {
    const head = readPackHead(fd);
    return head && readPackIndex(fd, head);
  } finally {
    closeSync(fd);
  }
}
