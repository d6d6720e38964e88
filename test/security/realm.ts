/**
 * Runs in a process with an executor's flags: makes a shell in a thread of its own, as a sandbox has it, and walks every object that can
 * be reached from its realm, from what a guest may call, and from the handles that Python holds. Prints what it found as JSON.
 * `node realm.ts <image prefix> <how>`: the shell as it is (`sealed`); one with a function of the host where a guest could find it
 * (`planted`); the realm of a thread without a shell (`open`). `cell`: a whole sandbox is made, as an executor does it.
 */
import { createRequire } from "node:module";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import { SandloomError } from "../../src/graph/errors.ts";
import { store } from "../../src/fabric/store.ts";
import { SandboxCell } from "../../src/sandbox/cell.ts";
import { Exchange } from "../../src/sandbox/exchange.ts";
import { KEPT } from "../../src/sandbox/realm/lock.ts";
import { reachedInRealm } from "./realm-attacks.ts";
import { loadParts, type ShellParts } from "../../src/sandbox/shell/parts.ts";
import { createShell } from "../../src/sandbox/shell/shell.ts";

export interface Found {
  /** Why there is no shell. */
  readonly error?: { readonly code: string; readonly details: Readonly<Record<string, unknown>> };
  readonly objects: number;
  /** Functions of the host, by the path on which they were reached. */
  readonly host: readonly string[];
  /** Functions that are neither ECMAScript's nor on the list of what a guest may call. */
  readonly others: readonly string[];
  /** Attacks from within the realm that reached something (realm-attacks.ts). */
  readonly reached: readonly string[];
}

interface Described {
  readonly value?: unknown;
  readonly get?: unknown;
  readonly set?: unknown;
}
type Roots = readonly (readonly [path: string, root: unknown])[];

const HOST_MODULES =
  `fs fs/promises child_process net http https dgram dns worker_threads vm v8 inspector module cluster os process
  async_hooks diagnostics_channel wasi sqlite`.split(/\s+/);

const isObject = (value: unknown): value is object =>
  (typeof value === "object" && value !== null) || typeof value === "function";

/** Every object from the roots, with the path to it; with `calls` getters are called, for what they give is reached as well. */
function walk(roots: Roots, { calls }: { readonly calls: boolean }): Map<object, string> {
  const seen = new Map<object, string>();
  const pending: [string, unknown][] = roots.map(([path, root]) => [path, root]);
  for (let next = pending.pop(); next; next = pending.pop()) {
    const [path, found] = next;
    if (!isObject(found) || seen.has(found)) continue;
    seen.set(found, path);
    pending.push([`${path}.[[prototype]]`, Object.getPrototypeOf(found)]);
    if (ArrayBuffer.isView(found)) continue;
    for (const key of Reflect.ownKeys(found)) {
      const described = Object.getOwnPropertyDescriptor(found, key) as Described | undefined;
      const at = `${path}.${String(key)}`;
      if (!described) continue;
      pending.push([at, described.value], [`${at}<get>`, described.get], [`${at}<set>`, described.set]);
      try {
        if (typeof described.get === "function" && calls)
          pending.push([`${at}()`, Reflect.apply(described.get, found, [])]);
      } catch {
        // It is for other objects.
      }
    }
  }
  return seen;
}

type How = "sealed" | "planted" | "open";

/** What a realm has of ECMAScript, reached from literals and a few names. */
function ownObjects(): Map<object, string> {
  const literals = [
    [],
    /a/,
    async () => 0,
    function* (): Generator<never> {},
    async function* (): AsyncGenerator<never> {},
  ];
  const named = [...KEPT].filter((name) => name !== "globalThis").map((name): unknown => Reflect.get(globalThis, name));
  const roots = [...literals, ...named];
  return walk(
    roots.map((root): [string, unknown] => ["", root]),
    { calls: false },
  );
}

