/**
 * A client of the simple repository API (PEP 691 in JSON, PEP 503 in HTML): which files a project has, and the files. It asks the index
 * that pip is configured with, with pip's certificates; no index is named here.
 */
import { readFileSync } from "node:fs";
import { Agent as HttpAgent, type IncomingMessage, request as requestHttp } from "node:http";
import { Agent as HttpsAgent, request as requestHttps } from "node:https";
import { getCACertificates } from "node:tls";
import Type from "typebox";
import Value from "typebox/value";
import { PackageIndexFailed, RequirementRefused, type SandloomError } from "../../graph/errors.ts";
import { REQUIREMENT_LIMITS } from "./limits.ts";
import { sha256Of } from "./sources.ts";

export interface IndexSettings {
  /** Of the simple API, with a slash at its end. */
  readonly url: string;
  /** A file of certificates beside those that Node knows. */
  readonly certificates?: string;
}

export interface IndexedFile {
  readonly file: string;
  readonly url: string;
  readonly sha256: string | undefined;
  readonly requires_python: string;
  readonly yanked: boolean;
  /** Of the METADATA beside the file, if it is there (PEP 658). */
  readonly metadata_sha256?: string;
}

const Hashes = Type.Record(Type.String(), Type.String());
/** Of PEP 691, what is read here; an index may say more. */
const ProjectPage = Type.Object({
  files: Type.Array(
    Type.Object({
      filename: Type.String({ maxLength: 512 }),
      url: Type.String({ maxLength: 4096 }),
      hashes: Hashes,
      "requires-python": Type.Optional(Type.Union([Type.String({ maxLength: 512 }), Type.Null()])),
      yanked: Type.Optional(Type.Union([Type.Boolean(), Type.String()])),
      "core-metadata": Type.Optional(Type.Union([Type.Boolean(), Hashes])),
    }),
    { maxItems: 100_000 },
  ),
});

const ACCEPT = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1";
const MAX_REDIRECTS = 5;

interface Answer {
  readonly status: number;
  readonly type: string;
  /** After redirects: what links are relative to. */
  readonly url: string;
  readonly body: Uint8Array;
}

export class IndexClient {
  readonly #find: () => Promise<IndexSettings>;
  readonly #signal: AbortSignal;
  #found: Promise<IndexSettings> | undefined;
  // As pip, it goes by the proxy that the environment names.
  readonly #http = new HttpAgent({ keepAlive: true, proxyEnv: process.env });
  readonly #https = new HttpsAgent({ keepAlive: true, proxyEnv: process.env });

  /** `find` is asked when it is needed: it may start a process. */
  constructor(find: () => Promise<IndexSettings>, signal: AbortSignal) {
    this.#find = find;
    this.#signal = signal;
  }

  close(): void {
    this.#http.destroy();
    this.#https.destroy();
  }

  #settings(): Promise<IndexSettings> {
    return (this.#found ??= this.#find());
  }

