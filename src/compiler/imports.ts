/** Checks of imports: what a sandbox has, and what cannot work in one. */
import { children, type Node, type Placed } from "./ast.ts";
import type { AppModule } from "./names.ts";
import { inMainGuard, type Program } from "./program.ts";
import type { Findings } from "./refusals.ts";

const COMPONENTS = "Mark the work as components with @split and call them in one comprehension: they run side by side.";
const MOUNT = "Give the data as a folder with --mount, as the event or as a result: a sandbox has no network.";
const NONE = "Leave it out: a sandbox has no terminal, desktop or user accounts.";

/** Modules that exist and cannot do their work in a sandbox, with what to write instead. */
const UNSUPPORTED: Readonly<Record<string, string>> = {
  threading: COMPONENTS,
  _thread: COMPONENTS,
  multiprocessing: COMPONENTS,
  "concurrent.futures": COMPONENTS,
  subprocess: "Call the code as a Python function in a component: a sandbox starts no processes.",
  pty: "Call the code as a Python function in a component: a sandbox starts no processes.",
  socket: MOUNT,
  socketserver: MOUNT,
  ssl: MOUNT,
  "http.client": MOUNT,
  "http.server": MOUNT,
  "urllib.request": MOUNT,
  ftplib: MOUNT,
  imaplib: MOUNT,
  poplib: MOUNT,
  smtplib: MOUNT,
  xmlrpc: MOUNT,
  curses: NONE,
  tkinter: NONE,
  turtle: NONE,
  idlelib: NONE,
  readline: NONE,
  termios: NONE,
  tty: NONE,
  syslog: "Print to stderr: the lines are events of the run.",
  resource: "Give caps to the component: @split(cpu=, memory=, timeout=).",
  ensurepip: "Name the packages by importing them: they are part of the image.",
  venv: "Name the packages by importing them: they are part of the image.",
};

/** Standard library of Python 3.14 (sys.stdlib_module_names), names with an underscore and the above left out. */
const STANDARD: ReadonlySet<string> = new Set(
  `abc annotationlib argparse array ast asyncio atexit base64 bdb binascii bisect builtins bz2 cProfile calendar cmath cmd code
  codecs codeop collections colorsys compileall compression concurrent configparser contextlib contextvars copy copyreg csv
  ctypes dataclasses datetime dbm decimal difflib dis doctest email encodings enum errno faulthandler fcntl filecmp fileinput
  fnmatch fractions functools gc genericpath getopt getpass gettext glob graphlib grp gzip hashlib heapq hmac html http
  importlib inspect io ipaddress itertools json keyword linecache locale logging lzma mailbox marshal math mimetypes mmap
  modulefinder netrc ntpath nturl2path numbers opcode operator optparse os pathlib pdb pickle pickletools pkgutil platform
  plistlib posix posixpath pprint profile pstats pwd py_compile pyclbr pydoc pydoc_data pyexpat queue quopri random re reprlib
  rlcompleter runpy sched secrets select selectors shelve shlex shutil signal site sqlite3 stat statistics string stringprep
  struct symtable sys sysconfig tabnanny tarfile tempfile test textwrap this time timeit token tokenize tomllib trace traceback
  tracemalloc types typing unicodedata unittest urllib uuid warnings wave weakref webbrowser wsgiref xml zipapp zipfile
  zipimport zlib zoneinfo __future__ _collections_abc _thread`.split(/\s+/),
);

interface Imported {
  readonly path: string;
  readonly node: Placed;
  /** In a `try` that goes on without it, or only for type checkers. */
  readonly optional: boolean;
}

/** Refuses what cannot be imported; the packages from outside that are. */
export function checkImports(program: Program, packages: readonly string[] | undefined, findings: Findings): string[] {
  const outside = new Set<string>();
  for (const module of program.modules) {
    for (const one of importsOf(module, findings)) {
      const top = one.path.split(".")[0] ?? one.path;
      const unsupported = Object.keys(UNSUPPORTED).find((name) => one.path === name || one.path.startsWith(`${name}.`));
      if (program.names.modules.has(top) || isNamespace(program, top) || top === "sandloom") continue;
      if (unsupported) {
        const message = `${unsupported} cannot work in a sandbox`;
        findings.refuse(module.source, one.node, "unsupported-module", message, UNSUPPORTED[unsupported]);
      } else if (!STANDARD.has(top) && !(top.startsWith("_") && !packages?.includes(top))) {
        if (packages && !packages.includes(top)) {
          if (one.optional) continue;
          const fix = `Name its package in requirements.txt beside the application, if it is of Python files alone. Available are ${packages.join(", ") || "none"}; modules of the application lie in its folder.`;
          findings.refuse(module.source, one.node, "missing-module", `there is no module ${top}`, fix);
        } else outside.add(top);
      }
    }
  }
  return [...outside].sort();
}

/** A folder without `__init__.py` is a package too. */
function isNamespace(program: Program, top: string): boolean {
  return program.modules.some((module) => module.name.startsWith(`${top}.`));
}

function importsOf(module: AppModule, findings: Findings): Imported[] {
  const found: Imported[] = [];
  const visit = (node: Node, optional: boolean): void => {
    if (inMainGuard(module, node)) return;
    if (node._ === "Import") for (const { name } of node.names) found.push({ path: name, node, optional });
    else if (node._ === "ImportFrom") {
      const from = module.absolute(node.module, node.level);
      if (from === undefined) {
        const message = `this import leaves the application's folder`;
        findings.refuse(module.source, node, "import-beyond-folder", message);
      } else if (node.level === 0)
        for (const { name } of node.names) found.push({ path: `${from}.${name}`, node, optional });
    } else if (node._ === "Try") {
      const goesOn = node.handlers.some(({ type }) => {
        const types = type?._ === "Tuple" ? type.elts : [type];
        const names = types.map((one) => (one?._ === "Name" ? one.id : one === undefined ? "Exception" : ""));
        return names.some((name) =>
          ["ImportError", "ModuleNotFoundError", "Exception", "BaseException"].includes(name),
        );
      });
      for (const child of children(node))
        visit(child, optional || (goesOn && (node.body as readonly Node[]).includes(child)));
    } else if (node._ === "If" && isTypeChecking(node.test)) {
      for (const child of children(node)) visit(child, true);
    } else for (const child of children(node)) visit(child, optional);
  };
  visit(module.tree, false);
  return found;
}

function isTypeChecking(test: Node): boolean {
  return (
    (test._ === "Name" && test.id === "TYPE_CHECKING") || (test._ === "Attribute" && test.attr === "TYPE_CHECKING")
  );
}
