/**
 * A shell: Pyodide's main module and all side modules instantiated in this thread, with no image mapped. No bootstrap of
 * Pyodide runs: whatever it would have done in memory is in the image.
 */
import { Buffer } from "node:buffer";
import { InternalError } from "../../graph/errors.ts";
import type { EmscriptenFs, EmscriptenModule, FileSystemType, FsStream } from "../runtime/emscripten.ts";
import { Seal } from "../realm/seal.ts";
import { evaluateGlue } from "../runtime/glue.ts";
import { freezeRoot, packFileSystem, packInFile, type PackIndex, ScratchFolders } from "../runtime/guest-files.ts";
import { boundPipes } from "../runtime/pipes.ts";
import { guestEnvironment, installFiles } from "./guest-root.ts";
import type { BlockCalls } from "./allocator-module.ts";
import { Linker, tableFiller } from "./linker.ts";
import type { ShellParts } from "./parts.ts";

/** The guest's `/dev/sandloom`. */
const DEVICE_FD = 3;
const O_RDWR = 2;

/** Where the guest may write; thrown away after every component. */
const SCRATCH = ["/tmp", "/home/pyodide", "/out"];

export interface GuestOutput {
  /** Bytes that the guest wrote to fd 1 or 2; the view is only valid during the call. */
  write(stream: "stdout" | "stderr", bytes: Uint8Array): void;
}

/** The synchronous calls of the guest (docs/architecture.md, "Guest and host"). */
export interface HostCalls {
  /** One request frame. The view is only valid during the call. */
  call(frame: Uint8Array): void;
  /** The next bytes of the last reply, at most `limit_bytes`. */
  read(limit_bytes: number): Uint8Array;
}

export interface ShellOptions {
  readonly parts: ShellParts;
  readonly output: GuestOutput;
  readonly host: HostCalls;
  readonly blocks: BlockCalls;
  readonly scratch_limit_bytes: () => number;
}

export interface Shell {
  readonly module: EmscriptenModule;
  readonly linker: Linker;
  readonly scratch: ScratchFolders;
  /** Puts back what lives on the JavaScript side: linker, files, streams, working directory. */
  resetJavaScript(): void;
  /** Runs the Python callable at `address` with no arguments; throws what the interpreter died of. */
  call(address: number): void;
  /** Makes a folder of the guest show another file system; the answer takes it away again. */
  mount(guestPath: string, type: FileSystemType): () => void;
  readonly stackPointer: number;
  readonly glueCacheData: () => Buffer;
}

