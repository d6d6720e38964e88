/** AWS Lambda's Invoke API, for clients that speak it: the stock SDK, given this server as its endpoint. */
import type { FastifyReply } from "fastify";
import Type from "typebox";
import { SandloomError } from "../../graph/errors.ts";
import { statusOf, tracebackText } from "../problem.ts";
import type { Server } from "../server.ts";
import { clientOf, eventOf } from "./invocations.ts";

/** Of `X-Amz-Log-Result`. */
const TAIL_BYTES = 4096;

/** Errors of the system; what the function itself ends with is an answer. */
const EXCEPTIONS: Readonly<Record<string, string>> = {
  NotFound: "ResourceNotFoundException",
  Overloaded: "TooManyRequestsException",
  RequestTooLarge: "RequestTooLargeException",
  BadInput: "InvalidRequestContentException",
  UnsupportedMediaType: "UnsupportedMediaTypeException",
  Unauthorized: "UnrecognizedClientException",
  Forbidden: "AccessDeniedException",
};
const OWN = new Set(["InternalError", "ExecutorDied", "Cancelled", "FabricFull", ...Object.keys(EXCEPTIONS)]);

export function lambdaRoutes({ app, host, access, limits }: Server): void {
  app.register(async (lambda) => {
    lambda.setErrorHandler((error, _request, reply) => {
      const code = SandloomError.from(error).code;
      const fastify = error as { statusCode?: number };
      const known = code === "InternalError" && fastify.statusCode === 413 ? "RequestTooLarge" : code;
      const status = known === "BadInput" ? 400 : statusOf(known);
      return reply
        .code(status)
        .header("x-amzn-errortype", EXCEPTIONS[known] ?? "ServiceException")
        .send({
          Type: status < 500 ? "User" : "Service",
          Message: (error as Error).message,
          message: (error as Error).message,
        });
    });
    lambda.post(
      "/2015-03-31/functions/:name/invocations",
      {
        bodyLimit: limits.request_bytes,
        onRequest: access.require("invoke"),
        schema: {
          hide: true,
          params: Type.Object({ name: Type.String() }),
          querystring: Type.Object({ Qualifier: Type.Optional(Type.String()) }),
        },
      },
      async (request, reply) => {
        const { name, version } = targetOf(
          (request.params as { name: string }).name,
          (request.query as { Qualifier?: string }).Qualifier,
        );
        const event = eventOf(request.body);
        const target = { event, ...(version === undefined ? {} : { version }) };
        const kind = request.headers["x-amz-invocation-type"] ?? "RequestResponse";
        if (kind === "DryRun") {
          host.versionOf(name, version);
          return reply.code(204).send();
        }
        if (kind === "Event") {
          const { id } = host.enqueue(name, target);
          return reply.code(202).header("x-amzn-requestid", id).send();
        }
        const tail = request.headers["x-amz-log-type"] === "Tail" ? new Tail() : undefined;
        const executed = host.versionOf(name, version);
        void reply.header("x-amz-executed-version", version === undefined ? "$LATEST" : executed);
        try {
          const onOutput = (_stream: string, text: string): void => tail?.add(text);
          const { id, document } = await host.invoke(name, { ...target, signal: clientOf(request, reply), onOutput });
          return send(reply.header("x-amzn-requestid", id), document, tail);
        } catch (thrown) {
          const error = SandloomError.from(thrown);
          if (OWN.has(error.code)) throw error;
          const { type = error.code, message = error.message, frames = [], invocation } = error.details;
          if (typeof invocation === "string") void reply.header("x-amzn-requestid", invocation);
          const stackTrace = Array.isArray(frames) ? tracebackText(frames) : [];
          const body = { errorMessage: message, errorType: type, requestId: invocation, stackTrace };
          return send(reply.header("x-amz-function-error", "Unhandled"), JSON.stringify(body), tail);
        }
      },
    );
  });
}

function send(reply: FastifyReply, document: string, tail: Tail | undefined): FastifyReply {
  if (tail) void reply.header("x-amz-log-result", tail.base64());
  return reply
    .type("application/json")
    .serializer((text: unknown) => text as string)
    .send(document);
}

/** The last bytes of what was printed. */
class Tail {
  #text = "";

  add(text: string): void {
    this.#text = (this.#text + text).slice(-TAIL_BYTES);
  }
  base64(): string {
    return Buffer.from(this.#text).subarray(-TAIL_BYTES).toString("base64");
  }
}

/** `name`, `name:qualifier`, an ARN of either; the qualifier is a version's number or $LATEST. */
function targetOf(text: string, qualifier?: string): { name: string; version?: number } {
  const parts = decodeURIComponent(text).split(":");
  const at = parts.lastIndexOf("function");
  const [name = "", own] = at >= 0 ? parts.slice(at + 1) : parts;
  const asked = qualifier ?? own ?? "$LATEST";
  if (asked === "$LATEST") return { name };
  if (!/^\d+$/.test(asked))
    throw new SandloomError("NotFound", `there is no alias ${asked}: a qualifier is a version's number`);
  return { name, version: Number(asked) };
}
