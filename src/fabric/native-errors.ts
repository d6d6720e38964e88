/**
 * The errors of the native addon, as classes: one per thing that can go wrong. The addon makes its errors through
 * `createFabricError`, so that what is thrown is already of its class.
 *
 * A class's `code` is stable and part of the interface; the numbers concerned are in snake case with their unit.
 */

export type FabricErrorCode =
  | "BadArgument"
  | "BadImage"
  | "BadMessage"
  | "BadRange"
  | "BadRegion"
  | "BaseMoved"
  | "FabricFull"
  | "FabricPeerLost"
  | "FabricPeerRestarted"
  | "FabricTimedOut"
  | "MemoryCapExceeded"
  | "QuotaExceeded"
  | "SpaceClosed"
  | "StaleMemory"
  | "StrayWrite"
  | "SystemError"
  | "WindowFull";

/** The numbers and names that the addon reports with an error. */
export type FabricErrorValues = Readonly<Record<string, number | string>>;

export abstract class FabricError extends Error {
  abstract readonly code: FabricErrorCode;
  /** Everything that the addon reported; subclasses name what is always there. */
  readonly values: FabricErrorValues;

  constructor(message: string, values: FabricErrorValues = {}) {
    super(message);
    this.name = new.target.name;
    this.values = values;
  }

  protected number(name: string): number {
    const value = this.values[name];
    return typeof value === "number" ? value : Number.NaN;
  }
}

/** An argument of the wrong type or out of range: a mistake of the caller's. */
export class BadArgumentError extends FabricError {
  readonly code = "BadArgument";
}

/** An image or delta file that cannot be used: damaged, of another format version, or not fitting its base. */
export class BadImageError extends FabricError {
  readonly code = "BadImage";
}

/** What another server sent, or a card, cannot be read: damaged, or of another format version. */
export class BadMessageError extends FabricError {
  readonly code = "BadMessage";
}

/** Bytes outside of another server's memory were asked for. Nothing was sent. */
export class BadRangeError extends FabricError {
  readonly code = "BadRange";
  get offset_bytes(): number {
    return this.number("offset_bytes");
  }
  get requested_bytes(): number {
    return this.number("requested_bytes");
  }
  get limit_bytes(): number {
    return this.number("limit_bytes");
  }
}

/** A region that does not exist (any longer), or is not attached. */
export class BadRegionError extends FabricError {
  readonly code = "BadRegion";
  get region(): number {
    return this.number("region");
  }
}

/** A linear memory moved when it grew. Native state cannot follow: discard the sandbox. */
export class BaseMovedError extends FabricError {
  readonly code = "BaseMoved";
}

/** No physical memory is left for regions in this process. */
export class FabricFullError extends FabricError {
  readonly code = "FabricFull";
  get requested_bytes(): number {
    return this.number("requested_bytes");
  }
  get limit_bytes(): number {
    return this.number("limit_bytes");
  }
  get used_bytes(): number {
    return this.number("used_bytes");
  }
}

/** The connection to another server ended, or there is none. What was under way may have been done or not. */
export class FabricPeerLostError extends FabricError {
  readonly code = "FabricPeerLost";
}

/** Another server was started anew: what it held is gone. */
export class FabricPeerRestartedError extends FabricError {
  readonly code = "FabricPeerRestarted";
}

/** Another server did not answer in time. What was asked may have been done or not. */
export class FabricTimedOutError extends FabricError {
  readonly code = "FabricTimedOut";
  get deadline_ms(): number {
    return this.number("deadline_ms");
  }
}

/** A run asked for more region memory than its account allows. */
export class MemoryCapExceededError extends FabricError {
  readonly code = "MemoryCapExceeded";
  get requested_bytes(): number {
    return this.number("requested_bytes");
  }
  get limit_bytes(): number {
    return this.number("limit_bytes");
  }
  get used_bytes(): number {
    return this.number("used_bytes");
  }
}

/** A tenant asked for more memory of another server than its quota allows. */
export class QuotaExceededError extends FabricError {
  readonly code = "QuotaExceeded";
  get requested_bytes(): number {
    return this.number("requested_bytes");
  }
  get limit_bytes(): number {
    return this.number("limit_bytes");
  }
  get used_bytes(): number {
    return this.number("used_bytes");
  }
}

/** A call on a `Space` after its `close()`. */
export class SpaceClosedError extends FabricError {
  readonly code = "SpaceClosed";
}

/** The linear memory grew and `rebind` was not called. */
export class StaleMemoryError extends FabricError {
  readonly code = "StaleMemory";
}

/** A region was written to where it was attached read-only. */
export class StrayWriteError extends FabricError {
  readonly code = "StrayWrite";
  get region(): number {
    return this.number("region");
  }
}

/** The kernel refused a call. `errno_name` says why (`ENOMEM`). */
export class SystemError extends FabricError {
  readonly code = "SystemError";
  get errno(): number {
    return this.number("errno");
  }
  get errno_name(): string {
    return String(this.values["errno_name"] ?? "");
  }
}

/** The window has no free range that is long enough. */
export class WindowFullError extends FabricError {
  readonly code = "WindowFull";
  get requested_bytes(): number {
    return this.number("requested_bytes");
  }
  get limit_bytes(): number {
    return this.number("limit_bytes");
  }
  /** Free in all, in however many pieces. */
  get free_bytes(): number {
    return this.number("free_bytes");
  }
}

type FabricErrorClass = new (message: string, values?: FabricErrorValues) => FabricError;

const classes: Readonly<Record<FabricErrorCode, FabricErrorClass>> = {
  BadArgument: BadArgumentError,
  BadImage: BadImageError,
  BadMessage: BadMessageError,
  BadRange: BadRangeError,
  BadRegion: BadRegionError,
  BaseMoved: BaseMovedError,
  FabricFull: FabricFullError,
  FabricPeerLost: FabricPeerLostError,
  FabricPeerRestarted: FabricPeerRestartedError,
  FabricTimedOut: FabricTimedOutError,
  MemoryCapExceeded: MemoryCapExceededError,
  QuotaExceeded: QuotaExceededError,
  SpaceClosed: SpaceClosedError,
  StaleMemory: StaleMemoryError,
  StrayWrite: StrayWriteError,
  SystemError,
  WindowFull: WindowFullError,
};

/** Called by the addon for each error that it throws. */
export function createFabricError(code: FabricErrorCode, message: string, values: FabricErrorValues): FabricError {
  return new classes[code](message, values);
}
