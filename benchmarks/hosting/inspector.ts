/** V8's profiler in another Node process, its worker threads included, over the inspector's protocol. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Profile } from "./flame-graph.ts";

/** Where Node listens that was told to by a signal. */
const LIST_URL = "http://127.0.0.1:9229/json/list";
const OPENED_MS = 5000;
const ANSWER_MS = 10_000;
/** Threads tell of themselves within this. */
const THREADS_MS = 500;
const INTERVAL_US = 200;

interface Message {
  readonly id?: number;
  readonly method?: string;
  readonly params?: { readonly sessionId?: string; readonly message?: string };
  readonly result?: { readonly profile?: Profile };
  readonly error?: { readonly message: string };
}

type Ask = (method: string, params?: object) => Promise<NonNullable<Message["result"]>>;

export class Inspector implements AsyncDisposable {
  readonly #socket: WebSocket;
  readonly #waiting = new Map<string, (message: Message) => void>();
  readonly #threads: string[] = [];
  #last = 0;

  private constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.addEventListener("message", ({ data }) => this.#heard(JSON.parse(String(data)) as Message));
  }

  /** @throws when the process does not open its inspector, or another one has its port */
  static async attach(pid: number): Promise<Inspector> {
    process.kill(pid, "SIGUSR1");
    const deadline = performance.now() + OPENED_MS;
    let url: string | undefined;
    while (url === undefined) {
      if (performance.now() > deadline) throw new Error(`process ${pid} did not open its inspector`);
      await sleep(100);
      const list = await fetch(LIST_URL).then(
        async (response) => (await response.json()) as { webSocketDebuggerUrl: string }[],
        () => [],
      );
      url = list[0]?.webSocketDebuggerUrl;
    }
    const socket = new WebSocket(url);
    await new Promise((resolve, reject) => {
      socket.addEventListener("open", resolve);
      socket.addEventListener("error", () => reject(new Error(`${url} cannot be opened`)));
    });
    const inspector = new Inspector(socket);
    await inspector.#ask("NodeWorker.enable", { waitForDebuggerOnStart: false });
    await sleep(THREADS_MS);
    return inspector;
  }

  async start(): Promise<void> {
    for (const [, ask] of this.#all()) {
      await ask("Profiler.enable");
      await ask("Profiler.setSamplingInterval", { interval: INTERVAL_US });
      await ask("Profiler.start");
    }
  }

  /** By thread: `dispatcher`, `sandbox-1`... */
  async stop(): Promise<Map<string, Profile>> {
    const profiles = new Map<string, Profile>();
    for (const [name, ask] of this.#all()) {
      const { profile } = await ask("Profiler.stop");
      if (profile) profiles.set(name, profile);
    }
    return profiles;
  }

  #all(): [string, Ask][] {
    return [
      ["dispatcher", (method, params) => this.#ask(method, params)],
      ...this.#threads.map((session, i): [string, Ask] => [
        `sandbox-${i + 1}`,
        (method, params) => this.#ask(method, params, session),
      ]),
    ];
  }

  /** To a thread by way of the process's own session. */
  async #ask(method: string, params: object = {}, session = ""): Promise<NonNullable<Message["result"]>> {
    const id = ++this.#last;
    const key = `${session}:${id}`;
    const answered = new Promise<Message>((resolve) => this.#waiting.set(key, resolve));
    const message = JSON.stringify({ id, method, params });
    this.#socket.send(
      session === ""
        ? message
        : JSON.stringify({
            id: ++this.#last,
            method: "NodeWorker.sendMessageToWorker",
            params: { sessionId: session, message },
          }),
    );
    const late = new AbortController();
    const answer = await Promise.race([answered, sleep(ANSWER_MS, undefined, { signal: late.signal })]);
    late.abort();
    this.#waiting.delete(key);
    if (!answer) throw new Error(`${method} was not answered within ${ANSWER_MS} ms`);
    if (answer.error) throw new Error(`${method}: ${answer.error.message}`);
    return answer.result ?? {};
  }

  #heard({ method, params, ...answer }: Message, session = ""): void {
    if (method === "NodeWorker.attachedToWorker") this.#threads.push(String(params?.sessionId));
    else if (method === "NodeWorker.receivedMessageFromWorker")
      this.#heard(JSON.parse(String(params?.message)) as Message, params?.sessionId);
    else if (answer.id !== undefined) this.#waiting.get(`${session}:${answer.id}`)?.(answer);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#socket.close();
  }
}
