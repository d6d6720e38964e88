/**
 * Makes the compiled code of a base: runs a little of everything in a sandbox, with V8 told to optimize what is used at all, and
 * writes what that left. Runs as a process of its own: `node ...TUNING_FLAGS compile-code.ts <base prefix>`.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { store } from "../../fabric/store.ts";
import { InternalError } from "../../graph/errors.ts";
import { defaultLimits } from "../../graph/limits.ts";
import { SandboxCell } from "../cell.ts";
import { Exchange } from "../exchange.ts";
import { ENTRY_KIND, FIRST_COMPONENT, type FromSandbox, type RunTask } from "../messages.ts";
import { TIERING_BUDGETS, TUNED_FLAGS } from "../runtime/v8-flags.ts";
import { loadParts } from "../shell/parts.ts";
import { compiledCodePath } from "./format.ts";

const SHORT_RUNS = 300;
/** V8 compiles on threads of its own: what it has in mind is done when nothing has come for so long. */
const QUIET_MS = 300;

/** The sandbox's own paths, messages between components among them. */
const OWN_PATHS = "import sandloom.warm\nsandloom.warm.run()\n";

const LIBRARIES = `
import io, json, re, datetime, statistics, hashlib, base64
import numpy as np
import pandas as pd

def arrays(i):
    a = np.arange(64.0 * 64).reshape(64, 64)
    float(np.dot(a, np.full(64, 2.0)).sum())
    (a @ a.T).trace()
    np.linalg.inv(np.eye(8) + a[:8, :8]); np.linalg.eigvalsh(np.eye(8))
    x = np.random.default_rng(i).standard_normal(2000)
    np.sort(x); np.argsort(x); x.mean(), x.std(), np.percentile(x, [5, 50, 95]), np.cumsum(x)
    np.exp(x), np.log(np.abs(x) + 1), np.sqrt(np.abs(x)), np.sin(x), np.tanh(x)
    x[x > 0], np.where(x > 0, x, 0), np.unique(np.arange(100) % 7), np.concatenate([x, x])
    x.astype(np.float32), np.arange(1000, dtype=np.int64) * 3 // 2 % 5, np.fft.rfft(x[:256])
    np.load(io.BytesIO((lambda b: (np.save(b, x), b.getvalue())[1])(io.BytesIO())))
    x += 1

def frames(i):
    n = 200
    f = pd.DataFrame({"key": np.arange(n) % 7, "value": np.arange(float(n)), "text": [str(v % 5) for v in range(n)]})
    f.groupby("key")["value"].sum().mul(2.0).tolist()
    f.groupby(["key", "text"]).agg({"value": ["mean", "max"]})
    f.merge(f.head(20), on="key").sort_values("value_x").head(3).to_dict("records")
    f["text"].str.upper().value_counts()
    f.assign(d=f["value"] / 2)[f["value"] > 50].describe()
    pd.read_csv(io.StringIO(f.head(20).to_csv(index=False)))
    f.head(5).to_json()
    f.pivot_table(index="key", columns="text", values="value", aggfunc="sum").fillna(0).cumsum()
    pd.to_datetime(["2026-01-01", "2026-02-01"]).strftime("%Y"); f["value"].rolling(3).mean(); pd.concat([f, f]).drop_duplicates()

def plain(i):
    rows = [{"id": k, "name": f"n{k}", "tags": ["a", "b"], "score": k * 1.5} for k in range(50)]
    json.loads(json.dumps(rows)); sorted(rows, key=lambda r: -r["score"]); re.findall(r"n(\\d+)", str(rows))
    {r["name"]: r for r in rows}; hashlib.sha256(repr(rows).encode()).hexdigest(); base64.b64encode(b"x" * 100)
    statistics.mean(range(10)); datetime.datetime(2026, 1, 2).isoformat(); "".join(c.upper() for c in "sandloom" * 20)
    try:
        raise ValueError(i)
    except ValueError:
        pass

for i in range(30):
    arrays(i); frames(i); plain(i)
`;

async function run(cell: SandboxCell, task: Pick<RunTask, "kind" | "name" | "payload">, image: number): Promise<void> {
  const { heap_bytes, file_bytes, message_bytes } = defaultLimits;
  const settings = { run: -1, account: -1, mounts: [], heap_bytes, file_bytes, message_bytes };
  if (!cell.take()) throw new InternalError("the sandbox is not idle");
  let problem: string | undefined;
  const listener = (message: FromSandbox): void => {
    if (message.type === "ended" && message.result.outcome !== "returned") problem = message.result.report.message;
  };
  await cell.run({ type: "run", image, regions: [], settings, ...task }, listener);
  if (problem !== undefined) throw new InternalError(`${task.name}: ${problem}`);
}

async function compileCode(prefix: string): Promise<void> {
  store.storeConfigure({ slab_bytes: 2 << 20, capacity_bytes: 64 << 20, idle_bytes: 0 });
  const parts = await loadParts(prefix);
  const { id: image } = await store.imageOpen(`${prefix}.img`, null);
  const cell = new SandboxCell(0, new Exchange());
  await cell.make(parts, image, { warm: true });
  for (const code of [OWN_PATHS, LIBRARIES]) {
    const payload = Buffer.from(JSON.stringify({ op: "run", code, cell: 1 }));
    await run(cell, { kind: ENTRY_KIND.session, name: "compiling", payload }, image);
  }
  for (let times = 0; times < SHORT_RUNS; times++) await run(cell, FIRST_COMPONENT, image);
  const modules = [parts.main, ...parts.libraries];
  for (let before = -1, now = 0; before !== now; await sleep(QUIET_MS))
    [before, now] = [now, store.codeWrite(null, modules, TIERING_BUDGETS)];
  TUNED_FLAGS.forEach(setFlagsFromString);
  store.codeWrite(compiledCodePath(prefix), modules, TIERING_BUDGETS);
}

if (import.meta.main) {
  try {
    await compileCode(process.argv[2] as string);
    process.exit(0);
  } catch (error) {
    console.error(error instanceof Error ? `${error.name}: ${error.message}` : error);
    process.exit(1);
  }
}
