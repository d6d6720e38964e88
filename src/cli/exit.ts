/** What the command's exit code means. */
import { SandloomError } from "../graph/errors.ts";

export const EXIT = { ok: 0, raised: 1, usage: 2, limit: 3, system: 4, interrupted: 130 } as const;
export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

export const EXIT_CODES_HELP: string = `Exit codes:
  0    it worked
  1    the program raised, or broke a rule of the programming model while it ran
  2    usage: a bad option, event, file or folder, or a program that cannot be compiled
  3    a limit was exceeded: time, memory, components, output
  4    the system failed: unsupported machine, an executor that died, a defect
  130  interrupted by Ctrl-C or SIGTERM`;

const codes: Readonly<Record<string, ExitCode>> = {
  GuestRaised: EXIT.raised,
  WroteReadOnlyComponent: EXIT.raised,
  MutatedByValue: EXIT.raised,
  MutatedGlobal: EXIT.raised,
  UnsupportedValue: EXIT.raised,
  ResultNotJson: EXIT.raised,
  WritesNeedRemote: EXIT.raised,
  ComponentRaised: EXIT.raised,
  BadHostCall: EXIT.raised,
  CompileRefused: EXIT.usage,
  RequirementRefused: EXIT.usage,
  BadInput: EXIT.usage,
  NotFound: EXIT.usage,
  Conflict: EXIT.usage,
  Unauthorized: EXIT.usage,
  Forbidden: EXIT.usage,
  RequestTooLarge: EXIT.usage,
  MemoryCapExceeded: EXIT.limit,
  FabricFull: EXIT.limit,
  BlockTooLarge: EXIT.limit,
  WindowFull: EXIT.limit,
  HeapCapExceeded: EXIT.limit,
  TimedOut: EXIT.limit,
  Overloaded: EXIT.limit,
  ComponentLimitExceeded: EXIT.limit,
  OutputLimitExceeded: EXIT.limit,
  Cancelled: EXIT.interrupted,
};

export function exitCodeOf(error: unknown): ExitCode {
  if (!(error instanceof SandloomError)) return EXIT.system;
  return codes[error.code] ?? EXIT.system;
}
