/** A client of the server's HTTP API, as far as the commands use it; its errors are those of the Node API. */
import { EventSourceParserStream } from "eventsource-parser/stream";
import { BadInput, SandloomError } from "../../graph/errors.ts";

export const DEFAULT_PORT = 7878;
const DEFAULT_SERVER = `http://127.0.0.1:${DEFAULT_PORT}`;

export interface ServerFlags {
  /** As commander hands it over. */
  server?: string;
}

interface ProblemDocument {
  readonly code?: string;
  readonly detail?: string;
  readonly invocation?: string;
  readonly traceback?: readonly unknown[];
  readonly details?: Readonly<Record<string, unknown>>;
}

export interface Told {
  readonly event: string;
  readonly data: unknown;
}

export class Client {
  readonly #server: string;
  readonly #token: string | undefined;
  readonly #signal: AbortSignal;

  /** The server is `--server`, else `SANDLOOM_SERVER`, else the default port here; the token `SANDLOOM_TOKEN`. */
  constructor({ server }: ServerFlags, signal: AbortSignal) {
    const url = server ?? process.env["SANDLOOM_SERVER"] ?? DEFAULT_SERVER;
    if (!URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol))
      throw new BadInput(`--server ${url}: write it as ${DEFAULT_SERVER}`, { server: url });
    this.#server = url.replace(/\/+$/, "");
    this.#token = process.env["SANDLOOM_TOKEN"];
    this.#signal = signal;
  }

  /** @throws what the server's problem says */
  async request<T>(
    method: string,
    path: string,
    options: { body?: string; headers?: Record<string, string> } = {},
  ): Promise<T> {
    const response = await this.#fetch(method, path, options);
    const text = await response.text();
    return (text === "" ? undefined : JSON.parse(text)) as T;
  }

  /** The events of an answer that goes on, until it ends. */
  async *stream(method: string, path: string, options: { body?: string } = {}): AsyncGenerator<Told> {
    const { body } = await this.#fetch(method, path, { ...options, headers: { accept: "text/event-stream" } });
    if (!body) return;
    const events = body.pipeThrough(new TextDecoderStream()).pipeThrough(new EventSourceParserStream());
    for await (const { event = "message", data } of events) yield { event, data: JSON.parse(data) as unknown };
  }

  async #fetch(
    method: string,
    path: string,
    { body, headers = {} }: { body?: string; headers?: Record<string, string> },
  ): Promise<Response> {
    const response = await fetch(this.#server + path, {
      method,
      signal: this.#signal,
      headers: {
        ...headers,
        ...(body === undefined ? {} : { "content-type": "application/json" }),
        ...(this.#token === undefined ? {} : { authorization: `Bearer ${this.#token}` }),
      },
      ...(body === undefined ? {} : { body }),
    }).catch((error: unknown) => {
      this.#signal.throwIfAborted();
      const cause = (error as { cause?: { code?: string } }).cause?.code ?? (error as Error).message;
      throw new BadInput(
        `no server answers at ${this.#server} (${cause}): start one with 'sandloom serve', or name it with --server`,
        {
          server: this.#server,
        },
      );
    });
    if (response.ok) return response;
    throw errorOf((await response.json().catch(() => ({}))) as ProblemDocument, response.status);
  }
}

export function errorOf(problem: ProblemDocument, status = 500): SandloomError {
  const {
    code = "InternalError",
    detail = `the server answered ${status}`,
    details = {},
    traceback,
    invocation,
  } = problem;
  return SandloomError.fromReport({
    code,
    message: detail,
    details: { ...details, ...(traceback ? { frames: traceback } : {}), ...(invocation ? { invocation } : {}) },
  });
}

/** `name` or `name@version`. */
export function parseTarget(text: string): { name: string; version?: number } {
  const [, name, version] = /^([A-Za-z][\w-]{0,63})(?:@(\d+))?$/.exec(text) ?? [];
  if (name === undefined) throw new BadInput(`${text} is no function: write name or name@version`, { target: text });
  return version === undefined ? { name } : { name, version: Number(version) };
}
