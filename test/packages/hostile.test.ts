// Wheels that were made to do harm: nothing of them lands anywhere, and the refusal names them.
import { zipSync } from "fflate";
import { describe, expect, test } from "vitest";
import { packWheels } from "../../src/cluster/requirements/pack.ts";
import { readFiles, readMetadata } from "../../src/cluster/requirements/wheel.ts";
import { SandloomError } from "../../src/graph/errors.ts";
import { makeWheel } from "./wheels.ts";

const refused = (work: () => unknown): SandloomError => {
  try {
    work();
  } catch (error) {
    expect(error).toBeInstanceOf(SandloomError);
    expect((error as SandloomError).code).toBe("RequirementRefused");
    return error as SandloomError;
  }
  throw new Error("it was taken");
};

const withMember = (path: string): (() => unknown) => {
  const { file, bytes } = makeWheel("lib", "1.0", { files: { "lib.py": "", [path]: "x = 1\n" } });
  return () => readFiles(file, bytes);
};

describe("a member", () => {
  test.each([
    "../outside.py",
    "lib/../../outside.py",
    "/etc/passwd",
    "lib/./a.py",
    "lib//a.py",
    "..\\outside.py",
    "C:/windows.py",
    "lib/a\u0000.py",
    "__proto__/a.py",
    `lib/${"long/".repeat(200)}a.py`,
    "lib-1.0.data/purelib/../../outside.py",
  ])("at %j is refused", (path) => {
    expect(refused(withMember(path)).details).toMatchObject({ wheel: "lib-1.0-py3-none-any.whl", reason: "bad-wheel" });
  });

  test("of purelib or platlib lands where it belongs; scripts, headers and compiled files nowhere", () => {
    const { file, bytes } = makeWheel("lib", "1.0", {
      files: {
        "lib/__init__.py": "",
        "lib/_fast.cpython-314-x86_64-linux-gnu.so": "ELF",
        "lib-1.0.data/purelib/pure.py": "",
        "lib-1.0.data/platlib/plat.py": "",
        "lib-1.0.data/scripts/run": "#!python",
        "lib-1.0.data/headers/lib.h": "",
        "lib-1.0.data/data/share/man.1": "",
      },
    });
    const paths = [...readFiles(file, bytes).keys()].filter((path) => !path.includes("dist-info"));
    expect(paths.toSorted()).toEqual(["lib/__init__.py", "plat.py", "pure.py"]);
  });

  test("that is a file in one wheel and a folder in another is refused", () => {
    const wheels = [
      makeWheel("one", "1.0", { files: { "name/inner.py": "" } }),
      makeWheel("two", "1.0", { files: { name: "a file" } }),
    ];
    expect(refused(() => packWheels(wheels)).details).toMatchObject({ path: "name", reason: "bad-wheel" });
  });
});

describe("a size", () => {
  const zeros = new Uint8Array(200 * 2 ** 20);

  test("is counted before anything is unpacked", () => {
    const bomb = makeWheel("bomb", "1.0", { files: { "a.py": zeros, "b.py": zeros } });
    expect(bomb.bytes.length).toBeLessThan(2 ** 20);
    const start = process.memoryUsage().arrayBuffers;
    expect(refused(() => readFiles(bomb.file, bomb.bytes)).details).toMatchObject({
      limit: "unpacked_bytes",
      bound: 256 * 2 ** 20,
      value: 400 * 2 ** 20,
    });
    expect(process.memoryUsage().arrayBuffers - start).toBeLessThan(50 * 2 ** 20);
  });

  test("counts for all wheels together", () => {
    const wheels = [1, 2].map((n) => makeWheel(`lib${n}`, "1.0", { files: { [`lib${n}.py`]: zeros } }));
    expect(refused(() => packWheels(wheels)).details).toMatchObject({ limit: "unpacked_bytes", reason: "too-large" });
  });

  test("that a wheel lies about gives no more than it said", () => {
    const { file, bytes } = makeWheel("lib", "1.0", { files: { "lib.py": new Uint8Array(1 << 20).fill(35) } });
    // The size in the directory entry of lib.py: 24 bytes behind its signature.
    const lying = Buffer.from(bytes);
    const entry = lying.indexOf(Buffer.from([0x50, 0x4b, 1, 2]));
    lying.writeUInt32LE(10, entry + 24);
    expect(readFiles(file, lying).get("lib.py")?.length ?? 0).toBeLessThanOrEqual(10);
  });

  test("of METADATA has a bound of its own", () => {
    const wheel = makeWheel("lib", "1.0", { metadata: `Name: lib\nVersion: 1.0\n${"X: y\n".repeat(400_000)}\n` });
    expect(refused(() => readMetadata(wheel.file, wheel.bytes)).details).toMatchObject({ limit: "metadata_bytes" });
  });

  test("is bounded by the number of files, too", () => {
    const files = Object.fromEntries(Array.from({ length: 20_001 }, (_, at) => [`lib/m${at}.py`, ""]));
    const wheel = makeWheel("lib", "1.0", { files });
    expect(refused(() => readFiles(wheel.file, wheel.bytes)).details).toMatchObject({ limit: "files", bound: 20_000 });
  });
});

describe("a wheel", () => {
  test.each([
    ["is no zip", new TextEncoder().encode("<html>not found</html>")],
    ["is empty", new Uint8Array(0)],
    ["was cut short", makeWheel("lib", "1.0").bytes.subarray(0, 200)],
    ["has no METADATA", zipSync({ "lib.py": new Uint8Array(1) })],
    [
      "has two",
      zipSync({ "lib-1.0.dist-info/METADATA": new Uint8Array(1), "more-1.0.dist-info/METADATA": new Uint8Array(1) }),
    ],
    ["is another project's", makeWheel("evil", "1.0").bytes],
  ])("that %s is refused", (_, bytes) => {
    expect(refused(() => readMetadata("lib-1.0-py3-none-any.whl", bytes)).details).toMatchObject({
      wheel: "lib-1.0-py3-none-any.whl",
    });
  });

  test("that lies nowhere twice is packed the same from the same files", () => {
    const wheels = [makeWheel("b", "1.0"), makeWheel("a", "1.0")];
    const once = Buffer.concat(packWheels(wheels));
    expect(Buffer.concat(packWheels(wheels.toReversed())).equals(once)).toBe(true);
  });
});
