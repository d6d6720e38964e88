/** The live view: lines as they come, and on a terminal one status line below them that is written over. */
import type { Output } from "./terminal.ts";
import { widthOf } from "./text/paint.ts";

const TERMINAL_EVERY_MS = 100;
const PLAIN_EVERY_MS = 5_000;

export class LiveView implements Disposable {
  readonly #output: Output;
  readonly #status: () => string | undefined;
  readonly #timer: NodeJS.Timeout;
  #shown = "";

  /** `status` is asked for the text of the status line, without one when there is nothing to say. */
  constructor(output: Output, status: () => string | undefined) {
    this.#output = output;
    this.#status = status;
    this.#timer = setInterval(() => this.#refresh(), output.isTTY ? TERMINAL_EVERY_MS : PLAIN_EVERY_MS);
    this.#timer.unref();
  }

  /** Writes whole lines above the status line. */
  print(text: string): void {
    const shown = this.#shown;
    this.#clear();
    this.#output.write(`${text}\n`);
    if (shown !== "") this.#show(shown);
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    this.#clear();
  }

  #refresh(): void {
    const status = this.#status();
    if (status === undefined) return;
    if (!this.#output.isTTY) return this.#output.write(`${status}\n`);
    // A line that wraps cannot be written over.
    if (widthOf(status) >= this.#output.columns) return this.#clear();
    this.#clear();
    this.#show(status);
  }

  #show(status: string): void {
    this.#output.write(status);
    this.#shown = status;
  }

  #clear(): void {
    if (this.#shown === "") return;
    this.#output.write("\r\u001B[K");
    this.#shown = "";
  }
}
