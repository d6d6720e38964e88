/**
 * Memory that the sandboxes of a process share with its dispatcher: for each a slot with the words by which threads wake each
 * other, and a mailbox. By it a component that calls another and waits for it hands the call, and its CPU, straight to a sandbox
 * that stands idle (docs/architecture.md, "Direct calls").
 */
import { ComponentLimitExceeded } from "../graph/errors.ts";

/** Sandboxes of one process; more than its memory holds. */
export const MAX_SANDBOXES = 1024;
/** A call or an answer that is longer goes by the dispatcher. */
export const MAILBOX_BYTES: number = 16 * 1024;

/** The words of a slot. */
export const SLOT = {
  /** Changes whenever there may be something new; who sleeps, sleeps on it. */
  wake: 0,
  /** Not 0: whatever the sandbox does is in vain. */
  cancel: 1,
  owner: 2,
  /** The image that is mapped. */
  image: 3,
  /** 1 when the call is in the mailbox. */
  request: 4,
  answer: 5,
  /** Bytes in the mailbox. */
  length: 6,
  /** A signal's number for the Python code that runs there. */
  signal: 7,
  /** MiB of its memory, the window left out, if components made it grow; else 0. */
  grown_mib: 8,
} as const;
type Word = (typeof SLOT)[keyof typeof SLOT];

/**
 * Who may use a sandbox. Whoever changes it from `idle` has it for one component: the dispatcher, or the sandbox of slot s by
 * `calledBy` + s. The dispatcher takes it over from its caller when it hears of the call, and makes it idle when it hears that it is
 * pristine. So nobody gets a sandbox of which something is unheard, and what was called unheard is in its caller's name, and ends
 * with it.
 */
export const OWNER = { absent: 0, idle: 1, dispatcher: 2, calledBy: 3 } as const;

/** `here`: in the caller's mailbox. `elsewhere`: the dispatcher brings it. */
export const ANSWER = { none: 0, here: 1, elsewhere: 2 } as const;

/** Words of a slot: one cache line, so that threads do not disturb each other. */
const SLOT_WORDS = 16;
/** Of the first slot: how many slots have ever been used. */
const USED_WORD = SLOT_WORDS - 1;

export class Exchange {
  readonly buffer: SharedArrayBuffer;
  readonly #words: Int32Array;
  readonly #mailboxes: Uint8Array;
  readonly #free: number[] = [];

  /** Without a buffer: a new one, whose slots the caller's thread hands out. */
  constructor(buffer?: SharedArrayBuffer) {
    const words_bytes = MAX_SANDBOXES * SLOT_WORDS * Int32Array.BYTES_PER_ELEMENT;
    this.buffer = buffer ?? new SharedArrayBuffer(words_bytes + MAX_SANDBOXES * MAILBOX_BYTES);
    this.#words = new Int32Array(this.buffer, 0, MAX_SANDBOXES * SLOT_WORDS);
    this.#mailboxes = new Uint8Array(this.buffer, words_bytes);
  }

  /** A slot for a new sandbox. */
  open(): number {
    const used = this.#words[USED_WORD] as number;
    const slot = this.#free.pop() ?? used;
    if (slot >= MAX_SANDBOXES)
      throw new ComponentLimitExceeded(
        `${MAX_SANDBOXES} sandboxes are alive in one executor, and that is the most: run fewer things at once`,
        { limit: "sandboxes", bound: MAX_SANDBOXES, value: MAX_SANDBOXES + 1 },
      );
    if (slot === used) Atomics.store(this.#words, USED_WORD, used + 1);
    for (const word of Object.values(SLOT)) this.store(slot, word, 0);
    return slot;
  }

  /** The sandbox of this slot is gone, and its thread. */
  close(slot: number): void {
    this.#free.push(slot);
  }

  load(slot: number, word: Word): number {
    return Atomics.load(this.#words, slot * SLOT_WORDS + word);
  }

  store(slot: number, word: Word, value: number): void {
    Atomics.store(this.#words, slot * SLOT_WORDS + word, value);
  }

  /** Sets the word to 0. @returns what it was. */
  clear(slot: number, word: Word): number {
    return Atomics.exchange(this.#words, slot * SLOT_WORDS + word, 0);
  }

  wake(slot: number): void {
    const index = slot * SLOT_WORDS + SLOT.wake;
    Atomics.add(this.#words, index, 1);
    Atomics.notify(this.#words, index);
  }

  /** Sleeps while the slot's wake word is `seen`, so look at it first, then for work, then sleep. */
  sleep(slot: number, seen: number, timeout_ms: number = Number.POSITIVE_INFINITY): void {
    Atomics.wait(this.#words, slot * SLOT_WORDS + SLOT.wake, seen, timeout_ms);
  }

  /** The word as a buffer of one, which Python's interpreter looks at between instructions. */
  signalBuffer(slot: number): Int32Array {
    return this.#words.subarray(slot * SLOT_WORDS + SLOT.signal, slot * SLOT_WORDS + SLOT.signal + 1);
  }

  owner(slot: number): number {
    return this.load(slot, SLOT.owner);
  }

  /** It goes from one owner to another, unless it was not the first one's. @returns whether it was */
  pass(slot: number, from: number, to: number): boolean {
    return Atomics.compareExchange(this.#words, slot * SLOT_WORDS + SLOT.owner, from, to) === from;
  }

  /** Takes any idle sandbox that has the image mapped, for `caller`. @returns its slot */
  call(caller: number, image: number): number | undefined {
    const used = Atomics.load(this.#words, USED_WORD);
    for (let callee = 0; callee < used; callee++) {
      if (this.load(callee, SLOT.image) !== image || !this.pass(callee, OWNER.idle, OWNER.calledBy + caller)) continue;
      if (this.load(callee, SLOT.image) === image) return callee;
      // It ran another image's component between the look and the taking.
      this.pass(callee, OWNER.calledBy + caller, OWNER.idle);
    }
    return undefined;
  }

  write(slot: number, bytes: Uint8Array): void {
    this.#mailboxes.set(bytes, slot * MAILBOX_BYTES);
    this.store(slot, SLOT.length, bytes.length);
  }

  /** A copy of what is in the mailbox. */
  read(slot: number): Uint8Array {
    const start = slot * MAILBOX_BYTES;
    return this.#mailboxes.slice(start, start + this.load(slot, SLOT.length));
  }
}
