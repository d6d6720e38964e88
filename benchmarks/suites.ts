/** The suites: each is a list of rows and those that they are compared with. */
import type { Row } from "./bench.ts";
import { rows as hostingRows } from "./hosting/rows.ts";
import { rows as mainRows } from "./main/rows.ts";
import { CPython } from "./peers/cpython.ts";
import type { Peer } from "./peers/peer.ts";
import { startPeers } from "./peers/start.ts";
import type { Workspace } from "./workspace.ts";

interface Started {
  /** Those that stay for the whole suite. */
  readonly peers: readonly Peer[];
  readonly missing: readonly string[];
  readonly versions: Readonly<Record<string, string>>;
}

export interface Suite {
  readonly rows: readonly Row[];
  start(workspace: Workspace, options: { all: boolean; say: (line: string) => void }): Promise<Started>;
}

export const suites: Readonly<Record<"main" | "hosting", Suite>> = {
  main: {
    rows: mainRows,
    start: async (workspace, options) => {
      const { peers, missing } = await startPeers(workspace, options);
      const versions = Object.assign({}, ...peers.map((peer) => peer.versions)) as Record<string, string>;
      return { peers, missing, versions };
    },
  },
  hosting: {
    rows: hostingRows,
    // A row starts what it needs: a peer that waits beside another row's server would take from its CPUs.
    start: async ({ root }) => ({ peers: [], missing: [], versions: new CPython(root).versions }),
  },
};
