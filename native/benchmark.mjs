// Times of the addon's operations:  node native/benchmark.mjs    (medians and best, in milliseconds)
import { createRequire } from "node:module";
import { closeSync, ftruncateSync, mkdtempSync, openSync, rmSync, writeSync } from "node:fs";
import { randomBytes } from "node:crypto";
import { tmpdir } from "node:os";
import { join } from "node:path";

const native = createRequire(import.meta.url)("./build/Release/sandloom.node");
const MiB = 2 ** 20;
let sum = 0; // keeps the reads
const folder = mkdtempSync(join(tmpdir(), "sandloom-bench-"));

function report(name, times) {
  times.sort((a, b) => a - b);
  const [median, best] = [times[times.length >> 1], times[0]].map((time) => time.toFixed(4).padStart(9));
  console.log(`${name.padEnd(58)} ${median} ${best}`);
}

function time(name, rounds, work, before = () => {}) {
  const times = [];
  for (let round = 0; round < rounds; round++) {
    before();
    const start = performance.now();
    work();
    times.push(performance.now() - start);
  }
  report(name, times);
}

function writeSparse(path, bytes, pieces) {
  const file = openSync(path, "w");
  ftruncateSync(file, bytes);
  const piece = randomBytes(MiB);
  for (let index = 0; index < pieces; index++) writeSync(file, piece, 0, MiB, index * MiB);
  closeSync(file);
  return path;
}

console.log(`${"operation".padEnd(58)} ${"median".padStart(9)} ${"best".padStart(9)}`);
native.storeConfigure({ slab_bytes: 256 * MiB, capacity_bytes: 4096 * MiB, idle_bytes: 512 * MiB });
const account = native.accountOpen(4096 * MiB);

const sparse = writeSparse(join(folder, "sparse"), 2700 * MiB, 57);
const opens = [];
for (let round = 0; round < 9; round++) {
  const start = performance.now();
  const opened = await native.imageOpen(sparse, null);
  opens.push(performance.now() - start);
  native.imageClose(opened.id);
}
report("imageOpen, 57 MiB of data in 2.7 GiB", opens);

const image = await native.imageOpen(writeSparse(join(folder, "heap"), 75 * MiB + 256 * MiB, 57), null);
const memory = new WebAssembly.Memory({ initial: 340 * 16, maximum: 65536 });
const bytes = new Uint8Array(memory.buffer);
const space = native.spaceCreate(bytes, { window_offset: 75 * MiB, window_bytes: 256 * MiB });
space.mapImage(image.id, false);
time("mapImage, clean", 50, () => space.mapImage(image.id, false));

time("region allocate + release, 4 KiB", 5000, () => native.regionRelease(native.regionAllocate(account, 4096)));
time("region allocate + release, 1 MiB", 500, () => native.regionRelease(native.regionAllocate(account, MiB)));
time("region allocate, fresh 256 MiB", 3, () => native.regionAllocate(account, 256 * MiB));
for (const [label, size] of [
  ["4 KiB", 4096],
  ["1 MiB", MiB],
  ["64 MiB", 64 * MiB],
]) {
  const region = native.regionAllocate(account, size);
  for (const writable of [false, true]) {
    const cycle = (touched_bytes) => () => {
      const offset = space.attach(region, writable, false);
      for (let at = offset; at < offset + touched_bytes; at += 4096) {
        if (writable) bytes[at] = 1;
        else sum += bytes[at];
      }
      space.detach(region);
    };
    const mode = writable ? "write" : "read";
    time(`attach + detach, ${label}, ${mode}`, 500, cycle(0));
    time(`attach + touch every page + detach, ${label}, ${mode}`, 50, cycle(size));
  }
}

for (const pages of [0, 130, 950, 4000, 12000]) {
  const dirty = () => {
    for (let page = 0; page < pages; page++) bytes[page * 4096 + 9] ^= 1;
  };
  space.mapImage(image.id, false);
  dirty();
  time(`reset, ${pages} dirty pages`, 50, () => space.reset(), dirty);
  time(`the writes after such a reset`, 50, dirty, () => space.reset());
  time(`mapImage, ${pages} dirty pages`, 20, () => space.mapImage(image.id, false), dirty);
  time(`the writes after such a mapImage`, 20, dirty, () => space.mapImage(image.id, false));
}
time("dirtyPages, 12000 dirty", 20, () => space.dirtyPages());
time("privateBytes", 50, () => space.privateBytes());
time("processMemory", 20, () => native.processMemory());
space.close();
native.accountClose(account);
rmSync(folder, { recursive: true });
