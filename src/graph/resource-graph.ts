/**
 * The resource graph: the components of an application and their relations, as the compiler names them (virtual) and as all
 * other layers read them. `graph.json` is exactly this; its JSON Schema is the typebox schema itself.
 */
import Type, { type Static } from "typebox";
import { GRAPH_FORMAT } from "./formats.ts";

const closed = { additionalProperties: false } as const;

export const Place = Type.Object(
  {
    file: Type.String({ description: "path relative to the application's folder" }),
    line: Type.Integer({ minimum: 1 }),
    column: Type.Integer({ minimum: 1, description: "in characters, from 1" }),
  },
  closed,
);
export type Place = Static<typeof Place>;

export const Caps = Type.Object(
  {
    cpu: Type.Optional(Type.Number({ exclusiveMinimum: 0 })),
    memory_bytes: Type.Optional(Type.Integer({ minimum: 1 })),
    timeout_ms: Type.Optional(Type.Integer({ minimum: 1 })),
  },
  closed,
);

export const ComputeComponent = Type.Object(
  {
    kind: Type.Literal("compute"),
    name: Type.String({ pattern: "^[A-Za-z_][A-Za-z0-9_.]*$" }),
    program: Type.String({ description: "path of the low-level program in the compiled folder" }),
    source: Type.Optional(Place),
    entry: Type.Boolean(),
    parameters: Type.Array(Type.String()),
    writes: Type.Array(Type.String(), { description: "parameters whose arrays the component changes" }),
    caps: Caps,
  },
  closed,
);
export type ComputeComponent = Static<typeof ComputeComponent>;

export const MemoryComponent = Type.Object(
  {
    kind: Type.Literal("memory"),
    name: Type.String({ description: "<compute component or function>.<variable>" }),
    source: Type.Optional(Place),
    origin: Type.Union([
      Type.Literal("remote"),
      Type.Literal("remote.empty"),
      Type.Literal("remote.zeros"),
      Type.Literal("published", { description: "the value that an @remote function returns" }),
    ]),
  },
  closed,
);
export type MemoryComponent = Static<typeof MemoryComponent>;

export const Component = Type.Union([ComputeComponent, MemoryComponent]);
export type Component = Static<typeof Component>;

/** A compute component starts another and hands it its output. */
export const TriggerRelation = Type.Object(
  {
    kind: Type.Literal("trigger"),
    from: Type.String(),
    to: Type.String(),
    site: Type.Optional(Place),
    mode: Type.Union([Type.Literal("fan-out"), Type.Literal("parallel"), Type.Literal("sequential")]),
    reason: Type.String({ description: "why this mode" }),
  },
  closed,
);
export type TriggerRelation = Static<typeof TriggerRelation>;

/** A compute component uses a memory component while it lives. */
export const CommunicateRelation = Type.Object(
  {
    kind: Type.Literal("communicate"),
    compute: Type.String(),
    memory: Type.String(),
    parameter: Type.Optional(Type.String()),
    access: Type.Union([Type.Literal("read"), Type.Literal("write"), Type.Literal("read-write")]),
    range: Type.Union([Type.Literal("whole"), Type.Literal("rows"), Type.Literal("unknown")]),
  },
  closed,
);
export type CommunicateRelation = Static<typeof CommunicateRelation>;

/** A wheel that an application requires beside the base image. */
export const RequiredPackage = Type.Object(
  {
    name: Type.String({ pattern: "^[a-z0-9]+(-[a-z0-9]+)*$", maxLength: 200, description: "as PEP 503 normalizes it" }),
    version: Type.String({ maxLength: 100 }),
    file: Type.String({ pattern: "^[\\w.!+-]+\\.whl$", maxLength: 300 }),
    sha256: Type.String({ pattern: "^[0-9a-f]{64}$" }),
  },
  closed,
);
export type RequiredPackage = Static<typeof RequiredPackage>;

/** The base images, each with all of the one before: Python, NumPy and pandas; SciPy too; scikit-learn too. */
export const BaseKind = Type.Union([Type.Literal("standard"), Type.Literal("scipy"), Type.Literal("sklearn")]);
export type BaseKind = Static<typeof BaseKind>;

/** What an application needs beside its own modules. */
export interface Surroundings {
  readonly base: BaseKind;
  readonly packages: readonly RequiredPackage[];
}

export const ResourceGraph = Type.Object(
  {
    format: Type.Literal(GRAPH_FORMAT),
    application: Type.Object(
      {
        name: Type.String(),
        hash: Type.String({ description: "sha256 over the sources and the compiler's version" }),
        files: Type.Array(Type.Object({ path: Type.String(), sha256: Type.String() }, closed)),
      },
      closed,
    ),
    imports: Type.Array(Type.String(), { description: "top-level packages that the application imports" }),
    base: Type.Optional(BaseKind),
    packages: Type.Optional(
      Type.Array(RequiredPackage, { maxItems: 200, description: "wheels that are loaded beside the base image" }),
    ),
    modules: Type.Array(
      Type.Object({ name: Type.String(), path: Type.String(), source: Type.Optional(Type.String()) }, closed),
    ),
    components: Type.Array(Component),
    relations: Type.Array(Type.Union([TriggerRelation, CommunicateRelation])),
  },
  { ...closed, $id: "sandloom-graph-1", title: "Sandloom resource graph" },
);
export type ResourceGraph = Static<typeof ResourceGraph>;
