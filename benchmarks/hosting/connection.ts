/**
 * One kept connection to an HTTP server. A request is bytes that were made before the clock starts, its answer is over with the
 * last byte of its body: a client that parses more would be part of what is measured.
 */
import { connect, type Socket } from "node:net";

export interface Answer {
  readonly status: number;
  /** Status line and headers. */
  readonly head: string;
  readonly body: string;
  /** From before the request is written to the arrival of its answer's last byte. */
  readonly ms: number;
}

const ANSWER_DEADLINE_MS = 60_000;
const HEAD_END = "\r\n\r\n";

export class Connection {
  readonly #socket: Socket;
  #received: Buffer = Buffer.alloc(0);
  #started = 0;
  #waiting: PromiseWithResolvers<Answer> | undefined;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.setNoDelay(true);
    socket.setTimeout(ANSWER_DEADLINE_MS, () => {
      if (this.#waiting) socket.destroy(new Error(`no answer in ${ANSWER_DEADLINE_MS / 1000} s`));
    });
    socket.on("data", (chunk: Buffer) => this.#receive(chunk));
    socket.on("error", (error) => this.#fail(error));
    socket.on("close", () => this.#fail(new Error("the server closed the connection")));
  }

  static async open(url: string): Promise<Connection> {
    const { hostname, port } = new URL(url);
    const socket = connect({ host: hostname, port: Number(port) });
    await new Promise<void>((resolve, reject) => {
      socket.once("connect", resolve);
      socket.once("error", reject);
    });
    return new Connection(socket);
  }

  /** One at a time. */
  ask(request: Buffer): Promise<Answer> {
    if (this.#waiting) throw new Error("the connection waits for an answer already");
    const waiting = (this.#waiting = Promise.withResolvers<Answer>());
    this.#received = Buffer.alloc(0);
    this.#started = performance.now();
    this.#socket.write(request);
    return waiting.promise;
  }

  close(): void {
    this.#socket.destroy();
  }

  #receive(chunk: Buffer): void {
    this.#received = this.#received.length === 0 ? chunk : Buffer.concat([this.#received, chunk]);
    const headEnd = this.#received.indexOf(HEAD_END);
    if (headEnd < 0) return;
    const head = this.#received.toString("latin1", 0, headEnd);
    const length = /\r\ncontent-length: (\d+)/i.exec(head)?.[1];
    if (length === undefined) return this.#fail(new Error(`the answer does not say how long it is:\n${head}`));
    const bodyStart = headEnd + HEAD_END.length;
    if (this.#received.length < bodyStart + Number(length)) return;
    const ms = performance.now() - this.#started;
    const body = this.#received.toString("utf8", bodyStart);
    const waiting = this.#waiting;
    this.#waiting = undefined;
    waiting?.resolve({ status: Number(head.slice(9, 12)), head, body, ms });
  }

  #fail(error: Error): void {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    waiting?.reject(error);
  }
}

/** The bytes of a request; `body` is JSON. */
export function requestOf(method: "GET" | "POST", path: string, body?: string): Buffer {
  const content =
    body === undefined ? "" : `content-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\n`;
  return Buffer.from(`${method} ${path} HTTP/1.1\r\nhost: 127.0.0.1\r\n${content}\r\n${body ?? ""}`);
}
