/**
 * The guest's file systems. Site-packages and mounted folders are read-only views; the root is frozen after boot; what a guest
 * may write (/tmp, /home, /out) are fresh in-memory mounts, thrown away at every reset.
 */
import { closeSync, type Dirent, openSync, readdirSync, readSync, realpathSync, type Stats, statSync } from "node:fs";
import { join, sep } from "node:path";
import type { EmscriptenFs, EmscriptenModule, FileSystemType, FsNode, FsStream } from "./emscripten.ts";

// Emscripten's errno values (WASI numbering).
const EACCES = 2;
const EINVAL = 28;
const EIO = 29;
const ENOENT = 44;
const ENOSPC = 51;
const EROFS = 69;

const FILE_KIND = 0o170000;
const FOLDER = 0o040000;
const REGULAR = 0o100000;

/** What a node itself holds, about. */
const NODE_BYTES = 512;

/** Fixed: a changing directory time would make importlib scan again. */
const FIXED_MTIME = 1.7e12;

const readOnlyOps = (fs: EmscriptenFs): Record<string, () => never> => {
  const refuse = (): never => {
    throw new fs.ErrnoError(EROFS);
  };
  return { setattr: refuse, mknod: refuse, unlink: refuse, rmdir: refuse, rename: refuse, symlink: refuse };
};

const seek = (fs: EmscriptenFs, stream: FsStream, offset: number, whence: number, size: number): number => {
  const position = whence === 1 ? offset + stream.position : whence === 2 ? offset + size : offset;
  if (position < 0) throw new fs.ErrnoError(EINVAL);
  return position;
};

const attributes = (node: FsNode, directory: boolean, size: number, mtime_ms: number): Record<string, unknown> => {
  const time = new Date(mtime_ms);
  return {
    dev: 99,
    ino: node.id,
    mode: node.mode,
    nlink: 1,
    uid: 0,
    gid: 0,
    rdev: 0,
    size: directory ? 4096 : size,
    atime: time,
    mtime: time,
    ctime: time,
    blksize: 4096,
    blocks: 1,
  };
};

/** Path → [offset, bytes] in one buffer. */
export type PackIndex = Readonly<Record<string, readonly [number, number]>>;
interface PackEntry {
  directory?: Map<string, PackEntry>;
  offset: number;
  bytes: number;
}

function packTree(index: PackIndex): PackEntry {
  const root: PackEntry = { directory: new Map(), offset: 0, bytes: 0 };
  for (const [path, [offset, bytes]] of Object.entries(index)) {
    const parts = path.split("/");
    const name = parts.pop() as string;
    let at = root;
    for (const part of parts) {
      const inside = at.directory as Map<string, PackEntry>;
      let next = inside.get(part);
      if (!next) inside.set(part, (next = { directory: new Map(), offset: 0, bytes: 0 }));
      at = next;
    }
    (at.directory as Map<string, PackEntry>).set(name, { offset, bytes });
  }
  return root;
}

/** Copies the pack's bytes from `offset` into `out`. */
export type ReadPack = (out: Uint8Array, offset: number) => void;

export const packInMemory =
  (data: Uint8Array): ReadPack =>
  (out, offset) =>
    out.set(data.subarray(offset, offset + out.length));

/** A pack that stays in its file: only what is imported is ever read, through a bounce buffer as in {@link hostFileSystem}. */
export function packInFile(fd: number): ReadPack {
  const bounce = new Uint8Array(1 << 16);
  return (out, offset) => {
    for (let done = 0; done < out.length;) {
      const got = readSync(fd, bounce, 0, Math.min(bounce.length, out.length - done), offset + done);
      if (got === 0) throw new RangeError("the site-packages pack ends early");
      out.set(bounce.subarray(0, got), done);
      done += got;
    }
  };
}

