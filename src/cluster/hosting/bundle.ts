/** What a deployment is made of, as it comes over the wire and as it is kept: schemas first, types from them. */
import Type, { type Static } from "typebox";
import { RequiredPackage } from "../../graph/resource-graph.ts";

const closed = { additionalProperties: false } as const;

/** Also the name in URLs, metrics and AWS's own rules for function names. */
export const FunctionName = Type.String({
  pattern: "^[A-Za-z][A-Za-z0-9_-]{0,63}$",
  description: "name of a function",
});

const SourceFile = Type.Object({ path: Type.String({ maxLength: 1024 }), text: Type.String() }, closed);

/** An application's sources: the entry file and every module of its folder that it imports. */
export const Sources = Type.Object(
  {
    name: Type.String({ minLength: 1, maxLength: 128 }),
    entry_file: Type.String({ maxLength: 1024 }),
    files: Type.Array(SourceFile, { minItems: 1, maxItems: 10_000 }),
    requirements: Type.Optional(
      Type.String({
        maxLength: 262_144,
        description: "the text of a requirements file: packages beside the base image",
      }),
    ),
  },
  closed,
);
export type Sources = Static<typeof Sources>;

const Variables = Type.Record(
  Type.String({ pattern: "^[A-Za-z_][A-Za-z0-9_]{0,127}$" }),
  Type.String({ maxLength: 32_768 }),
);

export const FunctionSettings = Type.Object(
  {
    timeout_ms: Type.Integer({
      minimum: 1,
      maximum: 900_000,
      default: 30_000,
      description: "wall time of an invocation",
    }),
    memory_bytes: Type.Integer({
      minimum: 128 * 2 ** 20,
      maximum: 16 * 2 ** 30,
      default: 1024 * 2 ** 20,
      description: "bytes of each sandbox's own heap, image included, and of all memory components of an invocation",
    }),
    concurrency: Type.Integer({ minimum: 1, maximum: 10_000, default: 1000, description: "invocations at a time" }),
    environment: Type.Optional(Variables),
    mounts: Type.Optional(
      Type.Array(
        Type.Object(
          {
            host: Type.String({ pattern: "^/", maxLength: 4096, description: "a folder of the server's machine" }),
            guest: Type.String({
              pattern: "^/[^/]",
              maxLength: 1024,
              description: "where invocations see it, read-only",
            }),
          },
          closed,
        ),
        { maxItems: 16 },
      ),
    ),
  },
  closed,
);
export type FunctionSettings = Static<typeof FunctionSettings>;

export const DEFAULT_SETTINGS: FunctionSettings = {
  timeout_ms: 30_000,
  memory_bytes: 1024 * 2 ** 20,
  concurrency: 1000,
};

/** Environment variables whose values are never shown again. */
export const Secrets = Variables;
export type Secrets = Static<typeof Secrets>;

export const Deployment = Type.Object(
  {
    name: FunctionName,
    version: Type.Integer({ minimum: 1 }),
    created_at: Type.String({ description: "ISO 8601" }),
    hash: Type.String({ description: "of the sources, the compiler and the base image" }),
    settings: FunctionSettings,
    secrets: Type.Array(Type.String(), { description: "names only" }),
    packages: Type.Optional(
      Type.Array(RequiredPackage, { description: "what its requirements came to, once and for all" }),
    ),
  },
  closed,
);
export type Deployment = Static<typeof Deployment>;

export const InvocationState = Type.Union([
  Type.Literal("queued"),
  Type.Literal("running"),
  Type.Literal("succeeded"),
  Type.Literal("failed"),
]);
export type InvocationState = Static<typeof InvocationState>;

/** An asynchronous invocation, or one with an idempotency key. */
export const StoredInvocation = Type.Object(
  {
    id: Type.String(),
    name: FunctionName,
    version: Type.Integer(),
    state: InvocationState,
    attempts: Type.Integer({
      description: "how often it was begun: more than once after a crash of the server or of an executor",
    }),
    created_at: Type.String(),
    ended_at: Type.Optional(Type.String()),
    result: Type.Optional(Type.Unknown({ description: "what the function returned" })),
    error: Type.Optional(
      Type.Object(
        { code: Type.String(), message: Type.String(), details: Type.Record(Type.String(), Type.Unknown()) },
        closed,
      ),
    ),
  },
  closed,
);
export type StoredInvocation = Static<typeof StoredInvocation>;

export const LogLine = Type.Object(
  {
    id: Type.Integer({ description: "ascending: the next call asks for lines after it" }),
    at: Type.String({ description: "ISO 8601" }),
    version: Type.Integer(),
    invocation: Type.String(),
    stream: Type.Union([Type.Literal("stdout"), Type.Literal("stderr"), Type.Literal("report")]),
    text: Type.String(),
  },
  closed,
);
export type LogLine = Static<typeof LogLine>;
