/**
 * The short way of an answer: a sandbox's thread writes it to a pipe that the cluster reads, instead of waking the dispatcher to pass
 * it on. The dispatcher is told as ever; what it says of the run then comes second, and is no news. docs/architecture.md, "Answers".
 */
import { Buffer } from "node:buffer";
import { writeSync } from "node:fs";
import { InternalError } from "../graph/errors.ts";

/** Of the executor's process: after its standard streams and the channel to the cluster. */
export const ANSWER_FD = 4;
/** A longer one goes the long way. So much is written to a socket as one, whatever other threads write. */
const MAX_FRAME_BYTES = 8192;

export interface Answer {
  readonly run: string;
  readonly cpu_ms: number;
  /** JSON. */
  readonly document: string;
}

const LENGTH_BYTES = 4;
const HEADER_BYTES = LENGTH_BYTES + 8 + 1;

/** A frame: the length of all that follows, the CPU time, the length of the run's name, the name, the document. Undefined if that is too long. */
export function frameOf(run: string, cpu_ms: number, document: Uint8Array): Buffer | undefined {
  const name = Buffer.from(run);
  const frame_bytes = HEADER_BYTES + name.length + document.length;
  if (frame_bytes > MAX_FRAME_BYTES || name.length > 255) return undefined;
  const frame = Buffer.allocUnsafe(frame_bytes);
  frame.writeUInt32LE(frame_bytes - LENGTH_BYTES, 0);
  frame.writeDoubleLE(cpu_ms, LENGTH_BYTES);
  frame.writeUInt8(name.length, HEADER_BYTES - 1);
  name.copy(frame, HEADER_BYTES);
  frame.set(document, HEADER_BYTES + name.length);
  return frame;
}

/** Waits while the pipe is full (some 200 KiB), that is while the cluster reads nothing at all. */
export function writeAnswer(run: string, cpu_ms: number, document: Uint8Array): void {
  const frame = frameOf(run, cpu_ms, document);
  if (frame && writeSync(ANSWER_FD, frame) !== frame.length) throw new InternalError("an answer was written in part");
}

/** Takes frames out of what the pipe gives, which may end anywhere in one. */
export class AnswerReader {
  #rest: Buffer = Buffer.alloc(0);

  push(bytes: Buffer): Answer[] {
    const all = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes]);
    const answers: Answer[] = [];
    let at = 0;
    while (all.length - at >= LENGTH_BYTES) {
      const end = at + LENGTH_BYTES + all.readUInt32LE(at);
      if (end > all.length) break;
      const name_at = at + HEADER_BYTES;
      const document_at = name_at + all.readUInt8(name_at - 1);
      answers.push({
        run: all.toString("utf8", name_at, document_at),
        cpu_ms: all.readDoubleLE(at + LENGTH_BYTES),
        document: all.toString("utf8", document_at, end),
      });
      at = end;
    }
    this.#rest = all.subarray(at);
    return answers;
  }
}
