// Which wheels a requirements file comes to, against a real index over HTTP and a real folder of wheels.
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { Requirements } from "../../src/cluster/requirements/requirements.ts";
import { SandloomError } from "../../src/graph/errors.ts";
import { lockedPackages } from "../../src/sandbox/runtime/catalogue.ts";
import { makeWheel, TestIndex, type WheelOptions, writeWheels } from "./wheels.ts";

const folder = mkdtempSync(join(tmpdir(), "sandloom-packages-"));
let index: TestIndex;
let count = 0;
let cacheDir: string;
const said: string[] = [];

beforeAll(async () => {
  index = await TestIndex.start();
  process.env["PIP_INDEX_URL"] = index.url;
});
afterAll(async () => {
  await index[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});
beforeEach(() => {
  cacheDir = join(folder, `cache${count++}`);
  delete process.env["SANDLOOM_WHEELS"];
});
afterEach(() => index.clear());

const requirements = (): Requirements => new Requirements({ cacheDir, onProgress: (line) => said.push(line) });

const add = (name: string, version: string, options: WheelOptions = {}): string => {
  const wheel = makeWheel(name, version, options);
  index.add(name.toLowerCase().replaceAll(/[-_.]+/g, "-"), wheel);
  return wheel.sha256;
};

const resolve = async (text: string): Promise<Record<string, string>> => {
  const { packages } = await requirements().resolve(text, "standard");
  return Object.fromEntries(packages.map(({ name, version }) => [name, version]));
};

const refused = async (text: string): Promise<SandloomError> => {
  const error: unknown = await requirements()
    .resolve(text, "standard")
    .catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(SandloomError);
  return error as SandloomError;
};

describe("the newest version", () => {
  test("that all who ask for a package accept is taken, and what it needs with it", async () => {
    for (const version of ["1.0", "1.9", "1.10", "2.0"]) add("lib", version);
    add("tool", "3.0", { requires: ["lib<2", "Helper ; sys_platform == 'emscripten'", "winapi ; os_name == 'nt'"] });
    add("helper", "0.1");
    expect(await resolve("Tool\nLIB>=1.1")).toEqual({ helper: "0.1", lib: "1.10", tool: "3.0" });
  });

  test("is no pre-release, unless one is asked for or nothing else is there", async () => {
    for (const version of ["1.0", "2.0rc1"]) add("lib", version);
    add("early", "0.1b1");
    expect(await resolve("lib\nearly")).toEqual({ early: "0.1b1", lib: "1.0" });
    expect(await resolve("lib>=2.0rc1")).toEqual({ lib: "2.0rc1" });
  });

  test("is sought among pre-releases only where there is no release that fits, whatever the releases need", async () => {
    add("lib", "1.0", { requires: ["numpy<1"] });
    add("lib", "0.9rc1");
    expect((await refused("lib")).details).toMatchObject({ package: "numpy", reason: "base-version" });
  });

  test("is none that was withdrawn, unless it is named", async () => {
    add("lib", "1.0");
    index.add("lib", makeWheel("lib", "1.1"), { yanked: "broken" });
    expect(await resolve("lib")).toEqual({ lib: "1.0" });
    expect(await resolve("lib==1.1")).toEqual({ lib: "1.1" });
    expect((await refused("lib>1.0")).details).toMatchObject({ reason: "yanked", package: "lib" });
  });

  test("is one for the Python of sandboxes", async () => {
    add("lib", "1.0");
    index.add("lib", makeWheel("lib", "2.0"), { "requires-python": ">=3.15" });
    add("lib", "1.5", { python: "<3.14" });
    expect(await resolve("lib")).toEqual({ lib: "1.0" });
    expect((await refused("lib>1")).details).toMatchObject({ reason: "python" });
  });

  test("may have extras, which need more", async () => {
    add("lib", "1.0", { extras: ["Fast_Path"], requires: ["turbo ; extra == 'fast-path'", "plain"] });
    add("turbo", "1.0", { requires: ["lib[more]"] });
    add("plain", "1.0");
    expect(await resolve("lib")).toEqual({ lib: "1.0", plain: "1.0" });
    expect(await resolve("plain\nlib[fast.path]")).toEqual({ lib: "1.0", plain: "1.0", turbo: "1.0" });
  });

  test("is found by going back where the newest ones contradict each other", async () => {
    for (const version of ["1.0", "2.0", "3.0"]) add("base", version);
    add("app", "1.0", { requires: ["base<2"] });
    add("app", "2.0", { requires: ["base<3"] });
    add("other", "1.0", { requires: ["base<2"] });
    add("other", "2.0", { requires: ["base>=9"] });
    // base 3.0 is met first, other 2.0 can never be, and app 2.0 takes the same base as other 1.0.
    expect(await resolve("base\napp\nother")).toEqual({ app: "2.0", base: "1.0", other: "1.0" });
  });

  test("may need what needs it", async () => {
    add("one", "1.0", { requires: ["two"] });
    add("two", "1.0", { requires: ["one>=1", "two"] });
    expect(await resolve("one")).toEqual({ one: "1.0", two: "1.0" });
  });
});

describe("the base image", () => {
  const numpy = (): string => lockedPackages()["numpy"]?.version ?? "";

  test("meets a requirement that its version fits, and nobody is asked", async () => {
    add("lib", "1.0", { requires: ["numpy>=1.20", "Python_DateUtil"] });
    expect(await resolve(`numpy>=2\npandas\nlib`)).toEqual({ lib: "1.0" });
    expect(index.asked.filter((path) => path.includes("numpy"))).toEqual([]);
    expect(await resolve(`numpy==${numpy()}`)).toEqual({});
  });

  test("has one version: another is refused by name", async () => {
    add("lib", "1.0", { requires: ["numpy<2"] });
    const error = await refused("lib");
    expect(error.details).toMatchObject({ reason: "base-version", package: "numpy", value: numpy() });
    expect(error.message).toContain("lib 1.0 needs numpy<2");
  });

  test("is a larger one where SciPy or scikit-learn are asked for, directly or not", async () => {
    add("plots", "1.0", { requires: ["scipy>=1.10"] });
    add("learn", "1.0", { requires: ["plots", "scikit_learn", "joblib"] });
    add("joblib", "9.0");
    const found = async (text: string): Promise<unknown[]> => {
      const { base, packages } = await requirements().resolve(text, "standard");
      return [base, ...packages.map(({ name, version }) => `${name} ${version}`)];
    };
    expect(await found("plots")).toEqual(["scipy", "plots 1.0"]);
    expect(await found("learn")).toEqual(["sklearn", "learn 1.0", "plots 1.0"]);
    // Of Python files alone: for it no base grows.
    expect(await found("joblib")).toEqual(["standard", "joblib 9.0"]);
    const { base } = await requirements().resolve("joblib", "sklearn");
    expect(base).toBe("sklearn");
    expect((await refused("scipy<1")).details).toMatchObject({ package: "scipy", reason: "base-version" });
  });

  test("has extras, of which what it lacks is added", async () => {
    add("openpyxl", "3.1.5");
    add("xlsxwriter", "3.2.0");
    for (const name of ["odfpy", "pyxlsb", "python-calamine", "xlrd"]) add(name, "9.0");
    expect(Object.keys(await resolve("pandas[excel]"))).toContain("openpyxl");
  });
});

describe("what cannot work is refused by name, with the reason", () => {
  test("compiled code", async () => {
    add("fast", "1.0", { tag: "cp314-cp314-manylinux_2_17_x86_64" });
    add("lib", "1.0", { requires: ["fast>=1"] });
    const error = await refused("lib");
    expect(error.code).toBe("RequirementRefused");
    expect(error.details).toMatchObject({ package: "fast", reason: "native" });
    expect(error.message).toMatch(
      /^fast cannot be used: its wheels have compiled code.*Asked for: fast>=1 \(lib 1.0\)/,
    );
  });

  test("what the newest version needs, where older ones need it too; one that does without is taken", async () => {
    // As jsonschema, referencing and rpds-py are: each of the two has many versions, and all need the third.
    add("core", "1.0", { tag: "cp314-cp314-win_amd64" });
    for (let at = 1; at < 80; at++) {
      add("schema", `4.${at}`, { requires: ["refs", `core>=0.${at}`] });
      add("refs", `${at}`, { requires: [`core>=0.${at}`] });
    }
    const error = await refused("schema");
    expect(error.message).toMatch(/^core cannot be used.*core>=0\.79 \(schema 4\.79\)/);
    add("schema", "3.2");
    expect(await resolve("schema # again")).toEqual({ schema: "3.2" });
  });

  test("compiled code that sandboxes have in another base image", async () => {
    index.add("lxml", makeWheel("lxml", "6.0", { tag: "cp314-cp314-win_amd64" }));
    expect((await refused("lxml")).details).toMatchObject({ package: "lxml", reason: "native" });
  });

  test("sources only", async () => {
    index.add("old", { file: "old-1.0.tar.gz", bytes: new Uint8Array(3) });
    const error = await refused("old");
    expect(error.details).toMatchObject({ package: "old", reason: "sdist" });
    expect(error.message).toContain("pip wheel");
  });

  test("a name that nobody knows, and one without files", async () => {
    expect((await refused("nothere")).details).toMatchObject({ package: "nothere", reason: "unknown" });
    index.instead = (request, response) => {
      if (request.url !== "/simple/empty/") return false;
      response.writeHead(200, { "content-type": "application/vnd.pypi.simple.v1+json" }).end('{"files":[]}');
      return true;
    };
    expect((await refused("empty")).details).toMatchObject({ package: "empty", reason: "no-files" });
  });

  test("a version that has no wheel of Python files, with those that have", async () => {
    add("lib", "1.0");
    add("lib", "2.0", { tag: "cp314-cp314-win_amd64" });
    const error = await refused("lib>=2");
    expect(error.details).toMatchObject({ package: "lib", reason: "version" });
    expect(error.message).toContain("there are 1.0");
  });

  test("a contradiction, with who asks", async () => {
    add("lib", "1.0");
    add("lib", "2.0");
    add("tool", "1.0", { requires: ["lib<2"] });
    const error = await refused("lib>=2\ntool");
    expect(error.details).toMatchObject({ package: "lib", reason: "conflict" });
    expect(error.message).toMatch(/tool 1.0/);
  });

  test("too many packages", async () => {
    for (let at = 0; at < 202; at++) add(`chain${at}`, "1.0", { requires: [`chain${at + 1}`] });
    expect((await refused("chain0")).details).toMatchObject({ limit: "packages", bound: 200, value: 201 });
  });

  test("too much to try", async () => {
    // No version of one goes with any version of the other: every pair is looked at.
    for (let at = 0; at < 60; at++) {
      add("one", `${at}`, { requires: ["both==1"] });
      add("two", `${at}`, { requires: ["both==2"] });
    }
    for (const version of ["1", "2"]) add("both", version);
    const error = await refused("one\ntwo");
    expect(error.details).toMatchObject({ reason: "too-many", limit: "steps", bound: 2000 });
    expect(error.message).toContain("pin them with ==");
  });
});

describe("checksums", () => {
  test("of the index must be the wheel's", async () => {
    index.add("lib", makeWheel("lib", "1.0"), { hashes: { sha256: "ab".repeat(32) } });
    const error = await refused("lib");
    expect(error.details).toMatchObject({ reason: "wrong-hash", expected: "ab".repeat(32) });
    expect(existsSync(join(cacheDir, "packages", "wheels"))).toBe(false);
  });

  test("that the index does not give make a wheel unusable", async () => {
    index.add("lib", makeWheel("lib", "1.0"), { hashes: {} });
    expect((await refused("lib")).code).toBe("RequirementRefused");
  });

  test("that the file names are the only ones taken, and then every package needs one", async () => {
    const right = add("lib", "1.0");
    add("lib", "1.1");
    add("tool", "1.0", { requires: ["lib"] });
    expect(await resolve(`lib --hash=sha256:${right}`)).toEqual({ lib: "1.0" });
    const wrong = await refused(`lib==1.1 --hash=sha256:${right}`);
    expect(wrong.details).toMatchObject({ package: "lib", reason: "wrong-hash" });
    const without = await refused(`lib --hash=sha256:${right}\ntool`);
    expect(without.details).toMatchObject({ package: "tool", reason: "no-hash" });
  });
});

describe("the folder of wheels", () => {
  test("goes before the index, which is not asked for what it has", async () => {
    process.env["SANDLOOM_WHEELS"] = writeWheels(join(folder, "own"), [
      makeWheel("Own-Lib", "1.0", { requires: ["shared>=1"] }),
      makeWheel("shared", "1.0"),
      makeWheel("native", "1.0", { tag: "cp314-cp314-win_amd64" }),
    ]);
    writeFileSync(join(folder, "own", "notes.whl"), "no wheel");
    add("shared", "5.0");
    expect(await resolve("own_lib")).toEqual({ "own-lib": "1.0", shared: "1.0" });
    expect(index.asked).toEqual([]);
    expect(await resolve("shared>=2")).toEqual({ shared: "5.0" });
  });

  test("that changed is looked at again", async () => {
    const own = writeWheels(join(folder, "changing"), [makeWheel("lib", "1.0")]);
    process.env["SANDLOOM_WHEELS"] = own;
    expect(await resolve("lib")).toEqual({ lib: "1.0" });
    writeWheels(own, [makeWheel("lib", "2.0")]);
    expect(await resolve("lib")).toEqual({ lib: "2.0" });
  });
});

describe("what was resolved once", () => {
  test("is known: the same text asks nobody again, and newer versions change nothing", async () => {
    add("lib", "1.0");
    expect(await resolve("lib")).toEqual({ lib: "1.0" });
    add("lib", "2.0");
    index.asked.length = 0;
    expect(await resolve("lib")).toEqual({ lib: "1.0" });
    expect(index.asked).toEqual([]);
    expect(await resolve("lib # now")).toEqual({ lib: "2.0" });
  });

  test("is fetched again by its checksum when it is kept no more", async () => {
    add("lib", "1.0");
    const { packages } = await requirements().resolve("lib", "standard");
    const { path } = await requirements().pack(packages);
    rmSync(cacheDir, { recursive: true });
    add("lib", "2.0");
    const again = await requirements().pack(packages);
    expect([again.path, again.imports]).toEqual([path, ["lib"]]);
    rmSync(cacheDir, { recursive: true });
    index.clear();
    const error: unknown = await requirements()
      .pack(packages)
      .catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: "RequirementRefused", details: { package: "lib", reason: "gone" } });
  });

  test("and was damaged on the disk is made again", async () => {
    add("lib", "1.0");
    const { packages } = await requirements().resolve("lib", "standard");
    const { path } = await requirements().pack(packages);
    for (const file of readdirSync(join(cacheDir, "packages"), { recursive: true, withFileTypes: true }))
      if (file.isFile()) writeFileSync(join(file.parentPath, file.name), "damaged");
    expect((await requirements().resolve("lib", "standard")).packages).toEqual(packages);
    expect(await requirements().pack(packages)).toEqual({ path, imports: ["lib"] });
  });
});

