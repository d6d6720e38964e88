/** Wheels made by hand, and a package index of them: a real HTTP server of the simple API. */
import { createHash } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { zipSync } from "fflate";

export interface WheelOptions {
  readonly requires?: readonly string[];
  readonly python?: string;
  readonly extras?: readonly string[];
  /** `py3-none-any` when absent. */
  readonly tag?: string;
  /** Path → text. A module of the project's name, with its version, when absent. */
  readonly files?: Readonly<Record<string, string | Uint8Array>>;
  /** Instead of what the others say. */
  readonly metadata?: string;
}

export interface Wheel {
  readonly file: string;
  readonly bytes: Uint8Array;
  readonly sha256: string;
}

export function makeWheel(name: string, version: string, options: WheelOptions = {}): Wheel {
  const { requires = [], python, extras = [], tag = "py3-none-any" } = options;
  const escaped = name.replaceAll(/[-.]+/g, "_");
  const headers = [
    "Metadata-Version: 2.1",
    `Name: ${name}`,
    `Version: ${version}`,
    ...requires.map((one) => `Requires-Dist: ${one}`),
    ...extras.map((one) => `Provides-Extra: ${one}`),
    ...(python === undefined ? [] : [`Requires-Python: ${python}`]),
  ];
  const info = `${escaped}-${version}.dist-info`;
  const files = options.files ?? { [`${escaped.toLowerCase()}/__init__.py`]: `VERSION = ${JSON.stringify(version)}\n` };
  const all: Record<string, string | Uint8Array> = {
    ...files,
    [`${info}/METADATA`]: options.metadata ?? `${headers.join("\n")}\n\nRequires-Dist: not-a-header\n`,
    [`${info}/WHEEL`]: `Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: ${tag}\n`,
    [`${info}/RECORD`]: "",
  };
  const encoder = new TextEncoder();
  const members = Object.entries(all).map(
    ([path, content]) => [path, typeof content === "string" ? encoder.encode(content) : content] as const,
  );
  // A fixed time: equal wheels are equal bytes.
  const bytes = zipSync(Object.fromEntries(members), { mtime: "2026-01-01T00:00:00Z" });
  return { file: `${escaped}-${version}-${tag}.whl`, bytes, sha256: sha256(bytes) };
}

export const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

export function writeWheels(folder: string, wheels: readonly Wheel[]): string {
  mkdirSync(folder, { recursive: true });
  for (const { file, bytes } of wheels) writeFileSync(join(folder, file), bytes);
  return folder;
}

/** What the index says of one file, where that differs from the truth. */
export interface Told {
  readonly hashes?: Record<string, string>;
  readonly yanked?: boolean | string;
  readonly "requires-python"?: string;
  readonly "core-metadata"?: boolean | Record<string, string>;
}

export class TestIndex implements AsyncDisposable {
  readonly #projects = new Map<string, { file: string; bytes: Uint8Array; told: Told }[]>();
  readonly #server = createServer((request, response) => this.#serve(request, response));
  /** Paths that were asked for, in their order. */
  readonly asked: string[] = [];
  /** `json` as PEP 691, `html` as PEP 503. */
  form: "json" | "html" = "json";
  /** Answers a request itself, if it gives true. */
  instead: (request: IncomingMessage, response: ServerResponse) => boolean = () => false;

  static async start(): Promise<TestIndex> {
    const index = new TestIndex();
    await new Promise<void>((resolve) => index.#server.listen(0, "127.0.0.1", resolve));
    return index;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/simple`;
  }

  add(project: string, wheel: Pick<Wheel, "file" | "bytes">, told: Told = {}): void {
    const { file, bytes } = wheel;
    this.#projects.set(project, [...(this.#projects.get(project) ?? []), { file, bytes, told }]);
  }

  clear(): void {
    this.#projects.clear();
    this.asked.length = 0;
    this.form = "json";
    this.instead = () => false;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #serve(request: IncomingMessage, response: ServerResponse): void {
    const path = request.url ?? "";
    this.asked.push(path);
    if (this.instead(request, response)) return;
    const project = /^\/simple\/([^/]+)\/$/.exec(path)?.[1];
    const file = /^\/files\/([^/]+)$/.exec(path)?.[1];
    const files = [...this.#projects.values()].flat();
    const found = project === undefined ? undefined : this.#projects.get(project);
    if (found) {
      const type = this.form === "json" ? "application/vnd.pypi.simple.v1+json" : "text/html";
      response.writeHead(200, { "content-type": type }).end(this.form === "json" ? jsonPage(found) : htmlPage(found));
      return;
    }
    const wheel = files.find((one) => one.file === file);
    if (wheel) response.writeHead(200).end(wheel.bytes);
    else response.writeHead(404).end();
  }
}

type Files = readonly { file: string; bytes: Uint8Array; told: Told }[];

const jsonPage = (files: Files): string =>
  JSON.stringify({
    meta: { "api-version": "1.1" },
    files: files.map(({ file, bytes, told }) => ({
      filename: file,
      url: `../../files/${file}`,
      hashes: { sha256: sha256(bytes) },
      ...told,
    })),
  });

const htmlPage = (files: Files): string =>
  `<!DOCTYPE html><html><body>${files
    .map(({ file, bytes, told }) => {
      const python = told["requires-python"];
      const attributes = `${python === undefined ? "" : ` data-requires-python="${python.replaceAll(">", "&gt;")}"`}${told.yanked ? ' data-yanked=""' : ""}`;
      return `<a href="../../files/${file}#sha256=${told.hashes?.["sha256"] ?? sha256(bytes)}"${attributes}>${file}</a><br/>`;
    })
    .join("\n")}</body></html>`;
