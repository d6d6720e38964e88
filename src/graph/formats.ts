/** Names and versions of the documents on disk. Apart from their schemas, which take 90 ms to load. */
export const GRAPH_FORMAT = "sandloom-graph/1";
export const RUN_FORMAT = "sandloom-run/1";
