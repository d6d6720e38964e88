/** The streams and the surroundings of one command, so that a command can be run with others than the process's. */
import { text } from "node:stream/consumers";
import { type Paint, paintFor } from "./text/paint.ts";

const COLUMNS_WITHOUT_TERMINAL = 100;

export interface Terminal {
  /** Results, and nothing else. */
  readonly out: Output;
  /** What a person reads. */
  readonly err: Output;
  readonly cwd: string;
  readStdin(): Promise<string>;
  /** Calls back at every SIGINT and SIGTERM until disposed. */
  onInterrupt(listener: (signal: "SIGINT" | "SIGTERM") => void): Disposable;
  /** Ends the process at once. */
  exit(code: number): void;
}

export interface Output {
  readonly isTTY: boolean;
  readonly columns: number;
  readonly paint: Paint;
  write(text: string): void;
}

export function processTerminal(): Terminal {
  return {
    out: outputOf(process.stdout),
    err: outputOf(process.stderr),
    cwd: process.cwd(),
    readStdin: () => text(process.stdin),
    onInterrupt(listener) {
      const signals = ["SIGINT", "SIGTERM"] as const;
      for (const signal of signals) process.on(signal, listener);
      return {
        [Symbol.dispose]() {
          for (const signal of signals) process.off(signal, listener);
        },
      };
    },
    exit: (code) => process.exit(code),
  };
}

function outputOf(stream: NodeJS.WriteStream): Output {
  let open = true;
  // Whoever reads went away (`| head`): what is left to say is said to nobody, and the command ends as it would.
  stream.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE") throw error;
    open = false;
  });
  return {
    isTTY: stream.isTTY ?? false,
    get columns() {
      return stream.columns ?? COLUMNS_WITHOUT_TERMINAL;
    },
    paint: paintFor(stream),
    write(text) {
      if (open) stream.write(text);
    },
  };
}
