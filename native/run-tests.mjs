// Builds and runs the C++ unit tests, without Node or gyp:  node native/run-tests.mjs [address|thread] [doctest arguments]
// Without doctest arguments also what is in fuzz/, for a little while.
//
// Compiled files are kept under .sandloom/native-tests-<sanitizer>/ and reused when neither they nor a header changed.
import { spawn, spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, statSync } from "node:fs";
import { availableParallelism } from "node:os";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const native = dirname(fileURLToPath(import.meta.url));
const sanitizers = {
  address: ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"],
  thread: ["-fsanitize=thread"],
};
const [first = "", ...rest] = process.argv.slice(2);
const sanitizer = first in sanitizers ? first : "plain";
const arguments_ = sanitizer === "plain" && first !== "" ? [first, ...rest] : rest;
const flags = sanitizers[sanitizer] ?? [];
const out = join(native, "../.sandloom", `native-tests-${sanitizer}`);

// Whose files make up the library, and the test program with it. Each file in `programs` is a program of its own.
const library = ["base", "memory", "network"];
const inFolders = (folders, extension) =>
  folders.flatMap((folder) =>
    readdirSync(join(native, folder))
      .filter((name) => name.endsWith(extension))
      .map((name) => join(native, folder, name)),
  );
const changedAt = (path) => statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;

function run(command, args) {
  return new Promise((resolve, reject) => {
    spawn(command, args, { cwd: native, stdio: "inherit" }).on("exit", (code) =>
      code === 0 ? resolve() : reject(new Error(`${command} exited with ${code}`)),
    );
  });
}

async function compile() {
  mkdirSync(out, { recursive: true });
  const headers_at = Math.max(...inFolders([...library, "test"], ".h").map(changedAt));
  const stale = [];
  const objectsOf = (folders) =>
    inFolders(folders, ".cc").map((source) => {
      const object = join(out, `${basename(source, ".cc")}.o`);
      if (changedAt(object) < Math.max(changedAt(source), headers_at)) stale.push([source, object]);
      return object;
    });
  const [core, tests, programs] = [objectsOf(library), objectsOf(["test"]), objectsOf(["programs", "fuzz"])];
  // A program that feeds itself, rather than what clang's libFuzzer feeds.
  const defines = ["-DSANDLOOM_FUZZ_DRIVER"];
  const warnings = ["-Wall", "-Wextra", "-Werror", "-Wconversion", "-Wshadow"];
  const includes = ["-I.", "-isystem", "third_party", "-isystem", "third_party/libfabric"];
  const options = ["-std=c++20", "-O1", "-g", "-fno-omit-frame-pointer", "-fPIC", ...warnings];
  const worker = async () => {
    for (let next = stale.pop(); next !== undefined; next = stale.pop()) {
      const [source, object] = next;
      await run("g++", [...options, ...flags, ...defines, ...includes, "-c", source, "-o", object]);
    }
  };
  await Promise.all(Array.from({ length: availableParallelism() }, worker));
  const link = async (name, objects) => {
    const program = join(out, name);
    const newest = Math.max(...[...objects, ...core].map(changedAt));
    if (changedAt(program) < newest)
      await run("g++", [...flags, "-pthread", "-o", program, ...objects, ...core, "-ldl"]);
    return program;
  };
  for (const object of programs) await link(basename(object, ".o"), [object]);
  return link("core_test", tests);
}

const program = await compile();
const environment = {
  ...process.env,
  LSAN_OPTIONS: `suppressions=${join(native, "test/leaks-of-others.txt")}:print_suppressions=0`,
};
const exitCodeOf = (path, args) => spawnSync(path, args, { stdio: "inherit", env: environment }).status ?? 1;
process.exitCode = exitCodeOf(program, arguments_);
if (process.exitCode === 0 && arguments_.length === 0)
  process.exitCode = exitCodeOf(join(out, "wire_fuzz"), ["200000"]);
