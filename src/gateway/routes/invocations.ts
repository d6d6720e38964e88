/** Invoking functions: for the answer, for later, or as a stream of what they print. */
import type { FastifyReply, FastifyRequest } from "fastify";
import Type from "typebox";
import { FunctionName, StoredInvocation } from "../../cluster/hosting/bundle.ts";
import type { Invoked } from "../../cluster/hosting/host.ts";
import { BadInput, SandloomError } from "../../graph/errors.ts";
import { Problem, problemOf } from "../problem.ts";
import type { Server } from "../server.ts";
import { EventStream } from "../sse.ts";

const KEY = "idempotency-key";

const Headers = Type.Object({
  [KEY]: Type.Optional(
    Type.String({ minLength: 1, maxLength: 256, description: "the same key is the same invocation, run once" }),
  ),
  prefer: Type.Optional(Type.String({ description: "respond-async: store it, answer 202 at once" })),
});

/** Aborts when the client goes away before it was answered. */
export function clientOf(request: FastifyRequest, reply: FastifyReply): AbortSignal {
  const gone = new AbortController();
  request.raw.socket.once("close", onClose);
  reply.raw.once("close", () => {
    request.raw.socket.off("close", onClose);
    onClose();
  });
  return gone.signal;
  function onClose(): void {
    if (!reply.raw.writableFinished) gone.abort(new SandloomError("ClientClosed", "the client closed the connection"));
  }
}

/** The event as JSON text: it goes to the guest as it came. @throws BadInput */
export function eventOf(body: unknown): string {
  const text = typeof body === "string" && body !== "" ? body : "{}";
  try {
    JSON.parse(text);
  } catch (error) {
    throw new BadInput(`the event is no JSON: ${(error as Error).message}`);
  }
  return text;
}

export function invocationRoutes({ app, host, access, limits }: Server): void {
  app.post(
    "/v1/functions/:name/invocations",
    {
      bodyLimit: limits.request_bytes,
      onRequest: access.require("invoke"),
      schema: {
        summary: "Invoke a function on the event in the body",
        description:
          "Answers with what the function returned. `Prefer: respond-async`: 202, and the result at /v1/invocations/{id}. " +
          "`Accept: text/event-stream`: events `output`, and `result` or `error` at the end.",
        params: Type.Object({ name: FunctionName }),
        querystring: Type.Object({ version: Type.Optional(Type.Integer({ minimum: 1 })) }),
        headers: Headers,
        response: { 202: StoredInvocation, default: Problem },
      },
    },
    async (request, reply) => {
      const event = eventOf(request.body);
      const { name } = request.params;
      const { version } = request.query;
      const key = request.headers[KEY];
      const target = { event, ...(version === undefined ? {} : { version }) };
      const later = (request.headers.prefer ?? "").split(/[,;]/).some((word) => word.trim() === "respond-async");
      if (later || key !== undefined) {
        const stored = host.enqueue(name, { ...target, ...(key === undefined ? {} : { key }) });
        if (later) {
          void reply.headers({ location: `/v1/invocations/${stored.id}`, "preference-applied": "respond-async" });
          return reply.code(202).send(stored);
        }
        return answerStored(reply, await host.ended(stored.id, clientOf(request, reply)));
      }
      const signal = clientOf(request, reply);
      if (request.headers.accept?.includes("text/event-stream")) {
        const stream = new EventStream(reply, limits.unread_bytes);
        try {
          const onOutput = (from: string, text: string): void => stream.send("output", { stream: from, text });
          const { document } = await host.invoke(name, { ...target, signal, onOutput });
          stream.send("result", document);
        } catch (error) {
          stream.send("error", problemOf(error));
        }
        stream.end();
        return reply;
      }
      return answer(reply, await host.invoke(name, { ...target, signal }));
    },
  );

  app.get(
    "/v1/invocations/:id",
    {
      onRequest: access.require("invoke"),
      schema: {
        summary: "State and result of an asynchronous invocation",
        params: Type.Object({ id: Type.String() }),
        querystring: Type.Object({
          wait_ms: Type.Optional(
            Type.Integer({ minimum: 0, maximum: 60_000, description: "wait so long for its end" }),
          ),
        }),
        response: { 200: StoredInvocation, default: Problem },
      },
    },
    async (request, reply) => {
      const { id } = request.params;
      const { wait_ms = 0 } = request.query;
      if (wait_ms === 0) return host.invocation(id);
      const signal = AbortSignal.any([clientOf(request, reply), AbortSignal.timeout(wait_ms)]);
      return host.ended(id, signal).catch((error: unknown) => {
        if ((error as Error).name === "TimeoutError") return host.invocation(id);
        throw error;
      });
    },
  );
}

function answer(reply: FastifyReply, { id, version, document, report }: Invoked): FastifyReply {
  const { queue_ms, run_ms, usage } = report;
  return reply
    .headers({
      "content-type": "application/json; charset=utf-8",
      "sandloom-invocation": id,
      "sandloom-version": version,
      "server-timing": `queue;dur=${queue_ms.toFixed(3)}, run;dur=${run_ms.toFixed(3)}, cpu;dur=${usage.cpu_ms.toFixed(3)}`,
    })
    .serializer((text: unknown) => text as string)
    .send(document);
}

function answerStored(reply: FastifyReply, { id, version, result, error }: StoredInvocation): FastifyReply {
  if (error) throw SandloomError.fromReport({ ...error, details: { ...error.details, invocation: id, version } });
  return reply
    .headers({
      "content-type": "application/json; charset=utf-8",
      "sandloom-invocation": id,
      "sandloom-version": version,
    })
    .serializer((text: unknown) => text as string)
    .send(JSON.stringify(result ?? null));
}