/** A read-only file system over one pack that all sandboxes share; the index is read when it is first looked into. */
export function packFileSystem(module: EmscriptenModule, index: () => PackIndex, readPack: ReadPack): FileSystemType {
  const fs = module.FS;
  const entries = new WeakMap<FsNode, PackEntry>();
  let tree: PackEntry | undefined;
  const root: PackEntry = {
    get directory() {
      return (tree ??= packTree(index())).directory as Map<string, PackEntry>;
    },
    offset: 0,
    bytes: 0,
  };
  const entry = (node: FsNode): PackEntry => entries.get(node) as PackEntry;
  const nodeOps = {
    ...readOnlyOps(fs),
    getattr: (node: FsNode) => attributes(node, entry(node).directory !== undefined, entry(node).bytes, FIXED_MTIME),
    lookup: (parent: FsNode, name: string) => {
      const found = entry(parent).directory?.get(name);
      if (!found) throw new fs.ErrnoError(ENOENT);
      return make(parent, name, found);
    },
    readdir: (node: FsNode) => [".", "..", ...(entry(node).directory?.keys() ?? [])],
  };
  const streamOps = {
    read(stream: FsStream, buffer: Uint8Array, offset: number, length: number, position: number): number {
      const { offset: start, bytes } = entry(stream.node);
      const count = Math.max(0, Math.min(length, bytes - position));
      readPack(new Uint8Array(buffer.buffer, buffer.byteOffset + offset, count), start + position);
      return count;
    },
    llseek: (stream: FsStream, offset: number, whence: number) =>
      seek(fs, stream, offset, whence, entry(stream.node).bytes),
  };
  function make(parent: FsNode | null, name: string, of: PackEntry): FsNode {
    const node = fs.createNode(parent, name, of.directory ? 0o40555 : 0o100444, 0);
    entries.set(node, of);
    node.node_ops = nodeOps;
    node.stream_ops = streamOps;
    return node;
  }
  return { mount: () => make(null, "/", root) };
}

/**
 * A read-only view of a host folder. Reads go through a bounce buffer: host code passes no address of linear memory to a
 * system call (a page of the window may be one that the kernel cannot fill).
 */
export function hostFileSystem(module: EmscriptenModule, hostFolder: string): FileSystemType {
  const fs = module.FS;
  const folder = realpathSync(hostFolder);
  const bounce = new Uint8Array(1 << 20);
  const paths = new WeakMap<FsNode, string>();
  const path = (node: FsNode): string => paths.get(node) as string;
  const opened = new WeakMap<FsStream, number>();
  const guard = <T>(work: () => T): T => {
    try {
      return work();
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code;
      throw new fs.ErrnoError(code === "ENOENT" ? ENOENT : code === "EACCES" || code === "EPERM" ? EACCES : EIO);
    }
  };
  /** A link may lead out of the mounted folder: what it points to must lie inside, and be a file or a folder. */
  const inside = (at: string): Stats | undefined => {
    const real = realpathSync(at);
    if (real !== folder && !real.startsWith(folder + sep)) return undefined;
    const stat = statSync(real);
    return stat.isDirectory() || stat.isFile() ? stat : undefined;
  };
  /** Listing a folder looks up everything in it: one name that cannot be looked up would hide all others. */
  const shown = (at: string, entry: Dirent): boolean => {
    if (!entry.isSymbolicLink()) return entry.isFile() || entry.isDirectory();
    try {
      return inside(join(at, entry.name)) !== undefined;
    } catch {
      return false;
    }
  };
  const nodeOps = {
    ...readOnlyOps(fs),
    getattr: (node: FsNode) => {
      const stat = guard(() => statSync(path(node)));
      return attributes(node, stat.isDirectory(), stat.size, stat.mtimeMs);
    },
    lookup: (parent: FsNode, name: string) => make(parent, name, join(path(parent), name)),
    readdir: (node: FsNode) => [
      ".",
      "..",
      ...guard(() => readdirSync(path(node), { withFileTypes: true }))
        .filter((entry) => shown(path(node), entry))
        .map((e) => e.name),
    ],
  };
  const streamOps = {
    open: (stream: FsStream) => {
      opened.set(
        stream,
        guard(() => openSync(path(stream.node), "r")),
      );
    },
    close: (stream: FsStream) => {
      const fd = opened.get(stream);
      opened.delete(stream);
      if (fd !== undefined) closeSync(fd);
    },
    read(stream: FsStream, buffer: Uint8Array, offset: number, length: number, position: number): number {
      let done = 0;
      while (done < length) {
        const want = Math.min(bounce.length, length - done);
        const got = guard(() => readSync(opened.get(stream) as number, bounce, 0, want, position + done));
        if (got === 0) break;
        buffer.set(got === bounce.length ? bounce : bounce.subarray(0, got), offset + done);
        done += got;
      }
      return done;
    },
    llseek: (stream: FsStream, offset: number, whence: number) =>
      seek(
        fs,
        stream,
        offset,
        whence,
        guard(() => statSync(path(stream.node)).size),
      ),
  };
  function make(parent: FsNode | null, name: string, at: string): FsNode {
    const stat = guard(() => inside(at));
    if (!stat) throw new fs.ErrnoError(EACCES);
    const node = fs.createNode(parent, name, stat.isDirectory() ? 0o40555 : 0o100444, 0);
    paths.set(node, at);
    node.node_ops = nodeOps;
    node.stream_ops = streamOps;
    return node;
  }
  return { mount: () => make(null, "/", folder) };
}

