/** What a person sees of one run, or what a program reads of it with `--json`. */
import { type CompiledApp, type RunResult, timelineOf } from "../cluster/api.ts";
import type { ResourceReport, RunEvent } from "../graph/events.ts";
import { Cancelled, SandloomError } from "../graph/errors.ts";
import { LiveView } from "./live.ts";
import { folderText } from "./output-folder.ts";
import type { Terminal } from "./terminal.ts";
import { graphText } from "./text/graph.ts";
import { jsonText } from "./text/json.ts";
import { indent } from "./text/paint.ts";
import { cancelledText, printedText, Progress, statusText } from "./text/progress.ts";
import { bytesText, durationText } from "./text/quantities.ts";
import { reportText } from "./text/report.ts";
import { timelineText } from "./text/timeline.ts";

/** `full`: everything, for people. `quiet`: the result only. `json`: one document only. */
export type ViewMode = "full" | "quiet" | "json";

export interface RunViewOptions {
  readonly id: string;
  /** The folder that the run writes. */
  readonly out: string;
  readonly mode: ViewMode;
}

export class RunView implements Disposable {
  readonly #terminal: Terminal;
  readonly #mode: ViewMode;
  readonly #id: string;
  readonly #out: string;
  readonly #events: RunEvent[] = [];
  readonly #progress: Progress = new Progress();
  readonly #live: LiveView;
  #labelWidth = 0;
  #first = true;
  /** When the first event came: from there on the clock goes on between events. */
  #began_ms: number | undefined;

  constructor(terminal: Terminal, options: RunViewOptions) {
    this.#terminal = terminal;
    this.#mode = options.mode;
    this.#id = options.id;
    this.#out = options.out;
    this.#live = new LiveView(terminal.err, () => this.#status());
  }

  /** One line about what the system does. */
  say(line: string): void {
    if (this.#mode !== "full") return;
    this.#first = false;
    this.#live.print(this.#terminal.err.paint("dim", line));
  }

  compiled(app: CompiledApp, took_ms: number): void {
    const names = app.graph.components
      .filter((component) => component.kind === "compute")
      .map((component) => component.name);
    // Room for numbers up to 999 without the column of names moving.
    this.#labelWidth = Math.max(0, ...names.map((name) => name.length)) + 4;
    if (this.#mode !== "full") return;
    const how = app.cached ? "from the cache" : "compiled";
    this.#section("graph", `${how}, ready in ${durationText(took_ms)}`);
    this.#live.print(indent(graphText(app.graph, this.#terminal.err.paint), "  "));
    for (const { file, line, column, message } of app.warnings ?? [])
      this.#live.print(`  ${this.#terminal.err.paint("yellow", "warning")} ${file}:${line}:${column} ${message}`);
    this.#section("run");
  }

  event(event: RunEvent): void {
    this.#began_ms ??= performance.now() - event.t_ms;
    this.#events.push(event);
    this.#progress.take(event);
    if (event.type !== "printed" || this.#mode !== "full") return;
    const label = this.#progress.labelOf(event.component);
    this.#live.print(indent(printedText(event, label, this.#labelWidth, this.#terminal.err.paint), "  "));
  }

  returned({ value, artifacts, record }: RunResult): void {
    this.#end();
    const { out } = this.#terminal;
    if (this.#mode === "json") return this.#document({ result: value, artifacts, report: record.report });
    if (this.#mode === "full") this.#section("result");
    out.write(`${jsonText(value, out.columns)}\n`);
    if (this.#mode === "quiet") return;
    this.#timeline();
    this.#report(record.report);
    const files = artifacts.map((artifact) => `${artifact.path} (${bytesText(artifact.bytes)})`);
    if (files.length > 0) this.#section("artifacts", files.join(", "));
    this.#wrote();
  }

  /** What there is to see of a run that failed; the error itself is shown by whoever handles it. */
  failed(error: unknown): void {
    this.#end();
    if (this.#mode === "json") return this.#document({ error: SandloomError.from(error).toReport() });
    if (this.#mode === "quiet") return;
    if (error instanceof Cancelled) this.#section("cancelled", cancelledText(this.#progress));
    if (this.#events.some((event) => event.type === "component-started")) {
      this.#timeline();
      this.#wrote();
    }
    // The error stands apart from what the run showed.
    if (!this.#first) this.#live.print("");
  }

  [Symbol.dispose](): void {
    this.#end();
  }

  #document(content: Readonly<Record<string, unknown>>): void {
    this.#terminal.out.write(`${JSON.stringify({ run: this.#id, out: this.#out, ...content })}\n`);
  }

  #timeline(): void {
    this.#section("timeline");
    const { columns, paint } = this.#terminal.err;
    this.#live.print(indent(timelineText(timelineOf(this.#events), { columns: columns - 2, paint }), "  "));
  }

  #report(report: ResourceReport): void {
    this.#section("resources", "GB = 1e9 bytes");
    const wall_ms = this.#events.at(-1)?.t_ms ?? 0;
    this.#live.print(indent(reportText(report, wall_ms, this.#terminal.err.paint), "  "));
  }

  #wrote(): void {
    const text = folderText(this.#out, this.#terminal.cwd);
    if (text !== "") this.#section("wrote", text);
  }

  #section(title: string, more = ""): void {
    const { paint } = this.#terminal.err;
    const gap = this.#first ? "" : "\n";
    this.#first = false;
    this.#live.print(`${gap}${paint("bold", title)}${more === "" ? "" : `  ${paint("dim", more)}`}`);
  }

  #status(): string | undefined {
    if (this.#mode !== "full" || this.#began_ms === undefined) return undefined;
    return `  ${statusText(this.#progress, performance.now() - this.#began_ms, this.#terminal.err.paint)}`;
  }

  #end(): void {
    this.#began_ms = undefined;
    this.#live[Symbol.dispose]();
  }
}
