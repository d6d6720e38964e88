/**
 * A guest's pipes. Emscripten's hold what is written to them without a bound, outside of linear memory, and it keeps their nodes for ever:
 * here what they hold counts as files do, and they go when they are closed.
 */
import type { EmscriptenModule, FsNode, FsStream } from "./emscripten.ts";
import type { ScratchFolders } from "./guest-files.ts";

/** What an empty pipe holds, about: its first buffer, and two nodes. */
const PIPE_BYTES = 9 * 1024;

interface PipeNode extends FsNode {
  /** Null when no descriptor is left. */
  readonly pipe: { readonly buckets: readonly { readonly offset: number; readonly roffset: number }[] | null };
}

type Make = (pointer: number) => number;
type Transfer = (stream: FsStream, buffer: Uint8Array, offset: number, length: number, position: number) => number;

/** `make` is Emscripten's `pipe()`, which writes two descriptors to where `pointer` says. */
export function boundPipes(make: Make, shell: () => { module: EmscriptenModule; files: ScratchFolders }): Make {
  let operations: FsStream["stream_ops"] | undefined;
  return (pointer) => {
    const { module, files } = shell();
    const fs = module.FS;
    try {
      files.charge(PIPE_BYTES);
    } catch (error) {
      return -(error as { errno: number }).errno;
    }
    const failed = make(pointer);
    if (failed !== 0) return failed;
    const words = new Int32Array(module.HEAPU8.buffer);
    for (const at of [0, 1]) {
      const stream = fs.streams[words[(pointer >>> 2) + at] as number] as FsStream;
      // No path leads to it.
      fs.hashRemoveNode(stream.node);
      if (operations) continue;
      operations = stream.stream_ops;
      const { write, read, close } = operations as { write: Transfer; read: Transfer; close: (s: FsStream) => void };
      operations["write"] = (s: FsStream, buffer: Uint8Array, offset: number, length: number, position: number) => {
        files.charge(length);
        return write(s, buffer, offset, length, position);
      };
      operations["read"] = (s: FsStream, buffer: Uint8Array, offset: number, length: number, position: number) => {
        const got = read(s, buffer, offset, length, position);
        files.charge(-got);
        return got;
      };
      operations["close"] = (s: FsStream) => {
        const { pipe } = s.node as PipeNode;
        const held_bytes = pipe.buckets?.reduce((sum, { offset, roffset }) => sum + offset - roffset, 0) ?? 0;
        close(s);
        if (pipe.buckets === null) files.charge(-PIPE_BYTES - held_bytes);
      };
    }
    return 0;
  };
}