/**
 * From here on nothing under the root can be made, renamed, removed or changed; mounts keep their own rules. The answer runs
 * a piece of host code with the root thawed.
 */
export function freezeRoot(module: EmscriptenModule): <T>(work: () => T) => T {
  const fs = module.FS;
  let frozen = true;
  const guarded = (operation: unknown): unknown =>
    typeof operation !== "function"
      ? operation
      : (...args: unknown[]): unknown => {
          if (frozen) throw new fs.ErrnoError(EROFS);
          return (operation as (...a: unknown[]) => unknown)(...args);
        };
  const changes = ["setattr", "mknod", "unlink", "rmdir", "rename", "symlink"];
  const freeze = (node: FsNode): void => {
    if (node.mounted !== undefined && node.mounted !== null) return;
    const ops = { ...node.node_ops };
    for (const name of changes) ops[name] = guarded(ops[name]);
    node.node_ops = ops;
    const { contents } = node;
    if (contents && typeof contents === "object" && !ArrayBuffer.isView(contents))
      for (const child of Object.values(contents as Record<string, FsNode>)) freeze(child);
    // Devices keep their stream operations: /dev/null and the like are written to.
    else if ((node.mode & FILE_KIND) === REGULAR)
      node.stream_ops = { ...node.stream_ops, write: guarded(node.stream_ops["write"]) };
  };
  for (const child of Object.values(fs.root.contents as Record<string, FsNode>)) freeze(child);
  const rootOps = { ...fs.root.node_ops };
  for (const name of changes) rootOps[name] = guarded(rootOps[name]);
  fs.root.node_ops = rootOps;
  return (work) => {
    frozen = false;
    try {
      return work();
    } finally {
      frozen = true;
    }
  };
}

/** In-memory folders that a guest may write, with one bound over their sum. */
export class ScratchFolders {
  readonly #module: EmscriptenModule;
  readonly #folders: readonly string[];
  readonly #limit_bytes: () => number;
  #used_bytes = 0;
  /** Something was made or changed: only then is there anything to throw away. */
  #touched = false;

  constructor(module: EmscriptenModule, folders: readonly string[], limit_bytes: () => number) {
    this.#module = module;
    this.#folders = folders;
    this.#limit_bytes = limit_bytes;
    for (const folder of folders) module.FS.mkdirTree(folder);
    this.#mount();
  }

  get used_bytes(): number {
    return this.#used_bytes;
  }

