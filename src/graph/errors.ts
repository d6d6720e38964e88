/**
 * The errors of Sandloom. One class per thing that can go wrong, each with a stable `code`, the values concerned and what to
 * do. An error that crosses a process or thread is sent as {@link ErrorReport} and becomes the same class on the other side.
 */

/** A frame of the user's Python traceback, innermost last. */
export interface GuestFrame {
  readonly file: string;
  readonly line: number;
  readonly function: string;
  readonly text?: string;
}

/** What an error carries when it travels: plain data. */
export interface ErrorReport {
  readonly code: string;
  readonly message: string;
  readonly details: Readonly<Record<string, unknown>>;
}

export class SandloomError extends Error {
  readonly code: string;
  readonly details: Readonly<Record<string, unknown>>;

  constructor(code: string, message: string, details: Readonly<Record<string, unknown>> = {}) {
    super(message);
    this.name = code;
    this.code = code;
    this.details = details;
  }

  toReport(): ErrorReport {
    return { code: this.code, message: this.message, details: this.details };
  }

  static fromReport(report: ErrorReport): SandloomError {
    const known = byCode.get(report.code);
    return known
      ? new known(report.message, report.details)
      : new SandloomError(report.code, report.message, report.details);
  }

  static from(error: unknown): SandloomError {
    if (error instanceof SandloomError) return error;
    const message = error instanceof Error ? (error.stack ?? error.message) : String(error);
    return new InternalError(message);
  }
}

type ErrorClass = new (message: string, details?: Readonly<Record<string, unknown>>) => SandloomError;
const byCode = new Map<string, ErrorClass>();

function define(code: string): ErrorClass {
  const made = class extends SandloomError {
    constructor(message: string, details: Readonly<Record<string, unknown>> = {}) {
      super(code, message, details);
    }
  };
  byCode.set(code, made);
  return made;
}

/** The program raised: `details` has `type`, `message`, `frames` ({@link GuestFrame}[]) and `component`. */
export const GuestRaised: ErrorClass = define("GuestRaised");
/** The program cannot be compiled: `details.refusals` lists file, line, column, rule and fix of each place. */
export const CompileRefused: ErrorClass = define("CompileRefused");
/** A component changed an array that it was not declared to write. */
export const WroteReadOnlyComponent: ErrorClass = define("WroteReadOnlyComponent");
/** A component changed a by-value argument or a module global. */
export const MutatedByValue: ErrorClass = define("MutatedByValue");
/** The run would hold more bytes in memory components than its cap. */
export const MemoryCapExceeded: ErrorClass = define("MemoryCapExceeded");
/** The server has no room for this memory component. */
export const FabricFull: ErrorClass = define("FabricFull");
/** No sandbox may be made, for the executor's memory or their number, and none comes free. */
export const PoolFull: ErrorClass = define("PoolFull");
/** The sandbox's window has no free range of this size. */
export const WindowFull: ErrorClass = define("WindowFull");
/** A component's own heap reached its cap. */
export const HeapCapExceeded: ErrorClass = define("HeapCapExceeded");
/** A component or a run exceeded its time. */
export const TimedOut: ErrorClass = define("TimedOut");
/** The run was cancelled by its caller. */
export const Cancelled: ErrorClass = define("Cancelled");
/** Too many components alive, or nested too deeply. */
export const ComponentLimitExceeded: ErrorClass = define("ComponentLimitExceeded");
/** More output than the cap. */
export const OutputLimitExceeded: ErrorClass = define("OutputLimitExceeded");
/** The sandbox ended (interpreter dead, worker gone): the component with it. */
export const SandboxDied: ErrorClass = define("SandboxDied");
/** A new sandbox's guest could reach what it must not: `details.open` lists it. The sandbox is not used. */
export const SandboxNotSealed: ErrorClass = define("SandboxNotSealed");
/** The executor process ended; its runs with it. */
export const ExecutorDied: ErrorClass = define("ExecutorDied");
/** An image in the cache is damaged: `details.image` is `base` or an application's hash. It is built again. */
export const BadImage: ErrorClass = define("BadImage");
/** The guest made a call that the host does not accept. */
export const BadHostCall: ErrorClass = define("BadHostCall");
/** An argument, option or file of the caller is wrong. */
export const BadInput: ErrorClass = define("BadInput");
/** There is no such function, version or invocation. */
export const NotFound: ErrorClass = define("NotFound");
/** Too much waits already: try again after `details.retry_after_ms`. */
export const Overloaded: ErrorClass = define("Overloaded");
/** What is asked for contradicts what was asked before. */
export const Conflict: ErrorClass = define("Conflict");
/**
 * A requirement of an application cannot be met: `details` has `reason` (`native`, `sdist`, `unknown`, `version`, `base-version`, `python`,
 * `conflict`, `wrong-hash`, ...), `package` or `requirement`, and `limit`, `bound` and `value` where it is one of a limit.
 */
export const RequirementRefused: ErrorClass = define("RequirementRefused");
/** The package index does not answer, or not as one. */
export const PackageIndexFailed: ErrorClass = define("PackageIndexFailed");
/** The machine lacks something that is needed. */
export const Unsupported: ErrorClass = define("Unsupported");
/** A defect of Sandloom. */
export const InternalError: ErrorClass = define("InternalError");
