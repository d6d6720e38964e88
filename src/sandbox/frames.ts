/** The binary frames between guest and host (docs/architecture.md, "Guest and host: one device file"). */
import { Buffer } from "node:buffer";
import type { ErrorReport } from "../graph/errors.ts";
import type { RegionUse } from "./messages.ts";

export const OP = {
  allocate: 1,
  attach: 2,
  detach: 3,
  trigger: 4,
  join: 5,
  split: 6,
  result: 7,
  raise: 8,
  start: 9,
  wait: 10,
  call: 11,
  publish: 12,
  sleep: 13,
  hear: 14,
  adopt: 15,
} as const;

export const HEADER_BYTES = 16;

/** Reads one request; the guest may have written anything, so every read is bounded. */
export class FrameReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at = HEADER_BYTES;

  constructor(bytes: Uint8Array) {
    if (bytes.length < HEADER_BYTES) throw new RangeError(`a frame of ${bytes.length} bytes has no header`);
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  }

  get op(): number {
    return this.#bytes[0] as number;
  }
  get a(): number {
    return this.#view.getUint32(4, true);
  }
  get b(): number {
    return this.#view.getUint32(8, true);
  }

  u32(): number {
    const value = this.#view.getUint32(this.#at, true);
    this.#at += 4;
    return value;
  }

  u64(): number {
    const value = Number(this.#view.getBigUint64(this.#at, true));
    this.#at += 8;
    return value;
  }

  text(bytes: number): string {
    return Buffer.from(this.take(bytes)).toString("utf8");
  }

  /** The next bytes, not copied. */
  take(bytes: number): Uint8Array {
    if (this.#at + bytes > this.#bytes.length)
      throw new RangeError(`a frame ends ${this.#at + bytes - this.#bytes.length} bytes early`);
    const out = this.#bytes.subarray(this.#at, this.#at + bytes);
    this.#at += bytes;
    return out;
  }

  /** All that is left, copied out of linear memory. */
  rest(): Uint8Array {
    return this.take(this.#bytes.length - this.#at).slice();
  }

  regions(): RegionUse[] {
    const count = this.u32();
    if (count * 8 > this.#bytes.length)
      throw new RangeError(`a frame names ${count} regions and is too short for them`);
    return Array.from({ length: count }, () => ({ region: this.u32(), writable: this.u32() !== 0 }));
  }
}

const OK_EMPTY: Uint8Array = new Uint8Array(8);

export function replyWords(...words: readonly number[]): Uint8Array {
  if (words.length === 0) return OK_EMPTY;
  return new Uint8Array(Uint32Array.of(0, words.length * 4, ...words).buffer);
}

/** A region that the host has mapped for the guest with the message that names it. */
export interface Mapped {
  readonly region: number;
  readonly address: number;
  readonly bytes: number;
}

interface Message {
  readonly words?: readonly number[];
  readonly texts?: readonly Uint8Array[];
  readonly regions: readonly RegionUse[];
  readonly mapped?: readonly Mapped[];
  readonly payload: Uint8Array;
}

/** Words, texts with their lengths, a region table, what is mapped of it, and a payload. */
export function replyMessage({ words = [], texts = [], regions, mapped = [], payload }: Message): Uint8Array {
  let body_bytes = words.length * 4 + 4 + regions.length * 8 + 4 + mapped.length * 12 + payload.length;
  for (const text of texts) body_bytes += 4 + text.length;
  const out = new Uint8Array(8 + body_bytes);
  const view = new DataView(out.buffer);
  view.setUint32(4, body_bytes, true);
  let at = 8;
  const put = (value: number): void => {
    view.setUint32(at, value, true);
    at += 4;
  };
  words.forEach(put);
  for (const text of texts) {
    put(text.length);
    out.set(text, at);
    at += text.length;
  }
  put(regions.length);
  for (const { region, writable } of regions) {
    put(region);
    put(writable ? 1 : 0);
  }
  put(mapped.length);
  for (const { region, address, bytes } of mapped) [region, address, bytes].forEach(put);
  out.set(payload, at);
  return out;
}

/** Reads a region table: a count, then pairs of words. */
function regionsAt(view: DataView, at: number): RegionUse[] {
  return Array.from({ length: view.getUint32(at, true) }, (_, index) => ({
    region: view.getUint32(at + 4 + index * 8, true),
    writable: view.getUint32(at + 8 + index * 8, true) !== 0,
  }));
}

/** What a component came to, on its way from one sandbox to another. */
export interface DirectAnswer {
  readonly raised: boolean;
  readonly regions: readonly RegionUse[];
  readonly payload: Uint8Array;
}

export const encodeAnswer = ({ raised, regions, payload }: DirectAnswer): Uint8Array =>
  replyMessage({ words: [raised ? 1 : 0], regions, payload });

export function decodeAnswer(bytes: Uint8Array): DirectAnswer {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const regions = regionsAt(view, 12);
  return { raised: view.getUint32(8, true) !== 0, regions, payload: bytes.subarray(20 + regions.length * 8) };
}

/** A call on its way from one sandbox to another: a message under the callee's name, and the run's settings before it. */
export interface DirectCall {
  /** Slot of the sandbox that waits for the answer. */
  readonly caller: number;
  readonly name: string;
  readonly regions: readonly RegionUse[];
  readonly heap_bytes: number;
  /** The other settings, in JSON: the same text for every call of a run. */
  readonly settings: Uint8Array;
  readonly payload: Uint8Array;
}

const CALL_HEADER_BYTES = 16;

export function encodeCall({ caller, name, regions, heap_bytes, settings, payload }: DirectCall): Uint8Array {
  const message = replyMessage({ texts: [Buffer.from(name)], regions, payload });
  const out = new Uint8Array(CALL_HEADER_BYTES + settings.length + message.length);
  const view = new DataView(out.buffer);
  view.setFloat64(0, heap_bytes, true);
  view.setUint32(8, caller, true);
  view.setUint32(12, settings.length, true);
  out.set(settings, CALL_HEADER_BYTES);
  out.set(message, CALL_HEADER_BYTES + settings.length);
  return out;
}

export function decodeCall(bytes: Uint8Array): DirectCall {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const settings = bytes.subarray(CALL_HEADER_BYTES, CALL_HEADER_BYTES + view.getUint32(12, true));
  let at = CALL_HEADER_BYTES + settings.length + 8;
  const name_bytes = view.getUint32(at, true);
  const name = Buffer.from(bytes.subarray(at + 4, at + 4 + name_bytes)).toString();
  at += 4 + name_bytes;
  const regions = regionsAt(view, at);
  return {
    caller: view.getUint32(8, true),
    name,
    regions,
    heap_bytes: view.getFloat64(0, true),
    settings,
    payload: bytes.subarray(at + 8 + regions.length * 8),
  };
}

export function replyError(error: ErrorReport): Uint8Array {
  const body = Buffer.from(JSON.stringify(error));
  const out = new Uint8Array(8 + body.length);
  const view = new DataView(out.buffer);
  view.setUint32(0, 1, true);
  view.setUint32(4, body.length, true);
  out.set(body, 8);
  return out;
}
