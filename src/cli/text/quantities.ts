/** Quantities as people read them. GB = 1e9 bytes, as in the resource report. */

const BYTE_UNITS = ["B", "kB", "MB", "GB", "TB"] as const;

/** `0 B`, `680 B`, `1.05 MB`, `134 MB`. */
export function bytesText(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 999.5 && unit < BYTE_UNITS.length - 1) {
    value /= 1_000;
    unit++;
  }
  return `${unit === 0 ? String(Math.round(value)) : threeDigits(value)} ${BYTE_UNITS[unit]}`;
}

/** `0.4 ms`, `12.3 ms`, `1.23 s`, `2m05s`. */
export function durationText(ms: number): string {
  if (ms < 999.5) return `${ms < 99.95 ? ms.toFixed(1) : ms.toFixed(0)} ms`;
  const s = ms / 1_000;
  if (s < 59.95) return `${s < 9.995 ? s.toFixed(2) : s.toFixed(1)} s`;
  const whole = Math.round(s);
  return `${Math.floor(whole / 60)}m${String(whole % 60).padStart(2, "0")}s`;
}

/** Three significant digits, without an exponent as long as it can be read. */
export function amountText(value: number): string {
  if (value === 0) return "0";
  if (Math.abs(value) < 1e-6) return value.toExponential(1);
  return threeDigits(value);
}

/** `1 component`, `3 components`. */
export function countText(count: number, noun: string): string {
  return `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;
}

function threeDigits(value: number): string {
  const rounded = Number(value.toPrecision(3));
  const decimals = 2 - Math.floor(Math.log10(Math.abs(rounded)));
  return rounded.toFixed(Math.max(0, decimals));
}
