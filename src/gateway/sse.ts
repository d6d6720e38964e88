/** Server-sent events: an answer that goes on. */
import type { FastifyReply } from "fastify";

/** Proxies close a connection on which nothing comes. */
const KEEP_ALIVE_MS = 15_000;
export class EventStream {
  readonly #reply: FastifyReply;
  readonly #unread_bytes: number;
  readonly #timer: NodeJS.Timeout;

  /** `unread_bytes`: a client that does not read what it asked for loses the connection when so much waits for it. */
  constructor(reply: FastifyReply, unread_bytes: number, headers: Readonly<Record<string, string>> = {}) {
    this.#unread_bytes = unread_bytes;
    this.#reply = reply;
    reply.hijack();
    reply.raw.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store", ...headers });
    reply.raw.flushHeaders();
    this.#timer = setInterval(() => reply.raw.write(":\n\n"), KEEP_ALIVE_MS);
    reply.raw.once("close", () => clearInterval(this.#timer));
  }

  send(event: string, data: unknown, id?: number): void {
    if (this.#reply.raw.writableLength > this.#unread_bytes) {
      this.#reply.raw.destroy();
      return;
    }
    const numbered = id === undefined ? "" : `id: ${id}\n`;
    this.#reply.raw.write(
      `${numbered}event: ${event}\ndata: ${typeof data === "string" ? data : JSON.stringify(data)}\n\n`,
    );
  }

  end(): void {
    clearInterval(this.#timer);
    this.#reply.raw.end();
  }
}
