// Reads single members out of a zip file (a wheel is one) without reading the rest, by the directory at its end.
// Format: PKWARE's APPNOTE.TXT, sections 4.3.7 (local header), 4.3.12 (directory entry) and 4.3.16 (end of directory).
import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { inflateRawSync } from "node:zlib";

const END_BYTES = 22;
const COMMENT_LIMIT_BYTES = 65_535;
const END_SIGNATURE = 0x06054b50;
const ENTRY_BYTES = 46;
const ENTRY_SIGNATURE = 0x02014b50;
const LOCAL_BYTES = 30;
const STORED = 0;
const DEFLATED = 8;

/**
 * @param {string} path
 * @param {string[]} members names within the zip
 * @returns {Map<string, Buffer>} those members that are there
 */
export function readZip(path, members) {
  const fd = openSync(path, "r");
  try {
    const wanted = new Set(members);
    /** @type {Map<string, Buffer>} */
    const found = new Map();
    for (const entry of directoryOf(fd, path))
      if (wanted.has(entry.name)) found.set(entry.name, contentOf(fd, path, entry));
    return found;
  } finally {
    closeSync(fd);
  }
}

/** @typedef {{ name: string, method: number, packedBytes: number, offset: number }} Entry */

/** @param {number} fd @param {string} path @returns {Generator<Entry>} */
function* directoryOf(fd, path) {
  const size = fstatSync(fd).size;
  const tailBytes = Math.min(size, END_BYTES + COMMENT_LIMIT_BYTES);
  const tail = read(fd, path, size - tailBytes, tailBytes);
  let end = tail.length - END_BYTES;
  while (end >= 0 && tail.readUInt32LE(end) !== END_SIGNATURE) end--;
  if (end < 0) throw new Error(`${path} is not a zip file, or was cut short`);

  const directory = read(fd, path, tail.readUInt32LE(end + 16), tail.readUInt32LE(end + 12));
  for (let at = 0; at + ENTRY_BYTES <= directory.length;) {
    if (directory.readUInt32LE(at) !== ENTRY_SIGNATURE) throw new Error(`${path}: damaged directory`);
    const nameEnd = at + ENTRY_BYTES + directory.readUInt16LE(at + 28);
    yield {
      name: directory.toString("utf8", at + ENTRY_BYTES, nameEnd),
      method: directory.readUInt16LE(at + 10),
      packedBytes: directory.readUInt32LE(at + 20),
      offset: directory.readUInt32LE(at + 42),
    };
    at = nameEnd + directory.readUInt16LE(at + 30) + directory.readUInt16LE(at + 32);
  }
}

/** @param {number} fd @param {string} path @param {Entry} entry */
function contentOf(fd, path, { name, method, packedBytes, offset }) {
  const local = read(fd, path, offset, LOCAL_BYTES);
  const packed = read(fd, path, offset + LOCAL_BYTES + local.readUInt16LE(26) + local.readUInt16LE(28), packedBytes);
  if (method === STORED) return packed;
  if (method === DEFLATED) return inflateRawSync(packed);
  throw new Error(`${path}: ${name} is packed by method ${method}, which is not supported`);
}

/** @param {number} fd @param {string} path @param {number} position @param {number} bytes */
function read(fd, path, position, bytes) {
  const buffer = Buffer.alloc(bytes);
  if (readSync(fd, buffer, 0, bytes, position) !== bytes) throw new Error(`${path} was cut short`);
  return buffer;
}