  /** Counts bytes that the guest keeps in the host: @throws ErrnoError past the bound. */
  charge(more_bytes: number): void {
    if (more_bytes > 0 && this.#used_bytes + more_bytes > this.#limit_bytes())
      throw new this.#module.FS.ErrnoError(ENOSPC);
    this.#used_bytes += more_bytes;
    this.#touched = true;
  }

  /** Every file below a folder, copied. */
  files(folder: string): { path: string; bytes: Uint8Array }[] {
    const fs = this.#module.FS;
    const found: { path: string; bytes: Uint8Array }[] = [];
    const walk = (at: string): void => {
      for (const name of fs.readdir(at)) {
        if (name === "." || name === "..") continue;
        const path = `${at}/${name}`;
        const kind = fs.lookupPath(path, { follow: false }).node.mode & FILE_KIND;
        if (kind === FOLDER) walk(path);
        else if (kind === REGULAR) found.push({ path: path.slice(folder.length + 1), bytes: fs.readFile(path) });
      }
    };
    walk(folder);
    return found;
  }

  /** Throws everything away. */
  reset(): void {
    if (!this.#touched) return;
    for (const folder of this.#folders) this.#module.FS.unmount(folder);
    this.#mount();
  }

  #mount(): void {
    const fs = this.#module.FS;
    this.#used_bytes = 0;
    this.#touched = false;
    for (const folder of this.#folders) {
      const root = fs.mount(fs.filesystems.MEMFS, {}, folder);
      this.#bound(root);
    }
  }

  /** Wraps the operations that make or lengthen files, so that the bound holds in every node below. */
  #bound(node: FsNode): void {
    const mknod = node.node_ops["mknod"] as
      | ((parent: FsNode, name: string, mode: number, dev: number) => FsNode)
      | undefined;
    const setattr = node.node_ops["setattr"] as (n: FsNode, attr: { size?: number }) => void;
    const touching = <A extends unknown[], R>(work: (...args: A) => R) => {
      return (...args: A): R => {
        this.#touched = true;
        return work(...args);
      };
    };
    const charge = (more_bytes: number): void => this.charge(more_bytes);
    const ops = { ...node.node_ops };
    for (const name of ["unlink", "rmdir", "rename"])
      if (ops[name]) ops[name] = touching(ops[name] as (...args: unknown[]) => unknown);
    const symlink = ops["symlink"] as ((parent: FsNode, name: string, target: string) => FsNode) | undefined;
    if (symlink)
      ops["symlink"] = (parent: FsNode, name: string, target: string): FsNode => {
        charge(NODE_BYTES + target.length);
        return symlink(parent, name, target);
      };
    node.node_ops = {
      ...ops,
      ...(mknod
        ? {
            mknod: touching((parent: FsNode, name: string, mode: number, dev: number): FsNode => {
              charge(NODE_BYTES);
              const made = mknod(parent, name, mode, dev);
              this.#bound(made);
              return made;
            }),
          }
        : {}),
      setattr: touching((n: FsNode, attr: { size?: number }): void => {
        if (attr.size !== undefined) charge(attr.size - (n.usedBytes ?? 0));
        setattr(n, attr);
      }),
    };
    const write = node.stream_ops["write"] as
      | ((s: FsStream, b: Uint8Array, o: number, l: number, p: number, c?: boolean) => number)
      | undefined;
    const msync = node.stream_ops["msync"] as
      | ((s: FsStream, b: Uint8Array, o: number, l: number, flags: number) => number)
      | undefined;
    if (write && msync)
      node.stream_ops = {
        ...node.stream_ops,
        // Writes past the operation above.
        msync: (s: FsStream, b: Uint8Array, o: number, length: number, flags: number): number => {
          charge(Math.max(0, o + length - (s.node.usedBytes ?? 0)));
          return msync(s, b, o, length, flags);
        },
        write: (s: FsStream, b: Uint8Array, o: number, length: number, p: number): number => {
          charge(Math.max(0, p + length - (s.node.usedBytes ?? 0)));
          return write(s, b, o, length, p, false);
        },
      };
  }
}
