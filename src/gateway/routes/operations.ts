/** What those who run the server ask it. */
import Type from "typebox";
import type { Server } from "../server.ts";
import { SandloomError } from "../../graph/errors.ts";

export function operationRoutes({ app, host, access, metrics, state }: Server): void {
  const open = { schema: { hide: true } } as const;
  app.get("/health", open, async () => ({ status: "ok" }));
  app.get("/ready", open, async () => {
    if (host.draining) throw new SandloomError("Cancelled", "the server is stopping");
    if (!state.ready) throw new SandloomError("Cancelled", "the first sandbox is not there yet");
    return { status: "ready" };
  });
  app.get("/metrics", { ...open, onRequest: access.require("read") }, async (_request, reply) => {
    const text = await metrics.registry.metrics();
    return reply.type(metrics.registry.contentType).send(text);
  });
  app.get("/openapi.json", open, async () => app.swagger());
  app.get(
    "/v1/stats",
    {
      onRequest: access.require("read"),
      schema: { summary: "What runs and waits now", response: { 200: Type.Unknown() } },
    },
    async () => host.stats(),
  );
}
