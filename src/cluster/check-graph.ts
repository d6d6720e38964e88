/** Validates a graph.json that did not come from this compiler. */
import Value from "typebox/value";
import { BadInput } from "../graph/errors.ts";
import { ResourceGraph } from "../graph/resource-graph.ts";

/** @throws BadInput with the place of the first mistake. */
export function checkGraph(document: unknown, path: string): ResourceGraph {
  if (Value.Check(ResourceGraph, document)) return document;
  const [first] = Value.Errors(ResourceGraph, document);
  const where = first?.instancePath || "/";
  throw new BadInput(`${path} is no resource graph: ${where} ${first?.message ?? ""} (schema/graph.json)`, { path });
}
