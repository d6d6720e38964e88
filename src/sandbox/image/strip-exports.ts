/**
 * Main without the exports that nobody of its base uses. Each costs a new sandbox: the engine makes a function of it, and the glue puts that
 * into tables of names.
 */
import { Unsupported } from "../../graph/errors.ts";

const HEADER_BYTES = 8;
const EXPORT_SECTION = 7;

/** What is C++ is mangled so. C names stay: ctypes looks those of Python's own interface up at any time. */
const MANGLED = "_Z";

/** A copy of `wasm` without the exports of C++ names that are not in `used`. @throws Unsupported if it is no module as we know them */
export function stripExports(wasm: Uint8Array, used: (name: string) => boolean): Uint8Array {
  let at = HEADER_BYTES;
  while (at < wasm.length) {
    const section = new Reader(wasm, at);
    const id = section.byte();
    const bytes = section.u32();
    const [start, end] = [section.at, section.at + bytes];
    if (id === EXPORT_SECTION) {
      const kept = keptExports(new Reader(wasm, start), used);
      const body = Buffer.concat([leb(kept.length), ...kept]);
      return Buffer.concat([wasm.subarray(0, at), Uint8Array.of(EXPORT_SECTION), leb(body.length), body, wasm.subarray(end)]); // prettier-ignore
    }
    at = end;
  }
  throw new Unsupported("this Pyodide's main module has no exports");
}

function keptExports(reader: Reader, used: (name: string) => boolean): Uint8Array[] {
  const kept: Uint8Array[] = [];
  for (let left = reader.u32(); left > 0; left--) {
    const start = reader.at;
    const name = reader.text();
    reader.byte(); // the kind
    reader.u32();
    if (!name.startsWith(MANGLED) || used(name)) kept.push(reader.since(start));
  }
  return kept;
}

class Reader {
  readonly #bytes: Uint8Array;
  at: number;

  constructor(bytes: Uint8Array, at: number) {
    this.#bytes = bytes;
    this.at = at;
  }

  byte(): number {
    const value = this.#bytes[this.at++];
    if (value === undefined) throw new Unsupported("this Pyodide's main module ends early");
    return value;
  }

  u32(): number {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = this.byte();
      value += (byte & 127) * 2 ** shift;
      if (byte < 128) return value;
    }
  }

  text(): string {
    const bytes = this.u32();
    this.at += bytes;
    return Buffer.from(this.#bytes.buffer, this.#bytes.byteOffset + this.at - bytes, bytes).toString();
  }

  since(start: number): Uint8Array {
    return this.#bytes.subarray(start, this.at);
  }
}

const leb = (value: number): Uint8Array => {
  const out: number[] = [];
  for (let left = value; ; left >>>= 7) {
    if (left < 128) return Uint8Array.from([...out, left]);
    out.push((left & 127) | 128);
  }
};
