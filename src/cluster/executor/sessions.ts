/**
 * Sessions: sandboxes that keep their state from one piece of work to the next, each held by one client until it closes it. They take no
 * part in admission: what a session does, it does on the CPU's spare time as any thread.
 */
import { NotFound, OutputLimitExceeded, SandloomError, TimedOut } from "../../graph/errors.ts";
import type { SandboxCell } from "../../sandbox/cell.ts";
import { ENTRY_KIND, type FromSandbox, type RunSettings, NO_ACCOUNT } from "../../sandbox/messages.ts";
import type { Images } from "./images.ts";
import type { CellPool } from "./pool.ts";
import type { FromExecutor, SessionLimits } from "./protocol.ts";

/** SIGINT: a KeyboardInterrupt. */
const INTERRUPT = 2;

interface Session {
  readonly application: string;
  readonly image: number;
  readonly cell: SandboxCell;
  readonly settings: RunSettings;
  readonly limits: SessionLimits;
  /** Why it is over, if it ended by itself. */
  death: SandloomError | undefined;
}

export interface SessionTask {
  readonly document: string;
  readonly timeout_ms: number;
  /** Where the pages that differ from the base are written. */
  readonly deltaPath?: string;
}

export class Sessions {
  readonly #pool: CellPool;
  readonly #images: Images;
  readonly #send: (message: FromExecutor) => void;
  readonly #open = new Map<string, Session>();

  constructor(pool: CellPool, images: Images, send: (message: FromExecutor) => void) {
    this.#pool = pool;
    this.#images = images;
    this.#send = send;
  }

  get size(): number {
    return this.#open.size;
  }

  async open(id: string, application: string, limits: SessionLimits, environment?: string): Promise<void> {
    const image = await this.#images.hold(application);
    // One more than the runs need, as long as the session has it.
    this.#pool.min_warm++;
    const cell = await this.#take(image, limits.heap_bytes).catch((error: unknown) => {
      this.#pool.min_warm--;
      this.#images.release(application);
      throw error;
    });
    this.#pool.tend();
    const packages = this.#images.packagesOf(application);
    const settings: RunSettings = {
      run: -1,
      account: NO_ACCOUNT,
      mounts: [],
      ...(packages ? { packages } : {}),
      heap_bytes: limits.heap_bytes,
      file_bytes: limits.file_bytes,
      message_bytes: limits.message_bytes,
      ...(environment === undefined ? {} : { environment }),
    };
    this.#open.set(id, { application, image, cell, settings, limits, death: undefined });
  }

  /** Carries one task out. @throws what it raised; TimedOut and whatever else ends the session */
  async run(id: string, { document, timeout_ms, deltaPath }: SessionTask): Promise<string> {
    const session = this.#session(id);
    const { cell, image, settings, limits } = session;
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    promise.catch(() => undefined); // awaited below, but perhaps after it was rejected
    let output_bytes = 0;
    const listener = (message: FromSandbox): void => {
      if (message.type === "print") {
        output_bytes += message.text.length;
        this.#send({ type: "session-output", session: id, stream: message.stream, text: message.text });
        if (output_bytes > limits.output_bytes)
          end(
            new OutputLimitExceeded(`more than ${limits.output_bytes} bytes of output`, {
              limit: "output_bytes",
              bound: limits.output_bytes,
              value: output_bytes,
            }),
          );
      }
      if (message.type !== "ended") return;
      const { result } = message;
      if (result.outcome === "returned") resolve(Buffer.from(result.payload).toString("utf8"));
      else if (result.outcome === "raised") reject(SandloomError.fromReport(result.report));
      else end(SandloomError.fromReport(result.report));
    };
    const end = (death: SandloomError): void => {
      reject(session.death ?? death);
      if (session.death) return;
      session.death = death;
      void this.#discard(session);
    };
    const timer = setTimeout(
      () => end(new TimedOut(`it took longer than ${timeout_ms} ms`, { limit: "timeout_ms", bound: timeout_ms })),
      timeout_ms,
    );
    const extra = deltaPath === undefined ? {} : { deltaPath };
    const payload = Buffer.from(document);
    const task = {
      type: "run",
      image,
      kind: ENTRY_KIND.session,
      name: "session",
      payload,
      regions: [],
      settings,
    } as const;
    const over = cell.run({ ...task, keep: true, ...extra }, listener);
    over.catch((error: unknown) => end(SandloomError.from(error)));
    try {
      const answer = await promise;
      await over;
      return answer;
    } finally {
      clearTimeout(timer);
    }
  }

  interrupt(id: string): void {
    this.#open.get(id)?.cell.signal(INTERRUPT);
  }

  /** Puts its sandbox back to the image and lets it go. One that runs something is ended. */
  async close(id: string, busy: boolean): Promise<void> {
    const session = this.#open.get(id);
    this.#open.delete(id);
    if (!session || session.death) return;
    if (busy) {
      session.death = new SandloomError("Cancelled", "the session was closed");
      await this.#discard(session);
      return;
    }
    try {
      this.#pool.resetting(session.cell);
      await session.cell.restore();
      this.#letGo(session);
      this.#pool.give(session.cell);
    } catch {
      await this.#discard(session);
    }
  }

  /** A sandbox whose memory has not grown past the session's bound: within it no heap asks. (A component's break is moved; a session is snapshot.) */
  async #take(image: number, heap_bytes: number): Promise<SandboxCell> {
    for (;;) {
      const cell = await this.#pool.takeSoon(image);
      if (cell.grown_bytes <= heap_bytes) return cell;
      const why = {
        what: "discarded",
        cause: "failed",
        reason: "its memory is larger than a session may have",
      } as const;
      if (!(await this.#pool.discard(cell, why))) this.#send({ type: "stuck" });
    }
  }

  #session(id: string): Session {
    const session = this.#open.get(id);
    if (!session) throw new NotFound(`there is no session ${id}`, { session: id });
    if (session.death) throw session.death;
    return session;
  }

  #letGo({ application }: Session): void {
    this.#pool.min_warm--;
    this.#images.release(application);
  }

  async #discard(session: Session): Promise<void> {
    const why = { what: "discarded", cause: "failed", reason: "its session ended" } as const;
    const gone = await this.#pool.discard(session.cell, why);
    this.#letGo(session);
    if (!gone) this.#send({ type: "stuck" });
  }
}
