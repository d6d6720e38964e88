/**
 * Who may do what: bearer tokens with scopes. Without tokens everyone who reaches the server may do everything, so it then listens on
 * loopback only, and answers only requests that were meant for it (a web page can make a browser send others).
 */
import { createHash, timingSafeEqual } from "node:crypto";
import { readFileSync } from "node:fs";
import type { FastifyReply, FastifyRequest } from "fastify";
import Type, { type Static } from "typebox";
import { Check, Errors } from "typebox/value";
import { BadInput, SandloomError } from "../graph/errors.ts";

export const Scope = Type.Union([Type.Literal("read"), Type.Literal("invoke"), Type.Literal("deploy")]);
export type Scope = Static<typeof Scope>;

const TokenFile = Type.Array(
  Type.Object(
    {
      name: Type.String({ minLength: 1 }),
      token: Type.String({ minLength: 16 }),
      scopes: Type.Array(Scope, { minItems: 1 }),
    },
    { additionalProperties: false },
  ),
  { minItems: 1 },
);

interface Known {
  readonly digest: Buffer;
  readonly scopes: ReadonlySet<Scope>;
}

const LOOPBACK = ["127.0.0.1", "::1", "localhost"];
const digestOf = (token: string): Buffer => createHash("sha256").update(token).digest();

export class Access {
  readonly #known: readonly Known[] | undefined;

  /**
   * `tokensPath`: a JSON file, `[{"name", "token", "scopes": ["read", "invoke", "deploy"]}]`.
   * @throws BadInput for a bad file, and for an address that others reach where no token is asked for
   */
  constructor(address: string, tokensPath?: string) {
    if (tokensPath !== undefined) this.#known = readTokens(tokensPath);
    else if (!LOOPBACK.includes(address))
      throw new BadInput(`${address} can be reached from elsewhere: give --tokens FILE, or listen on 127.0.0.1`, {
        address,
      });
  }

  /** A hook for routes that need the scope. */
  require(scope: Scope): (request: FastifyRequest, reply: FastifyReply) => Promise<void> {
    return async (request, reply) => {
      if (!this.#known) return refuseOtherHosts(request);
      const token = tokenOf(request);
      if (token === undefined) {
        void reply.header("WWW-Authenticate", 'Bearer realm="sandloom"');
        throw new SandloomError("Unauthorized", "a bearer token is needed: Authorization: Bearer <token>");
      }
      const digest = digestOf(token);
      const found = this.#known.find((known) => timingSafeEqual(known.digest, digest));
      if (!found) throw new SandloomError("Unauthorized", "this token is not known here");
      if (!found.scopes.has(scope))
        throw new SandloomError("Forbidden", `this token lacks the scope ${scope}`, { scope });
    };
  }
}

/** AWS's SDK has no bearer tokens for Lambda; a session token travels the same way. */
function tokenOf({ headers }: FastifyRequest): string | undefined {
  const bearer = /^Bearer +(\S+)$/i.exec(headers.authorization ?? "")?.[1];
  const session = headers["x-amz-security-token"];
  return bearer ?? (typeof session === "string" ? session : undefined);
}

function refuseOtherHosts(request: FastifyRequest): void {
  const { hostname } = request;
  const name = hostname.startsWith("[") ? hostname.slice(1, -1) : hostname;
  if (!LOOPBACK.includes(name))
    throw new SandloomError("Forbidden", `this server answers on ${LOOPBACK.join(", ")} and not as ${name}`);
}

function readTokens(path: string): Known[] {
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(path, "utf8"));
  } catch (error) {
    throw new BadInput(`${path} is no token file: ${(error as Error).message}`, { path });
  }
  if (!Check(TokenFile, value)) {
    const first = Errors(TokenFile, value)[0];
    throw new BadInput(`${path} is no token file: ${first?.instancePath ?? ""} ${first?.message ?? ""}`, { path });
  }
  return value.map(({ token, scopes }) => ({ digest: digestOf(token), scopes: new Set(scopes) }));
}
