import { describe, expect, test } from "vitest";
import { parseCpus, parseDuration, parseSize } from "../../src/cli/input/units.ts";

describe("durations", () => {
  test.each([
    ["500ms", 500],
    ["30s", 30_000],
    ["1m30s", 90_000],
    ["2h", 7_200_000],
    ["1h2m3s4ms", 3_723_004],
    ["1.5s", 1_500],
    [" 10s ", 10_000],
  ])("%s is %i ms", (text, ms) => expect(parseDuration(text)).toBe(ms));

  test.each([
    ["30", '"30" is not a duration: a unit is missing; write 30s or 30ms'],
    ["", '"" is not a duration: write it like 500ms, 30s, 1m30s or 2h'],
    ["soon", '"soon" is not a duration: write it like 500ms, 30s, 1m30s or 2h'],
    ["30 s", '"30 s" is not a duration: write it like 500ms, 30s, 1m30s or 2h'],
    ["-5s", '"-5s" is not a duration: write it like 500ms, 30s, 1m30s or 2h'],
    ["30s1m", '"30s1m" is not a duration: units go from large to small, each once, as in 1h30m'],
    ["1s1s", '"1s1s" is not a duration: units go from large to small, each once, as in 1h30m'],
    ["0s", '"0s" is not a duration: it must be at least 1ms'],
    ["999h", '"999h" is not a duration: the longest is 24 days'],
  ])("%j is refused with what to write", (text, message) => {
    expect(() => parseDuration(text)).toThrow(expect.objectContaining({ code: "BadInput", message }));
  });
});

describe("sizes", () => {
  test.each([
    ["512MiB", 512 * 2 ** 20],
    ["2GB", 2e9],
    ["2GiB", 2 * 2 ** 30],
    ["1.5 GiB", 1.5 * 2 ** 30],
    ["64kB", 64_000],
    ["4096", 4_096],
    ["1B", 1],
  ])("%s is %i bytes", (text, bytes) => expect(parseSize(text)).toBe(bytes));

  test.each([
    ["2G", '"2G" is not a size: "G" is no unit of bytes; write 2GB (powers of 1000) or 2GiB (powers of 1024)'],
    [
      "512mb",
      '"512mb" is not a size: "mb" is no unit of bytes; write 512MB (powers of 1000) or 512MiB (powers of 1024)',
    ],
    ["3 apples", '"3 apples" is not a size: "apples" is no unit of bytes; write it like 512MiB or 2GB'],
    ["lots", '"lots" is not a size: write it like 512MiB, 2GB or 4096 (bytes)'],
    ["-1GB", '"-1GB" is not a size: write it like 512MiB, 2GB or 4096 (bytes)'],
    ["", '"" is not a size: write it like 512MiB, 2GB or 4096 (bytes)'],
    ["0", '"0" is not a size: it must be at least 1 byte'],
    ["99999999TB", '"99999999TB" is not a size: that is more than any machine has'],
  ])("%j is refused with what to write", (text, message) => {
    expect(() => parseSize(text)).toThrow(expect.objectContaining({ code: "BadInput", message }));
  });
});

describe("CPUs", () => {
  test("are a whole number from 1", () => expect(parseCpus("8")).toBe(8));

  test.each(["0", "-1", "1.5", "two", "", "1e9"])("%j is refused", (text) => {
    expect(() => parseCpus(text)).toThrow(`"${text}" is not a number of CPUs: write a whole number from 1`);
  });
});