/** Functions that Node's modules and globals hold. By value only: a getter may load what changes the realm. */
function hostFunctions(own: ReadonlyMap<object, string>): Map<object, string> {
  const require = createRequire(import.meta.url);
  const holders: [string, unknown][] = HOST_MODULES.map((name) => [name, require(`node:${name}`)]);
  holders.push(["process", process], ["WebAssembly", WebAssembly]);
  const names = [
    "BroadcastChannel",
    "Buffer",
    "fetch",
    "setTimeout",
    "setImmediate",
    "structuredClone",
    "MessageChannel",
  ];
  const host = new Map(names.map((name) => [Reflect.get(globalThis, name) as object, name]));
  for (const [name, holder] of holders)
    for (const key of isObject(holder) ? Reflect.ownKeys(holder) : []) {
      const value: unknown = Object.getOwnPropertyDescriptor(holder, key)?.value;
      if (typeof value === "function" && !own.has(value)) host.set(value, `${name}.${String(key)}`);
    }
  return host;
}

async function look(parts: ShellParts, how: How): Promise<Found> {
  const own = ownObjects();
  const host = hostFunctions(own);
  const report = (seen: Map<object, string>, known: ReadonlySet<unknown>): Found => {
    const functions = [...seen].filter(([object]) => typeof object === "function");
    return {
      objects: seen.size,
      host: functions.flatMap(([object, path]) => (host.has(object) ? [`${path} is ${host.get(object)}`] : [])),
      others: functions.flatMap(([object, path]) => (own.has(object) || known.has(object) ? [] : [path])),
      reached: reachedInRealm(),
    };
  };
  if (how === "open") return report(walk([["globalThis", globalThis]], { calls: false }), new Set());

  const { readFileSync } = createRequire(import.meta.url)("node:fs") as { readFileSync: unknown };
  const shell = await createShell({
    parts,
    output: { write: () => undefined },
    host: { call: () => undefined, read: () => new Uint8Array(0) },
    blocks: { give: () => 0, take: () => undefined, size: () => 0 },
    scratch_limit_bytes: () => 0,
  });
  const { wasmImports } = shell.module.__sandloom;
  const handles = [shell.module.__hiwire_get, shell.module.__hiwire_immortal_get].flatMap((get) =>
    Array.from({ length: 64 }, (_, handle): [string, unknown] => {
      try {
        return [`handle ${handle}`, get(handle)];
      } catch {
        return [`handle ${handle}`, undefined];
      }
    }),
  );
  if (how === "planted") Object.assign(wasmImports["fd_write"] as object, { planted: { readFileSync } });
  const seen = walk([["globalThis", globalThis], ["imports", wasmImports], ...handles], { calls: true });
  // What an intrinsic was given when it was frozen is its own; memory and table are the guest's.
  const frozen = ownObjects();
  const kinds = ["memory", "__indirect_function_table", "__stack_pointer", "__cpp_exception"];
  const places = walk(
    kinds.map((name): [string, unknown] => ["", wasmImports[name]]),
    { calls: false },
  );
  return report(seen, new Set<unknown>([...Object.values(wasmImports), ...frozen.keys(), ...places.keys()]));
}

const failed = (error: unknown): Found => {
  const { code, details } = SandloomError.from(error).toReport();
  return { error: { code, details }, objects: 0, host: [], others: [], reached: [] };
};

async function makeCell(prefix: string): Promise<never> {
  const MIB = 1024 * 1024;
  store.storeConfigure({ slab_bytes: 2 * MIB, capacity_bytes: 64 * MIB, idle_bytes: 0 });
  const { id } = await store.imageOpen(`${prefix}.img`, null);
  let found: Found = { objects: 0, host: [], others: [], reached: [] };
  try {
    await new SandboxCell(0, new Exchange()).make(await loadParts(prefix), id, { warm: true });
  } catch (error) {
    found = failed(error);
  }
  console.log(JSON.stringify(found));
  process.exit(0);
}

if (isMainThread) {
  const [prefix, how] = process.argv.slice(2) as [string, How | "cell"];
  if (how === "cell") await makeCell(prefix);
  const worker = new Worker(new URL(import.meta.url), { env: {}, workerData: [await loadParts(prefix), how] });
  worker.once("message", (found: Found) => console.log(JSON.stringify(found)));
} else {
  const port = parentPort;
  const [parts, how] = workerData as [ShellParts, How];
  port?.postMessage(await look(parts, how).catch(failed));
}