export async function createShell(options: ShellOptions): Promise<Shell> {
  const { parts } = options;
  const { create, script } = evaluateGlue(parts.glue, parts.glueCache ? new Uint8Array(parts.glueCache) : undefined);
  const errorMark = Symbol("error");
  let scratch: ScratchFolders | undefined;
  let seal: Seal | undefined;
  const module: EmscriptenModule = await create({
    noImageDecoding: true,
    noAudioDecoding: true,
    noWasmDecoding: false,
    noInitialRun: true,
    thisProgram: "python",
    arguments: [],
    print: (line: string) => options.output.write("stdout", Buffer.from(`${line}\n`)),
    printErr: (line: string) => options.output.write("stderr", Buffer.from(`${line}\n`)),
    // Without this the glue lets its ExitStatus set the exit code of this process.
    quit: (_status: number, thrown: unknown) => {
      throw thrown;
    },
    API: {
      config: {
        jsglobals: Object.freeze(Object.create(null)),
        env: { ...guestEnvironment },
        packages: [],
        BUILD_ID: "",
        stdin: undefined,
      },
      runtimeEnv: { IN_NODE: true, IN_NODE_ESM: true, IN_BROWSER: false },
      lockFilePromise: Promise.resolve({
        info: { abi_version: "2026_0", arch: "wasm32", platform: "emscripten_5_0_3", python: "3.14.0" },
        packages: {},
      }),
    },
    // Asked where a file of the host lies that the guest's file system does not have; nothing needs one.
    locateFile: (path: string) => {
      throw new InternalError(`the glue looked for ${path} in the host's files`);
    },
    preRun: [
      (m: EmscriptenModule) => {
        installFiles(m, new Uint8Array(parts.stdlib));
        const index = (): PackIndex => JSON.parse(Buffer.from(parts.siteIndex).toString()) as PackIndex;
        m.FS.mount(packFileSystem(m, index, packInFile(parts.siteFd)), {}, m.API["sitePackages"] as string);
        scratch = new ScratchFolders(m, SCRATCH, options.scratch_limit_bytes);
        m.FS.chdir("/home/pyodide");
        Object.assign(m.ENV, guestEnvironment);
      },
    ],
    __fillTable: tableFiller(parts),
    instantiateWasm: (
      imports: { env: Record<string, unknown> },
      done: (i: WebAssembly.Instance, m: WebAssembly.Module) => void,
    ) => {
      seal = new Seal(imports.env, new Set(parts.record.imports));
      imports.env["Jsv_GetError_import"] = () => errorMark;
      imports.env["JsvError_Check"] = (value: unknown) => value === errorMark;
      // A map of handles, which none is put into: in the handles' table itself it would be the one object that leads anywhere.
      imports.env["__hiwire_deduplicate_new"] = () => Object.freeze(Object.create(null));
      const pipe = imports.env["__syscall_pipe"] as (pointer: number) => number;
      imports.env["__syscall_pipe"] = boundPipes(pipe, () => ({ module, files: scratch as unknown as ScratchFolders }));
      // The guest's own, which its files belong to; the glue asks for the host's.
      imports.env["__syscall_getuid32_js"] = () => 0;
      done(new WebAssembly.Instance(parts.main, imports as unknown as WebAssembly.Imports), parts.main);
      return {};
    },
  });
  const { record } = parts;
  if (module.HEAPU8.length < record.image_bytes && !module.growMemory(record.image_bytes))
    throw new RangeError(`linear memory cannot grow to ${record.image_bytes} bytes`);
  const linker = new Linker(module, parts);
  linker.link(options.blocks);
  (seal as unknown as Seal).close(module);
  const files = scratch as unknown as ScratchFolders;
  const fs = module.FS;

  const device = fs.makedev(64, 0);
  fs.registerDevice(device, {
    open: (stream: FsStream & { seekable?: boolean }) => {
      stream.seekable = false;
    },
    close: () => undefined,
    write: (_: FsStream, buffer: Uint8Array, offset: number, length: number) => {
      options.host.call(new Uint8Array(buffer.buffer, offset, length));
      return length;
    },
    read: (_: FsStream, buffer: Uint8Array, offset: number, length: number) => {
      const reply = options.host.read(length);
      new Uint8Array(buffer.buffer, offset, reply.length).set(reply);
      return reply.length;
    },
  });
  fs.mkdev("/dev/sandloom", 0o666, device);
  // Open from the start, as the standard streams are: see DEVICE in sandloom/device.py.
  if (fs.open("/dev/sandloom", O_RDWR).fd !== DEVICE_FD) throw new InternalError("a new shell has open files");
  connectTerminals(fs, options.output);
  const thaw = freezeRoot(module);
  const standard = fs.streams.slice(0, DEVICE_FD + 1).map((s) => {
    const stream = s as FsStream;
    return { stream, ops: stream.stream_ops, flags: stream.flags };
  });

  return {
    module,
    linker,
    scratch: files,
    resetJavaScript: () => {
      linker.reset();
      // Whatever its number: a guest may have put one of its own in a standard one's place.
      for (const stream of fs.streams) {
        if (!stream || standard.some((kept) => kept.stream === stream)) continue;
        (stream.stream_ops["close"] as ((s: FsStream) => void) | undefined)?.(stream);
      }
      fs.streams.length = 0;
      standard.forEach(({ stream, ops, flags }, fd) => {
        fs.streams[fd] = stream;
        stream.fd = fd;
        stream.position = 0;
        stream.flags = flags;
        stream.stream_ops = ops;
      });
      fs.currentPath = "/home/pyodide";
      files.reset();
    },
    call: (address) => {
      const result = module._PyObject_CallNoArgs(address);
      if (result) module._Py_DecRef(result);
      else throw new Error("the entry of the image raised");
    },
    mount: (guestPath, type) => {
      const made = thaw(() => {
        const missing: string[] = [];
        for (let at = guestPath; at !== "/" && !fs.analyzePath(at).exists; at = at.slice(0, at.lastIndexOf("/")) || "/")
          missing.push(at);
        fs.mkdirTree(guestPath);
        return missing;
      });
      fs.mount(type, {}, guestPath);
      return () => {
        fs.unmount(guestPath);
        thaw(() => made.forEach((folder) => fs.rmdir(folder)));
      };
    },
    stackPointer: record.stackPointer,
    glueCacheData: () => script.createCachedData(),
  };
}

/**
 * `/dev/tty` and its like, by whatever descriptor. Emscripten's own collects a line in an array of numbers, which the next
 * component would find, and which has no bound; and it reads the standard input of the host.
 */
function connectTerminals(fs: EmscriptenFs, output: GuestOutput): void {
  const [stdout, stderr] = [fs.streams[1] as FsStream, fs.streams[2] as FsStream];
  const terminals = stdout.stream_ops;
  if (stderr.stream_ops !== terminals) throw new InternalError("terminals no longer share their operations");
  const errors = stderr.node.rdev;
  terminals["write"] = ({ node }: FsStream, buffer: Uint8Array, offset: number, length: number) => {
    output.write(node.rdev === errors ? "stderr" : "stdout", new Uint8Array(buffer.buffer, offset, length));
    return length;
  };
  terminals["read"] = () => 0;
}
