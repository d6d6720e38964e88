/** Deploying, listing and removing functions. */
import Type from "typebox";
import { Deployment, FunctionName, FunctionSettings, Secrets, Sources } from "../../cluster/hosting/bundle.ts";
import { BadInput } from "../../graph/errors.ts";
import { Problem, refusalOf } from "../problem.ts";
import type { Server } from "../server.ts";

const Named = Type.Object({ name: FunctionName });
const Versioned = Type.Object({ version: Type.Optional(Type.Integer({ minimum: 1 })) });

const DeployBody = Type.Object(
  { sources: Sources, settings: Type.Optional(Type.Partial(FunctionSettings)), secrets: Type.Optional(Secrets) },
  { additionalProperties: false },
);

const Deployed = Type.Object({
  deployment: Deployment,
  unchanged: Type.Boolean({ description: "the last version is the same already: none was made" }),
  warnings: Type.Array(
    Type.Object({ file: Type.String(), line: Type.Integer(), column: Type.Integer(), message: Type.String() }),
  ),
  output: Type.String({ description: "what the top level of its modules printed" }),
});

export function functionRoutes({ app, host, access, limits }: Server): void {
  app.post(
    "/v1/functions/:name/versions",
    {
      bodyLimit: limits.deploy_bytes,
      onRequest: access.require("deploy"),
      schema: {
        summary: "Deploy a version of a function",
        params: Named,
        body: DeployBody,
        response: { 200: Deployed, 201: Deployed, default: Problem },
      },
    },
    async (request, reply) => {
      const { sources, settings, secrets = {} } = request.body;
      const full = { ...limits.settings, ...settings };
      const both = Object.keys(secrets).find((name) => full.environment && Object.hasOwn(full.environment, name));
      if (both !== undefined)
        throw new BadInput(`${both} is both a secret and an environment variable`, { name: both });
      const deployed = await host.deploy(request.params.name, sources, full, secrets).catch(refusalOf);
      if ("status" in deployed) return reply.code(deployed.status).type("application/problem+json").send(deployed);
      return reply.code(deployed.unchanged ? 200 : 201).send({ ...deployed, warnings: [...deployed.warnings] });
    },
  );

  app.get(
    "/v1/functions",
    {
      onRequest: access.require("read"),
      schema: {
        summary: "The last version of each function",
        response: { 200: Type.Object({ functions: Type.Array(Deployment) }), default: Problem },
      },
    },
    async () => ({ functions: host.functions() }),
  );

  app.get(
    "/v1/functions/:name",
    {
      onRequest: access.require("read"),
      schema: {
        summary: "All versions of a function, newest first",
        params: Named,
        response: { 200: Type.Object({ versions: Type.Array(Deployment) }), default: Problem },
      },
    },
    async (request) => ({ versions: host.versions(request.params.name) }),
  );

  app.delete(
    "/v1/functions/:name",
    {
      onRequest: access.require("deploy"),
      schema: {
        summary: "Remove a function, or one version of it",
        params: Named,
        querystring: Versioned,
        response: { 204: Type.Null(), default: Problem },
      },
    },
    async (request, reply) => {
      host.remove(request.params.name, request.query.version);
      return reply.code(204).send(null);
    },
  );
}
