/** What happens to the sandboxes of an executor, apart from any run: each change of the pool, with its reason. */
import Type, { type Static } from "typebox";

export const PoolEvent = Type.Object(
  {
    at: Type.String({ description: "wall clock, ISO 8601" }),
    what: Type.Union([
      Type.Literal("made"),
      Type.Literal("let-go", { description: "it was not needed" }),
      Type.Literal("discarded", { description: "what ran in it failed, was cancelled, or broke it" }),
      Type.Literal("refused", { description: "one was needed and not made" }),
    ]),
    cause: Type.Union([
      Type.Literal("start"),
      Type.Literal("demand", { description: "something waited for it" }),
      Type.Literal("min-warm"),
      Type.Literal("spare", { description: "ahead of demand" }),
      Type.Literal("idle"),
      Type.Literal("memory"),
      Type.Literal("limit"),
      Type.Literal("failed"),
    ]),
    reason: Type.String(),
    sandbox: Type.Optional(Type.Integer()),
    ms: Type.Optional(Type.Number({ description: "what making it took" })),
    sandboxes: Type.Integer({ description: "that there are after this" }),
    idle: Type.Integer(),
  },
  { additionalProperties: false },
);
export type PoolEvent = Static<typeof PoolEvent>;
