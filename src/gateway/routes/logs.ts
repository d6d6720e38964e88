/** Logs of a function: the last lines, or a stream of them. */
import Type from "typebox";
import { FunctionName, LogLine } from "../../cluster/hosting/bundle.ts";
import { Problem } from "../problem.ts";
import type { Server } from "../server.ts";
import { EventStream } from "../sse.ts";

export function logRoutes({ app, host, access, limits }: Server): void {
  app.get(
    "/v1/functions/:name/logs",
    {
      onRequest: access.require("read"),
      schema: {
        summary: "Log lines of a function",
        description: "`Accept: text/event-stream`: these, and then each as it comes, as events `line`.",
        params: Type.Object({ name: FunctionName }),
        querystring: Type.Object({
          after: Type.Optional(Type.Integer({ minimum: 0, description: "id of the last line that is known" })),
          limit: Type.Integer({ minimum: 1, maximum: 10_000, default: 1000 }),
        }),
        response: { 200: Type.Object({ lines: Type.Array(LogLine) }), default: Problem },
      },
    },
    async (request, reply) => {
      const { name } = request.params;
      const { after, limit } = request.query;
      const lines = host.logs(name, { limit, ...(after === undefined ? {} : { after }) });
      if (!request.headers.accept?.includes("text/event-stream")) return { lines };
      const stream = new EventStream(reply, limits.unread_bytes);
      const send = (line: LogLine): void => stream.send("line", line, line.id);
      lines.forEach(send);
      reply.raw.once("close", host.followLogs(name, send));
      return reply;
    },
  );
}
