/** The HTTP server of a function host: routes over Fastify, errors as problems, limits on everything that comes in. */
import fastifySwagger from "@fastify/swagger";
import fastify, {
  type FastifyBaseLogger,
  type FastifyInstance,
  type RawServerDefault,
  type FastifyTypeProvider,
} from "fastify";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Static, TSchema } from "typebox";
import { DEFAULT_SETTINGS, type FunctionSettings } from "../cluster/hosting/bundle.ts";
import { FunctionHost, type HostOptions } from "../cluster/hosting/host.ts";
import { BadInput } from "../graph/errors.ts";
import { Access } from "./auth.ts";
import { Metrics } from "./metrics.ts";
import { problemOf, retryAfterOf } from "./problem.ts";
import { functionRoutes } from "./routes/functions.ts";
import { invocationRoutes } from "./routes/invocations.ts";
import { lambdaRoutes } from "./routes/lambda.ts";
import { logRoutes } from "./routes/logs.ts";
import { operationRoutes } from "./routes/operations.ts";

export interface ServerOptions extends Omit<HostOptions, "onInvocation" | "onPool"> {
  readonly port: number;
  readonly address: string;
  /** A token file (auth.ts); needed where the address is not loopback. */
  readonly tokensPath?: string;
  readonly request_bytes?: number;
  /** A request that is not here whole after this is answered with 408. */
  readonly request_timeout_ms?: number;
  /** A client that does not read its stream loses the connection when so much waits for it. */
  readonly unread_bytes?: number;
  /** Told, in one line, of defects and of what the server does. */
  readonly onProgress?: (line: string) => void;
}

/** What a handler's types come from: the schemas of its route. */
interface TypeboxProvider extends FastifyTypeProvider {
  validator: this["schema"] extends TSchema ? Static<this["schema"]> : unknown;
  serializer: this["schema"] extends TSchema ? Static<this["schema"]> : unknown;
}
type App = FastifyInstance<RawServerDefault, IncomingMessage, ServerResponse, FastifyBaseLogger, TypeboxProvider>;

/** What routes are made of. */
export interface Server {
  readonly app: App;
  readonly host: FunctionHost;
  readonly access: Access;
  readonly metrics: Metrics;
  readonly limits: {
    readonly request_bytes: number;
    readonly deploy_bytes: number;
    readonly unread_bytes: number;
    readonly settings: FunctionSettings;
  };
  readonly state: { ready: boolean };
}

export interface RunningServer extends AsyncDisposable {
  readonly url: string;
  /** Resolves when the first sandbox and the images of all functions are there. */
  readonly warm: Promise<void>;
  /** Takes no more, lets what runs end for up to `grace_ms`, and ends. */
  stop(grace_ms: number): Promise<void>;
}

const REQUEST_BYTES = 6 * 2 ** 20;
const DEPLOY_BYTES = 32 * 2 ** 20;
const UNREAD_BYTES = 32 * 2 ** 20;
const REQUEST_TIMEOUT_MS = 30_000;
/** Node looks for requests that are late so often; by default that is every 30 s, so that one could take twice its time. */
const LATE_CHECK_MS = 1000;
/** AWS's SDK sends events without saying what they are. */
const RAW_TYPES = ["application/json", "application/octet-stream"];
const KEEP_ALIVE_MS = 75_000;

export async function startServer(options: ServerOptions): Promise<RunningServer> {
  const { port, address, tokensPath, onProgress = () => undefined } = options;
  const { request_bytes = REQUEST_BYTES, unread_bytes = UNREAD_BYTES } = options;
  const access = new Access(address, tokensPath);
  const metrics = new Metrics();
  const host = await FunctionHost.open({
    ...options,
    onInvocation: (told) => metrics.invoked(told),
    onPool: (event) => metrics.pooled(event),
  });
  try {
    metrics.watch(host);
    const app = await open(onProgress, options.request_timeout_ms ?? REQUEST_TIMEOUT_MS);
    const limits = { request_bytes, deploy_bytes: DEPLOY_BYTES, unread_bytes, settings: DEFAULT_SETTINGS };
    const server: Server = { app, host, access, metrics, limits, state: { ready: false } };
    for (const routes of [functionRoutes, logRoutes, operationRoutes]) routes(server);
    await app.register(async (raw) => {
      // Events go to the guest as the text that they are.
      raw.removeAllContentTypeParsers();
      raw.addContentTypeParser(RAW_TYPES, { parseAs: "string" }, (_request, body, done) => done(null, body));
      for (const routes of [invocationRoutes, lambdaRoutes]) routes({ ...server, app: raw });
    });
    const url = await app.listen({ port, host: address }).catch((error: unknown) => {
      const { code, message } = error as { code?: string; message: string };
      const why = code === "EADDRINUSE" ? "another program listens there: choose another --port" : message;
      throw new BadInput(`cannot listen on ${address}, port ${port}: ${why}`, { address, port });
    });
    const warm = host.warm().then(() => void (server.state.ready = true));
    warm.catch((error: unknown) => onProgress(`no sandbox could be made: ${String(error)}`));
    const stop = async (grace_ms: number): Promise<void> => {
      await host.drain(grace_ms);
      // The answers of those that were ended are on their way.
      await new Promise((resolve) => setImmediate(resolve));
      // Streams of logs would hold it open.
      app.server.closeAllConnections();
      await app.close();
      await host[Symbol.asyncDispose]();
    };
    return { url, warm, stop, [Symbol.asyncDispose]: () => stop(0) };
  } catch (error) {
    await host[Symbol.asyncDispose]();
    throw error;
  }
}

async function open(onProgress: (line: string) => void, request_timeout_ms: number): Promise<App> {
  const app: App = fastify({
    requestTimeout: request_timeout_ms,
    http: {
      requestTimeout: request_timeout_ms,
      // Node takes the longer of the two for the whole request (`ConnectionsList::Expired` in its node_http_parser.cc).
      headersTimeout: request_timeout_ms,
      connectionsCheckingInterval: Math.min(LATE_CHECK_MS, request_timeout_ms),
    },
    keepAliveTimeout: KEEP_ALIVE_MS,
    forceCloseConnections: true,
    return503OnClosing: true,
    routerOptions: { maxParamLength: 256 },
    ajv: { customOptions: { coerceTypes: true, removeAdditional: false, allErrors: false } },
  });
  // What a page can send without being asked for permission (a form) is refused.
  app.removeContentTypeParser("text/plain");
  app.setErrorHandler((error, request, reply) => {
    const problem = problemOf(error);
    if (problem.code === "InternalError")
      onProgress(
        `${request.method} ${request.url}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`,
      );
    const retry = retryAfterOf(problem);
    if (retry !== undefined) void reply.header("retry-after", retry);
    if (problem.invocation !== undefined) void reply.header("sandloom-invocation", problem.invocation);
    return reply.code(problem.status).type("application/problem+json").send(problem);
  });
  app.setNotFoundHandler((request, reply) => {
    const detail = `there is no ${request.method} ${request.url.split("?")[0]}: see /openapi.json`;
    return reply
      .code(404)
      .type("application/problem+json")
      .send({ ...problemOf({ code: "FST_ERR_NOT_FOUND", message: detail }) });
  });
  await app.register(fastifySwagger, {
    openapi: {
      openapi: "3.1.0",
      info: { title: "Sandloom", description: "Functions that start pristine, in a millisecond", version: "1" },
      components: { securitySchemes: { bearer: { type: "http", scheme: "bearer" } } },
    },
  });
  return app;
}
