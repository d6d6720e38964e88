/** Errors as `application/problem+json` (RFC 9457): which status each has, and what of it a client is shown. */
import { STATUS_CODES } from "node:http";
import Type, { type Static } from "typebox";
import type { GuestFrame } from "../graph/errors.ts";
import { SandloomError } from "../graph/errors.ts";

export const Problem = Type.Object({
  type: Type.String({ description: "urn:sandloom:error:<code>" }),
  title: Type.String(),
  status: Type.Integer(),
  detail: Type.String(),
  code: Type.String(),
  invocation: Type.Optional(Type.String()),
  traceback: Type.Optional(Type.Array(Type.Unknown(), { description: "the guest's frames, innermost last" })),
  details: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
});
export type Problem = Static<typeof Problem>;

/** The client closed the connection before there was an answer: nobody reads it, logs and metrics do. */
export const CLIENT_CLOSED = 499;

/** A function that fails is answered with 500, as a web application that does: the request was all right. */
const STATUS: Readonly<Record<string, number>> = {
  BadInput: 400,
  Unauthorized: 401,
  Forbidden: 403,
  NotFound: 404,
  Conflict: 409,
  RequestTooLarge: 413,
  UnsupportedMediaType: 415,
  CompileRefused: 422,
  RequirementRefused: 422,
  Overloaded: 429,
  ClientClosed: CLIENT_CLOSED,
  Cancelled: 503,
  ExecutorDied: 503,
  FabricFull: 503,
  PoolFull: 503,
  PackageIndexFailed: 503,
  TimedOut: 504,
};

export function statusOf(code: string): number {
  return STATUS[code] ?? 500;
}

/** @param error what was thrown, an error of Fastify's own included */
export function problemOf(error: unknown): Problem {
  const { code, message, details } = known(error);
  const status = statusOf(code);
  const { invocation, frames, ...rest } = details;
  return {
    type: `urn:sandloom:error:${code}`,
    title: STATUS_CODES[status] ?? "Client Closed Request",
    status,
    // What a defect says of this machine is for its logs.
    detail: code === "InternalError" ? "a defect of Sandloom: its log says more" : message,
    code,
    ...(typeof invocation === "string" ? { invocation } : {}),
    ...(Array.isArray(frames) ? { traceback: frames } : {}),
    ...(Object.keys(rest).length === 0 || code === "InternalError" ? {} : { details: rest }),
  };
}

/** What a deployment ends with: if its program failed, then the request was one that cannot be carried out. */
export function refusalOf(error: unknown): Problem {
  const problem = problemOf(error);
  const ofProgram = (problem.status === 500 || problem.status === 504) && problem.code !== "InternalError";
  return ofProgram ? { ...problem, status: 422, title: STATUS_CODES[422] ?? "" } : problem;
}

/** Seconds for `Retry-After`, where trying again makes sense. */
export function retryAfterOf(problem: Problem): number | undefined {
  const ms = problem.details?.["retry_after_ms"];
  if (typeof ms === "number") return Math.ceil(ms / 1000);
  return problem.status === 503 ? 1 : undefined;
}

/** As Python shows it. */
export function tracebackText(frames: readonly unknown[]): string[] {
  return (frames as readonly GuestFrame[]).map(
    ({ file, line, function: name, text }) =>
      `  File "${file}", line ${line}, in ${name}\n${text ? `    ${text.trim()}\n` : ""}`,
  );
}

const FASTIFY: Readonly<Record<string, string>> = {
  FST_ERR_CTP_BODY_TOO_LARGE: "RequestTooLarge",
  FST_ERR_CTP_INVALID_MEDIA_TYPE: "UnsupportedMediaType",
  FST_ERR_NOT_FOUND: "NotFound",
};

function known(error: unknown): SandloomError {
  if (error instanceof SandloomError) return error;
  const { code, statusCode, message } = error as { code?: string; statusCode?: number; message?: string };
  const name = FASTIFY[code ?? ""];
  if (name !== undefined) return new SandloomError(name, message ?? name);
  if (statusCode !== undefined && statusCode < 500) return new SandloomError("BadInput", message ?? "bad request");
  return SandloomError.from(error);
}
