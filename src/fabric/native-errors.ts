/**
 * The errors of the native addon, as classes: one per thing that can go wrong. The addon makes its errors through
 * `createFabricError`, so that what is thrown is already of its class.
 *
 * A class's `code` is stable and part of the interface; the numbers concerned are in snake case with their unit.
 */

export type FabricErrorCode =
  | "BadArgument"
  | "BadImage"
  | "BadRegion"
  | "BaseMoved"
  | "FabricFull"
  | "MemoryCapExceeded"
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
  BadRegion: BadRegionError,
  BaseMoved: BaseMovedError,
  FabricFull: FabricFullError,
  MemoryCapExceeded: MemoryCapExceededError,
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
