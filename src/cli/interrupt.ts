/** Ctrl-C and SIGTERM: the first cancels what runs, the second ends the process at once. */
import { Cancelled } from "../graph/errors.ts";
import { EXIT } from "./exit.ts";
import type { Terminal } from "./terminal.ts";

export class Interrupt implements Disposable {
  readonly #controller: AbortController = new AbortController();
  readonly #listening: Disposable;

  /** `announce` tells the person that the command is being cancelled. */
  constructor(terminal: Terminal, announce: (text: string) => void) {
    this.#listening = terminal.onInterrupt((signal) => {
      if (this.signal.aborted) return terminal.exit(EXIT.interrupted);
      announce(signal === "SIGINT" ? "cancelling (Ctrl-C again ends at once)" : "cancelling");
      this.#controller.abort(new Cancelled(signal === "SIGINT" ? "interrupted by Ctrl-C" : `interrupted by ${signal}`));
    });
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Throws `Cancelled` after an interrupt. */
  check(): void {
    this.signal.throwIfAborted();
  }

  [Symbol.dispose](): void {
    this.#listening[Symbol.dispose]();
  }
}
