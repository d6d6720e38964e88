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
  /** Turn and owner. */
  state: 2,
  /** The image that is mapped. */
  image: 3,
  /** 1 when the call is in the mailbox. */
  request: 4,
  answer: 5,
  /** Bytes in the mailbox. */
  length: 6,
} as const;
type Word = (typeof SLOT)[keyof typeof SLOT];

/**
 * Who may use a sandbox. Whoever changes it from `idle` has it for one component: the dispatcher, or the sandbox of slot s by
 * `calledBy` + s. Two things end a call: the sandbox is pristine, and the dispatcher has heard of it and attends to it. Whichever
 * is first leaves `leftBy` + s or `dispatcher`, the other `idle`. So what was called unheard stays in its caller's name, and
 * ends with it.
 */
export const OWNER = { absent: 0, idle: 1, dispatcher: 2, calledBy: 3, leftBy: 3 + MAX_SANDBOXES } as const;

/** Components are counted in each sandbox: the same word says which one it is, and whose. */
const OWNER_BITS = 12;
const OWNER_MASK = (1 << OWNER_BITS) - 1;
const TURNS = 1 << (31 - OWNER_BITS);
export const FIRST_TURN = 1;
export const nextTurn = (turn: number): number => (turn + 1) % TURNS;

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

  owner(slot: number): number {
    return this.load(slot, SLOT.state) & OWNER_MASK;
  }

  /** Takes the sandbox if it stands idle. @returns the turn of the component that may now run */
  take(slot: number, owner: number = OWNER.dispatcher): number | undefined {
    const state = this.load(slot, SLOT.state);
    const turn = nextTurn(state >> OWNER_BITS);
    const taken = (state & OWNER_MASK) === OWNER.idle && this.#change(slot, state, turn, owner);
    return taken ? turn : undefined;
  }

  /** The slot of who called it, while the dispatcher has not heard of that. */
  caller(slot: number): number | undefined {
    const owner = this.owner(slot);
    if (owner < OWNER.calledBy) return undefined;
    return owner < OWNER.leftBy ? owner - OWNER.calledBy : owner - OWNER.leftBy;
  }

  /** It is pristine: whoever wants it may have it, unless it is given up, or the dispatcher has not heard yet what ran in it. */
  giveBack(slot: number): void {
    const state = this.load(slot, SLOT.state);
    const owner = state & OWNER_MASK;
    if (owner === OWNER.absent) return;
    const next = owner === OWNER.dispatcher ? OWNER.idle : owner - OWNER.calledBy + OWNER.leftBy;
    if (!this.#change(slot, state, state >> OWNER_BITS, next)) this.giveBack(slot);
  }

  /** The dispatcher has heard who called it. */
  adopt(slot: number): void {
    const state = this.load(slot, SLOT.state);
    const owner = state & OWNER_MASK;
    if (owner < OWNER.calledBy) return;
    const next = owner < OWNER.leftBy ? OWNER.dispatcher : OWNER.idle;
    if (!this.#change(slot, state, state >> OWNER_BITS, next)) this.adopt(slot);
  }

  /** Nobody gets it any more. @returns false if that turn is over, and the sandbox somebody else's */
  giveUp(slot: number, turn?: number): boolean {
    const state = this.load(slot, SLOT.state);
    if (turn !== undefined && (turn !== state >> OWNER_BITS || (state & OWNER_MASK) === OWNER.idle)) return false;
    return this.#change(slot, state, state >> OWNER_BITS, OWNER.absent) || this.giveUp(slot, turn);
  }

  #change(slot: number, state: number, turn: number, owner: number): boolean {
    const next = (turn << OWNER_BITS) | owner;
    return Atomics.compareExchange(this.#words, slot * SLOT_WORDS + SLOT.state, state, next) === state;
  }

  /** Takes any idle sandbox that has the image mapped, for `caller`. */
  call(caller: number, image: number): { readonly callee: number; readonly turn: number } | undefined {
    const used = Atomics.load(this.#words, USED_WORD);
    for (let callee = 0; callee < used; callee++) {
      if (this.load(callee, SLOT.image) !== image) continue;
      const turn = this.take(callee, OWNER.calledBy + caller);
      if (turn === undefined) continue;
      // It may have run between the look at its image and the taking; its next component then has this turn.
      if (this.load(callee, SLOT.image) === image) return { callee, turn };
      this.store(callee, SLOT.state, (((turn + TURNS - 1) % TURNS) << OWNER_BITS) | OWNER.idle);
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