  /** undefined: there is no such project. @throws PackageIndexFailed */
  async files(key: string): Promise<IndexedFile[] | undefined> {
    const page = new URL(`${key}/`, (await this.#settings()).url);
    const answer = await this.#get(page.href, REQUIREMENT_LIMITS.index_page_bytes, ACCEPT);
    if (answer.status === 404) return undefined;
    if (answer.status !== 200) throw failed(answer.url, `it answers ${answer.status} for ${key}`);
    return /json/.test(answer.type) ? fromJson(answer) : fromHtml(answer);
  }

  /** @throws PackageIndexFailed, RequirementRefused for what is not that file */
  async download(url: string, most_bytes: number, sha256: string): Promise<Uint8Array> {
    const { status, body } = await this.#get(url, most_bytes, "*/*");
    const file = url.slice(url.lastIndexOf("/") + 1).replace(/[?#].*/, "");
    if (status !== 200) throw failed(url, `it answers ${status} for ${file}`);
    const found = sha256Of(body);
    if (found !== sha256)
      throw new RequirementRefused(`${file} from the package index has sha256 ${found}, and it must be ${sha256}`, {
        wheel: file,
        reason: "wrong-hash",
        expected: sha256,
        value: found,
      });
    return body;
  }

  async #get(url: string, most_bytes: number, accept: string): Promise<Answer> {
    let at = url;
    for (let redirects = 0; redirects <= MAX_REDIRECTS; redirects++) {
      const response = await this.#request(at, accept);
      const { statusCode: status = 0, headers } = response;
      if (status >= 300 && status < 400 && headers.location !== undefined) {
        response.resume();
        at = new URL(headers.location, at).href;
        continue;
      }
      const body = await bodyOf(response, at, most_bytes);
      return { status, type: headers["content-type"] ?? "", url: at, body };
    }
    throw failed(url, `it redirects more than ${MAX_REDIRECTS} times`);
  }

  async #request(url: string, accept: string): Promise<IncomingMessage> {
    const { url: index, certificates } = await this.#settings();
    const { protocol, username, password, host } = new URL(url);
    if (protocol !== "https:" && protocol !== "http:") throw failed(url, `it leads to ${protocol}`);
    // Who looks at an index over TLS is not led out of it.
    if (protocol === "http:" && index.startsWith("https:")) throw failed(url, "it leads from https to http");
    const own = new URL(index);
    const user = username === "" && host === own.host ? own : { username, password };
    const auth =
      user.username === "" ? {} : { auth: `${decodeURIComponent(user.username)}:${decodeURIComponent(user.password)}` };
    const timeout = AbortSignal.timeout(REQUIREMENT_LIMITS.request_timeout_ms);
    const options = {
      headers: { accept, "user-agent": "sandloom" },
      signal: AbortSignal.any([timeout, this.#signal]),
      ...auth,
    };
    const ca =
      certificates === undefined ? {} : { ca: [...getCACertificates("default"), readFileSync(certificates, "utf8")] };
    return new Promise((resolve, reject) => {
      const request =
        protocol === "https:"
          ? requestHttps(url, { ...options, ...ca, agent: this.#https })
          : requestHttp(url, { ...options, agent: this.#http });
      request.once("response", resolve);
      request.once("error", (error) => reject(this.#reason(url, error)));
      request.end();
    });
  }

  #reason(url: string, error: Error): Error {
    if (this.#signal.aborted) return this.#signal.reason as Error;
    const { code, message } = error as NodeJS.ErrnoException;
    return failed(
      url,
      error.name === "TimeoutError" || error.name === "AbortError" ? "no answer in time" : (code ?? message),
    );
  }
}

async function bodyOf(response: IncomingMessage, url: string, bound: number): Promise<Uint8Array> {
  const parts: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const part of response as AsyncIterable<Buffer>) {
      bytes += part.length;
      if (bytes > bound) break;
      parts.push(part);
    }
  } catch (error) {
    throw failed(url, (error as Error).message);
  }
  if (bytes > bound) {
    response.destroy();
    throw failed(url, `it answers with more than ${bound} bytes`, { limit: "answer_bytes", bound });
  }
  return Buffer.concat(parts);
}

function fromJson({ body, url }: Answer): IndexedFile[] {
  let page: unknown;
  try {
    page = JSON.parse(Buffer.from(body).toString("utf8"));
  } catch {
    throw failed(url, "it answers with what is no JSON");
  }
  if (!Value.Check(ProjectPage, page)) throw failed(url, "it answers with JSON that is not of PEP 691");
  const { files } = page;
  return files.map((file) => {
    const core = file["core-metadata"];
    const metadata_sha256 = typeof core === "object" ? core["sha256"]?.toLowerCase() : undefined;
    return {
      file: file.filename,
      url: new URL(file.url, url).href,
      sha256: digest(file.hashes["sha256"]),
      requires_python: file["requires-python"] ?? "",
      yanked: file.yanked !== undefined && file.yanked !== false,
      ...(metadata_sha256 === undefined ? {} : { metadata_sha256 }),
    };
  });
}

/** An older index: a page of links, with the checksum behind the `#`. */
function fromHtml({ body, url }: Answer): IndexedFile[] {
  const found: IndexedFile[] = [];
  for (const [, attributes = "", text = ""] of Buffer.from(body)
    .toString("utf8")
    .matchAll(/<a\s([^>]*)>([^<]*)<\/a>/gi)) {
    const attribute = (name: string): string | undefined =>
      unescapeHtml(
        new RegExp(`(?:^|\\s)${name}\\s*=\\s*(?:"([^"]*)"|'([^']*)')`, "i")
          .exec(attributes)
          ?.slice(1)
          .find((v) => v !== undefined),
      );
    const href = attribute("href");
    if (href === undefined) continue;
    const link = new URL(href, url);
    const sha256 = digest(/^#sha256=([0-9a-f]{64})$/i.exec(link.hash)?.[1]);
    link.hash = "";
    const requires_python = attribute("data-requires-python") ?? "";
    const yanked = /(?:^|\s)data-yanked\b/i.test(attributes);
    found.push({ file: (unescapeHtml(text) ?? "").trim(), url: link.href, sha256, requires_python, yanked });
  }
  return found;
}

const digest = (text: string | undefined): string | undefined =>
  text !== undefined && /^[0-9a-f]{64}$/i.test(text) ? text.toLowerCase() : undefined;

const ENTITIES: Readonly<Record<string, string>> = { amp: "&", lt: "<", gt: ">", quot: '"', "#39": "'", "#34": '"' };
const unescapeHtml = (text: string | undefined): string | undefined =>
  text?.replaceAll(/&(#?\w+);/g, (whole, name: string) => ENTITIES[name] ?? whole);

/** The address is shown without what may be a password in it. */
function failed(url: string, why: string, details: Readonly<Record<string, unknown>> = {}): SandloomError {
  const { host } = new URL(url);
  return new PackageIndexFailed(
    `the package index at ${host} cannot be used: ${why}. It is the one that pip is configured with; wheels in the folder that SANDLOOM_WHEELS names need none`,
    { host, ...details },
  );
}