describe("the index", () => {
  test("may be of the older kind, in HTML", async () => {
    index.form = "html";
    add("lib", "1.0");
    index.add("lib", makeWheel("lib", "3.0"), { "requires-python": ">=3.15" });
    index.add("lib", makeWheel("lib", "2.0"), { yanked: true });
    expect(await resolve("lib")).toEqual({ lib: "1.0" });
  });

  test("may have METADATA beside its wheels: then only those that are taken are fetched", async () => {
    for (const version of ["1.0", "2.0"]) {
      const wheel = makeWheel("lib", version, { requires: version === "2.0" ? ["lib<2"] : [] });
      const metadata = new TextEncoder().encode(
        `Name: lib\nVersion: ${version}\n${version === "2.0" ? "Requires-Dist: numpy<1\n" : ""}\n`,
      );
      const { createHash } = await import("node:crypto");
      index.add("lib", wheel, { "core-metadata": { sha256: createHash("sha256").update(metadata).digest("hex") } });
      index.add("metadata", { file: `${wheel.file}.metadata`, bytes: metadata });
    }
    expect(await resolve("lib")).toEqual({ lib: "1.0" });
    expect(index.asked.filter((path) => path.endsWith(".whl"))).toEqual(["/files/lib-1.0-py3-none-any.whl"]);
  });

  test("may redirect, and not for ever", async () => {
    add("lib", "1.0");
    index.instead = (request, response) => {
      if (request.url !== "/simple/moved/") return false;
      response.writeHead(301, { location: "/simple/lib/" }).end();
      return true;
    };
    // The files there are of another project.
    expect((await refused("moved")).details).toMatchObject({ package: "moved" });
    index.instead = (request, response) => {
      response.writeHead(302, { location: request.url }).end();
      return true;
    };
    expect(await refused("lib>0")).toMatchObject({ code: "PackageIndexFailed" });
  });

  test.each([
    ["an error", 500, "oops", /answers 500/],
    ["what is no JSON", 200, "{", /no JSON/],
    ["other JSON", 200, '{"files": [{"filename": 7}]}', /not of PEP 691/],
  ])("that answers with %s is said to", async (_, status, body, reason) => {
    index.instead = (_request, response) => {
      response.writeHead(status, { "content-type": "application/vnd.pypi.simple.v1+json" }).end(body);
      return true;
    };
    const error = await refused("lib");
    expect(error.code).toBe("PackageIndexFailed");
    expect(error.message).toMatch(reason);
  });

  test("that answers without end is left", async () => {
    index.instead = (_request, response) => {
      response.writeHead(200, { "content-type": "application/vnd.pypi.simple.v1+json" });
      const more = (): void =>
        void (response.destroyed || response.write(Buffer.alloc(1 << 20, 0x20), () => setImmediate(more)));
      more();
      return true;
    };
    expect((await refused("lib")).details).toMatchObject({ limit: "answer_bytes", bound: 32 * 2 ** 20 });
  });

  test("that is not there is named without what is secret in its address", async () => {
    process.env["PIP_INDEX_URL"] = "http://user:password@127.0.0.1:9/simple";
    const error = await refused("lib");
    process.env["PIP_INDEX_URL"] = index.url;
    expect(error).toMatchObject({ code: "PackageIndexFailed" });
    expect(error.message).toContain("127.0.0.1:9");
    expect(error.message).not.toContain("password");
  });

  test("is left when nobody waits any more", async () => {
    index.instead = () => true;
    const stop = new AbortController();
    const waiting = requirements().resolve("lib", "standard", stop.signal);
    setTimeout(() => stop.abort(new SandloomError("Cancelled", "enough")), 50);
    await expect(waiting).rejects.toMatchObject({ code: "Cancelled" });
  });
});

test("what is kept has a bound: what was used last stays", async () => {
  const { FileStore } = await import("../../src/cluster/requirements/file-store.ts");
  mkdirSync(cacheDir, { recursive: true });
  const store = new FileStore(cacheDir, { bytes: 250 });
  const { utimesSync } = await import("node:fs");
  for (const [at, name] of ["a", "b", "c"].entries()) {
    store.write(name, new Uint8Array(100));
    utimesSync(join(cacheDir, name), 1000 + at, 1000 + at);
    if (name === "b") expect(store.read("a")).toHaveLength(100);
    if (name === "b") utimesSync(join(cacheDir, "a"), 2000, 2000);
  }
  expect(readdirSync(cacheDir).toSorted()).toEqual(["a", "c"]);
});
