/** Seals a shell: its guest gets the imports of the list and no others, and a shell of which that is not so serves nobody. */
import { SandboxNotSealed } from "../../graph/errors.ts";
import type { EmscriptenModule } from "../runtime/emscripten.ts";
import { SITE_PACKAGES } from "../shell/guest-root.ts";
import { lockRealm, realmOpenings } from "./lock.ts";
import { GUEST_IMPORTS, REFUSED_BY_ANSWER } from "./guest-imports.ts";

type Imports = Record<string, unknown>;

/** As many are looked at in each table; Pyodide's bootstrap, which does not run, makes eight. */
const HANDLES = 32;

/** Held: the lock takes the global away. */
const PLACES = [WebAssembly.Memory, WebAssembly.Table, WebAssembly.Global, WebAssembly.Tag];

/** Thrown through the guest, which ends with it. */
class Refused extends Error {}

export class Seal {
  #closed = false;
  /** Every function that the glue offers. */
  readonly #host = new Set<unknown>();

  /**
   * Takes out of `env` what is not on the list; what the interpreter was linked against, and what its table has a place for, is refused
   * from {@link close} on: the constructors of the interpreter, which run before that, use some. Side modules, dlsym and ctypes look
   * symbols up in the same object.
   */
  constructor(env: Imports, needed: ReadonlySet<string>) {
    for (const [name, given] of Object.entries(env)) {
      this.#host.add(given);
      if (isPlace(given) || GUEST_IMPORTS.has(name)) continue;
      if (needed.has(name)) env[name] = this.#refusalOf(name, given as (...args: unknown[]) => unknown);
      else delete env[name];
    }
    // Symbols are looked up in it by name, and `constructor` is none of them.
    Object.setPrototypeOf(env, null);
  }

  /** From now on the guest is what calls. @throws SandboxNotSealed if something that must be shut is open */
  close(module: EmscriptenModule): void {
    this.#closed = true;
    refuseLibraries(module);
    lockRealm();
    this.#check(module);
  }

  #check(module: EmscriptenModule): void {
    // Beside the host's, what the modules of the sandbox export to each other stands there.
    const open: string[] = [];
    const { wasmImports } = module.__sandloom;
    for (const name in wasmImports) {
      const value = wasmImports[name];
      if (this.#host.has(value) && !isPlace(value) && !GUEST_IMPORTS.has(name)) open.push(`import ${name}`);
    }
    if (makesCode()) open.push("code generation from strings");
    if (loadsLibraries(module)) open.push("loading of libraries");
    open.push(...handleOpenings(module), ...realmOpenings());
    if (open.length === 0) return;
    const shown = open.slice(0, 10).join(", ");
    throw new SandboxNotSealed(`this sandbox is not sealed, and serves nobody: ${shown}`, { open });
  }

  #refusalOf(name: string, given: (...args: unknown[]) => unknown): object {
    const answer = REFUSED_BY_ANSWER[name];
    const refusal = (...args: unknown[]): unknown => {
      if (!this.#closed) return given(...args);
      if (answer !== undefined) return answer;
      throw new Refused(`it called ${name}, which no guest may`);
    };
    // The linker asks for it where it makes table entries.
    Object.assign(refusal, { sig: (given as { sig?: string }).sig });
    return refusal;
  }
}

/** What the wheels brought, in a file system that no guest can write: the one place from which libraries are loaded. */
const LIBRARIES = `${SITE_PACKAGES}/`;

/**
 * A library from elsewhere would be code of the guest's own, linked against the host; and what the guest's file system does not have,
 * the glue would look for in the host's.
 */
function refuseLibraries(module: EmscriptenModule): void {
  module.__admitLibrary = (name) => {
    if (Object.hasOwn(module.LDSO.loadedLibsByName, name)) return;
    if (name.startsWith(LIBRARIES) && !name.includes("/../") && module.FS.analyzePath(name).exists) return;
    throw new Refused(`${name} is none of the image's libraries, and no other is loaded`);
  };
}

/** Memory and the like: what a guest has anyway. All else can be called, as a function or (WebAssembly.Suspending) by way of an object. */
const isPlace = (given: unknown): boolean => typeof given === "number" || PLACES.some((kind) => given instanceof kind);

function makesCode(): boolean {
  try {
    return (Reflect.construct(Function, ["return 1"]) as () => number)() === 1;
  } catch {
    return false;
  }
}

function loadsLibraries(module: EmscriptenModule): boolean {
  const names = [
    "/tmp/probe.so",
    "__proto__",
    "constructor",
    `${LIBRARIES}probe.so`,
    `${LIBRARIES}../../../tmp/probe.so`,
  ];
  return names.some((name) => {
    try {
      module.__admitLibrary?.(name);
      return true;
    } catch {
      return false;
    }
  });
}

/** A handle of Python leads nowhere, or to the empty object that stands for JavaScript's globals. */
function handleOpenings(module: EmscriptenModule): string[] {
  const open: string[] = [];
  for (const get of [module.__hiwire_get, module.__hiwire_immortal_get]) {
    for (let handle = 0; handle < HANDLES; handle++) {
      let found: unknown;
      try {
        found = get(handle);
      } catch {
        // Past the end of its table.
        continue;
      }
      if ((typeof found === "object" && found !== null && !isEmpty(found)) || typeof found === "function")
        open.push(`handle ${handle}`);
    }
  }
  return open;
}

const isEmpty = (found: object): boolean =>
  Object.getPrototypeOf(found) === null && Object.isFrozen(found) && Reflect.ownKeys(found).length === 0;
