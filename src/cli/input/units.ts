/** Durations and sizes as people write them. */
import { BadInput } from "../../graph/errors.ts";

const MS_OF: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };
const BYTES_OF: Readonly<Record<string, number>> = {
  B: 1,
  kB: 1e3,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
  TiB: 2 ** 40,
};
/** Node's timers hold 32 bits of milliseconds; a longer one fires at once. */
const LONGEST_MS = 2 ** 31 - 1;

/** `500ms`, `30s`, `1m30s`, `2h` → milliseconds. */
export function parseDuration(text: string): number {
  const trimmed = text.trim();
  if (/^\d+(\.\d+)?$/.test(trimmed))
    throw bad("duration", text, `a unit is missing; write ${trimmed}s or ${trimmed}ms`);
  const parts = [...trimmed.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h)/g)];
  if (trimmed === "" || parts.map((part) => part[0]).join("") !== trimmed) {
    throw bad("duration", text, "write it like 500ms, 30s, 1m30s or 2h");
  }
  let total_ms = 0;
  let last = Infinity;
  for (const [, number, unit] of parts) {
    const unit_ms = MS_OF[unit!]!;
    if (unit_ms >= last) throw bad("duration", text, "units go from large to small, each once, as in 1h30m");
    last = unit_ms;
    total_ms += Number(number) * unit_ms;
  }
  total_ms = Math.round(total_ms);
  if (total_ms < 1) throw bad("duration", text, "it must be at least 1ms");
  if (total_ms > LONGEST_MS) throw bad("duration", text, "the longest is 24 days");
  return total_ms;
}

/** `512MiB`, `2GB`, `1.5GiB`, `4096` → bytes. `MB` is a million bytes, `MiB` is 1,048,576. */
export function parseSize(text: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*([A-Za-z]*)$/.exec(text.trim());
  if (!match) throw bad("size", text, "write it like 512MiB, 2GB or 4096 (bytes)");
  const [, number, unit] = match;
  const unit_bytes = unit === "" ? 1 : BYTES_OF[unit!];
  if (unit_bytes === undefined) {
    const letter = /^[kKmMgGtT]/.exec(unit!)?.[0]?.toUpperCase();
    const hint = letter
      ? `write ${number}${letter}B (powers of 1000) or ${number}${letter}iB (powers of 1024)`
      : "write it like 512MiB or 2GB";
    throw bad("size", text, `"${unit}" is no unit of bytes; ${hint}`);
  }
  const bytes = Math.round(Number(number) * unit_bytes);
  if (bytes < 1) throw bad("size", text, "it must be at least 1 byte");
  if (!Number.isSafeInteger(bytes)) throw bad("size", text, "that is more than any machine has");
  return bytes;
}

/** A whole number of CPUs. */
export function parseCpus(text: string): number {
  const cpus = Number(text);
  if (!/^\d+$/.test(text.trim()) || cpus < 1 || cpus > 4096) {
    throw bad("number of CPUs", text, "write a whole number from 1");
  }
  return cpus;
}

function bad(what: string, text: string, fix: string): Error {
  return new BadInput(`"${text}" is not a ${what}: ${fix}`, { text });
}
