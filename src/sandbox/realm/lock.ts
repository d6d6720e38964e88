/**
 * Locks the realm of a sandbox's thread, the second line behind the list of imports: were a guest to get hold of a JavaScript object
 * all the same, it would find ECMAScript's own objects, frozen, and nothing of Node's. What this thread's own code needs it has
 * imported, or holds, before.
 */

/** ECMAScript's globals that stay; all others are deleted. `eval` and `Function` are off by a flag of the process. */
export const KEPT: ReadonlySet<string> = new Set(
  `globalThis Infinity NaN undefined Object Function Array Boolean String Symbol Number BigInt Math JSON Date RegExp
  Error AggregateError EvalError RangeError ReferenceError SyntaxError TypeError URIError SuppressedError
  Promise Proxy Reflect Map Set WeakMap WeakSet WeakRef FinalizationRegistry Iterator DisposableStack AsyncDisposableStack
  ArrayBuffer SharedArrayBuffer Atomics DataView Int8Array Uint8Array Uint8ClampedArray Int16Array Uint16Array Int32Array
  Uint32Array Float16Array Float32Array Float64Array BigInt64Array BigUint64Array
  eval isFinite isNaN parseFloat parseInt escape unescape decodeURI decodeURIComponent encodeURI encodeURIComponent`.split(
    /\s+/,
  ),
);
const isKept = (name: PropertyKey): boolean => typeof name === "string" && KEPT.has(name);

/** A property as it is described; an accessor is an object like any other here. */
interface Described {
  readonly value?: unknown;
  readonly get?: unknown;
  readonly set?: unknown;
}

/** Piscina looks at these between two tasks of a thread, as global names. */
const PROCESS = nothing({ stdout: nothing({ writableLength: 0 }), stderr: nothing({ writableLength: 0 }) });

/** Call it once everything is loaded. Nothing that is imported later would find its globals. */
export function lockRealm(): void {
  const roots = intrinsics();
  keepAssignable(Object.prototype);
  keepAssignable(Function.prototype);
  for (const name of KEPT) {
    const value: unknown = Reflect.get(globalThis, name);
    if (typeof value === "function" && value.prototype instanceof Error) keepAssignable(value.prototype);
  }
  keepAssignable(Error.prototype);
  // A memory is not the way to make more of them.
  for (const kind of Object.values(Object.getOwnPropertyDescriptors(WebAssembly)))
    if (typeof kind.value === "function" && isObject(kind.value.prototype))
      Reflect.deleteProperty(kind.value.prototype, "constructor");
  // By deletion only: to look at a property is to load what Node makes when it is first asked for.
  for (const name of Reflect.ownKeys(globalThis)) if (!isKept(name)) Reflect.deleteProperty(globalThis, name);
  Object.defineProperty(globalThis, "process", { value: PROCESS });
  // Frozen with it: call sites of V8 (`Error.prepareStackTrace`) would show the host's functions.
  freezeAll(roots);
  Object.freeze(globalThis);
}

/** What is open of it. Empty when the realm is locked. */
export function realmOpenings(): string[] {
  const open: string[] = [];
  for (const name of Reflect.ownKeys(globalThis))
    if (!isKept(name) && name !== "process") open.push(`global ${String(name)}`);
  const changes: readonly [string, () => boolean][] = [
    ["the global object", () => Reflect.set(globalThis, "planted", 1)],
    ["the global Object", () => Reflect.set(globalThis, "Object", Object)],
    ["Object.prototype", () => Reflect.set(Object.prototype, "planted", 1)],
    ["Object.prototype.toString", () => Reflect.set(Object.prototype, "toString", () => "")],
    ["Array.prototype.indexOf", () => Reflect.set(Array.prototype, "indexOf", () => 0)],
    ["Promise.prototype.then", () => Reflect.set(Promise.prototype, "then", () => undefined)],
    ["Error.prepareStackTrace", () => Reflect.set(Error, "prepareStackTrace", () => "")],
    ["WebAssembly", () => Reflect.has(globalThis, "WebAssembly")],
  ];
  for (const [what, change] of changes) if (succeeds(change)) open.push(what);
  return open;
}

function succeeds(change: () => boolean): boolean {
  try {
    return change();
  } catch {
    return false;
  }
}

function nothing(properties: Readonly<Record<string, unknown>>): object {
  return Object.freeze(Object.assign(Object.create(null) as object, properties));
}

const isObject = (value: unknown): value is object =>
  (typeof value === "object" && value !== null) || typeof value === "function";

/** Where ECMAScript's objects are reached from: its globals, and what has no name. */
function intrinsics(): unknown[] {
  const iterator = (of: Iterable<unknown>): unknown => Object.getPrototypeOf(of[Symbol.iterator]());
  function* generator(): Generator<never> {}
  async function* asyncGenerator(): AsyncGenerator<never> {}
  const named = [...KEPT].map((name) =>
    name === "globalThis" ? undefined : (Reflect.get(globalThis, name) as unknown),
  );
  return [
    ...named,
    WebAssembly,
    ...[[], "", new Map(), new Set()].map(iterator),
    Object.getPrototypeOf("".matchAll(/a/g)),
    Object.getPrototypeOf(Uint8Array),
    ...[generator, asyncGenerator, async () => undefined].map((f) => Object.getPrototypeOf(f) as unknown),
  ];
}

/**
 * A property that is frozen in a prototype cannot be assigned to in an object that inherits it ("override mistake"), and code does
 * that: an error gets a name, a folder a file called `toString`. As accessors they can.
 */
function keepAssignable(prototype: object): void {
  for (const key of Reflect.ownKeys(prototype)) {
    const found = Object.getOwnPropertyDescriptor(prototype, key);
    if (!found?.configurable || !("value" in found)) continue;
    const { value, enumerable } = found as { value: unknown; enumerable: boolean };
    Object.defineProperty(prototype, key, {
      enumerable,
      configurable: false,
      get: () => value,
      set(this: object, own: unknown) {
        if (this === prototype) throw new TypeError(`${String(key)} of an intrinsic object cannot be changed`);
        Object.defineProperty(this, key, { value: own, writable: true, enumerable: true, configurable: true });
      },
    });
  }
}

/** Freezes everything that can be reached from `roots` by properties, accessors and prototypes. */
function freezeAll(roots: readonly unknown[]): void {
  const seen = new Set<object>();
  const pending = [...roots];
  while (pending.length > 0) {
    const found = pending.pop();
    if (!isObject(found) || seen.has(found)) continue;
    seen.add(found);
    for (const key of Reflect.ownKeys(found)) {
      // Of most functions these are all there is.
      if (key === "length" || key === "name") continue;
      const { value, get, set } = Object.getOwnPropertyDescriptor(found, key) as Described;
      pending.push(value, get, set);
    }
    pending.push(Object.getPrototypeOf(found));
    Object.freeze(found);
  }
}
