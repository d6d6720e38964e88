/**
 * What a guest could do who had got hold of one JavaScript object: the research's attacks that begin with one, tried from within the
 * realm itself. Each says whether it reached what it was after.
 */

type Attack = readonly [name: string, reaches: () => boolean];

const anything: unknown = [];
const constructorOf = (of: unknown): new (...args: string[]) => () => unknown =>
  Reflect.get(Reflect.get(of as object, "constructor") as object, "constructor") as never;
const runs = (maker: unknown): boolean =>
  typeof Reflect.construct(maker as new () => unknown, ["return 1"]) === "function";
const hasGlobal = (name: string): boolean => Reflect.get(globalThis, name) !== undefined;
const ofProcess = (name: string): boolean => {
  const process: unknown = Reflect.get(globalThis, "process");
  return typeof process === "object" && process !== null && Reflect.get(process, name) !== undefined;
};
/** Replaces a property, and says whether the replacement is what others would get. It is put back. */
const hooks = (owner: object, key: PropertyKey): boolean => {
  const before = Object.getOwnPropertyDescriptor(owner, key) as PropertyDescriptor;
  const planted = (): undefined => undefined;
  const byValue = Reflect.set(owner, key, planted);
  const byDefinition = Reflect.defineProperty(owner, key, { value: planted, configurable: true });
  const hooked = (byValue || byDefinition) && Reflect.get(owner, key) === planted;
  if (hooked) Reflect.defineProperty(owner, key, before);
  return hooked;
};

const CODE: readonly Attack[] = [
  ["Function, from an array", () => runs(constructorOf(anything))],
  ["Function, from an error", () => runs(constructorOf(new TypeError("x")))],
  ["Function, from an iterator", () => runs(constructorOf(new Map().entries()))],
  ["AsyncFunction", () => runs(Reflect.get(async () => 0, "constructor"))],
  ["GeneratorFunction", () => runs(Reflect.get(function* (): Generator<never> {}, "constructor"))],
  ["AsyncGeneratorFunction", () => runs(Reflect.get(async function* (): AsyncGenerator<never> {}, "constructor"))],
  ["eval", () => (Reflect.get(globalThis, "eval") as (code: string) => unknown)("1 + 1") === 2],
];

const HOST: readonly Attack[] = [
  ...["env", "binding", "getBuiltinModule", "kill", "report", "exit", "pid", "dlopen", "stdin"].map((name): Attack => [
    `process.${name}`,
    () => ofProcess(name),
  ]),
  ...["fetch", "WebSocket", "BroadcastChannel", "MessageChannel", "WebAssembly", "Buffer", "structuredClone"].map(
    (name): Attack => [name, () => hasGlobal(name)],
  ),
  ...[
    "setTimeout",
    "setInterval",
    "setImmediate",
    "queueMicrotask",
    "performance",
    "crypto",
    "navigator",
    "console",
  ].map((name): Attack => [name, () => hasGlobal(name)]),
  ["a global by the name `global`", () => hasGlobal("global")],
];

const HOOKS: readonly Attack[] = [
  [
    "a property of every object",
    () => {
      const done = Reflect.set(Object.prototype, "polluted", 1) && Reflect.get({}, "polluted") === 1;
      Reflect.deleteProperty(Object.prototype, "polluted");
      return done;
    },
  ],
  ["the prototype of a prototype", () => Reflect.setPrototypeOf(Map.prototype, {})],
  [
    "call sites of the host",
    () => {
      let sites: readonly { getFileName(): string | undefined }[] = [];
      const before: unknown = Reflect.get(Error, "prepareStackTrace");
      Reflect.set(Error, "prepareStackTrace", (_: Error, found: typeof sites) => (sites = found));
      void new Error("x").stack;
      Reflect.set(Error, "prepareStackTrace", before);
      return sites.some((site) => site.getFileName()?.startsWith("file:"));
    },
  ],
  ["Array.prototype.indexOf", () => hooks(Array.prototype, "indexOf")],
  ["Array.prototype.push", () => hooks(Array.prototype, "push")],
  ["Array.prototype[Symbol.iterator]", () => hooks(Array.prototype, Symbol.iterator)],
  ["Object.prototype.toString", () => hooks(Object.prototype, "toString")],
  ["Function.prototype.call", () => hooks(Function.prototype, "call")],
  ["Promise.prototype.then", () => hooks(Promise.prototype, "then")],
  ["Map.prototype.get", () => hooks(Map.prototype, "get")],
  ["RegExp.prototype.exec", () => hooks(RegExp.prototype, "exec")],
  ["Uint8Array.prototype.set", () => hooks(Object.getPrototypeOf(Uint8Array.prototype) as object, "set")],
  ["Error.prototype.name", () => hooks(Error.prototype, "name")],
  ["JSON.parse", () => hooks(JSON, "parse")],
  ["Atomics.wait", () => hooks(Atomics, "wait")],
  ["Reflect.ownKeys", () => hooks(Reflect, "ownKeys")],
  ["the global Object", () => hooks(globalThis, "Object")],
];

export const REALM_ATTACKS: readonly Attack[] = [...CODE, ...HOST, ...HOOKS];

/** The names of those that reach what they are after. */
export function reachedInRealm(): string[] {
  return REALM_ATTACKS.flatMap(([name, reaches]) => {
    try {
      return reaches() ? [name] : [];
    } catch {
      return [];
    }
  });
}
