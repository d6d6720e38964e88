// What a requirement says, and what is not taken.
import { describe, expect, test } from "vitest";
import { applies, nameKey, parseRequirement } from "../../src/cluster/requirements/pep508.ts";
import { defaultIn } from "../../src/cluster/requirements/pip-settings.ts";
import { parseRequirementsFile } from "../../src/cluster/requirements/requirements-file.ts";
import { isUsable, parseWheelName } from "../../src/cluster/requirements/wheel-name.ts";
import { topLevelImports } from "../../src/cluster/application.ts";
import { baseFor } from "../../src/sandbox/runtime/catalogue.ts";
import { SandloomError } from "../../src/graph/errors.ts";

const errorOf = (work: () => unknown): SandloomError => {
  try {
    work();
  } catch (error) {
    if (error instanceof SandloomError) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
};

describe("a requirement", () => {
  test.each([
    ["requests", { key: "requests", specifier: "", extras: [] }],
    ["Foo.Bar__baz >= 1.0 , < 2", { name: "Foo.Bar__baz", key: "foo-bar-baz", specifier: ">=1.0,<2" }],
    ["name[Two, one]~=1.4.2", { extras: ["one", "two"], specifier: "~=1.4.2" }],
    ["name (>=1,!=1.5.*)", { specifier: ">=1,!=1.5.*" }],
    ["name===1.0+local", { specifier: "===1.0+local" }],
    ["name==1.0;python_version<'4'", { specifier: "==1.0" }],
  ])("%s is read", (text, found) => {
    expect(parseRequirement(text)).toMatchObject(found);
  });

  test.each([
    ["sys_platform == 'emscripten'", true],
    ["sys_platform == 'win32'", false],
    ["os.name == 'posix' and platform_machine == 'wasm32'", true],
    ["python_version >= '3.9' and (sys_platform == 'linux' or implementation_name == 'cpython')", true],
    // As versions: as text, 3.14 would be the lesser.
    ["python_version > '3.9'", true],
    ["python_full_version < '3.14'", false],
    ["'linux' in sys_platform", false],
    ["sys_platform not in 'linux win32'", true],
    ["platform_python_implementation != 'PyPy'", true],
    ["extra == 'Fast_Path'", false],
  ])("applies where %s: %s", (marker, expected) => {
    expect(applies(parseRequirement(`name; ${marker}`), "")).toBe(expected);
  });

  test("of an extra applies for that one, however it is spelled", () => {
    expect(applies(parseRequirement("name; extra == 'Fast_Path'"), "fast-path")).toBe(true);
    expect(applies(parseRequirement("name; extra == 'other'"), "fast-path")).toBe(false);
  });

  test.each([
    ["", /no package name/],
    ["-x", /no package name/],
    ["name @ https://example.org/name.whl", /URL or path/],
    ["name >= banana", /no version specifier/],
    ["name 1.0", /not understood/],
    ["name[one", /extras does not end/],
    ["name; sys_platform", /no comparison/],
    ["name; os_color == 'red'", /os_color/],
    ["name; " + "(".repeat(100) + "os_name == 'posix'", /nests deeper/],
  ])("%s is refused, with the reason", (text, reason) => {
    const error = errorOf(() => parseRequirement(text));
    expect(error.code).toBe("RequirementRefused");
    expect(error.message).toMatch(reason);
  });

  test("has one key for all spellings of its name", () => {
    expect(["Foo-Bar", "foo_bar", "FOO.bar", "foo--bar"].map(nameKey)).toEqual(Array(4).fill("foo-bar"));
  });
});

describe("a requirements file", () => {
  test("has comments, empty lines, continued lines and hashes", () => {
    const hash = "ab".repeat(32);
    const found = parseRequirementsFile(
      `\uFEFF# for the report\n\none # why\r\ntwo==1.0 \\\n    --hash=sha256:${hash} \\\n    --hash sha256:${hash.toUpperCase()}\nthree ; python_version >= "3"\n`,
    );
    expect(found.map(({ name, line, hashes }) => [name, line, hashes])).toEqual([
      ["one", 3, []],
      ["two", 4, [hash, hash]],
      ["three", 7, []],
    ]);
  });

  test.each([
    ["-r other.txt", /option -r.*this one/],
    ["--constraint=c.txt", /option --constraint/],
    ["-e .", /option -e/],
    ["--index-url https://example.org", /option --index-url.*pip is configured with/],
    ["--pre", /option --pre is not taken/],
    ["./local.whl", /URL or a path/],
    ["https://example.org/a.whl", /URL or a path/],
    ["a==1 --hash=md5:00", /only sha256/],
  ])("%s is refused, with the line", (text, reason) => {
    const error = errorOf(() => parseRequirementsFile(`fine\n${text}\n`));
    expect(error.code).toBe("RequirementRefused");
    expect(error.message).toMatch(/^line 2 of the requirements/);
    expect(error.message).toMatch(reason);
    expect(error.details["line"]).toBe(2);
  });

  test("is bounded", () => {
    expect(errorOf(() => parseRequirementsFile("a\n".repeat(1001))).details).toMatchObject({
      limit: "lines",
      bound: 1000,
    });
    expect(errorOf(() => parseRequirementsFile("#".repeat(300_000))).details).toMatchObject({ limit: "text_bytes" });
  });
});

test.each([
  ["a-1.0-py3-none-any.whl", true],
  ["a-1.0-py2.py3-none-any.whl", true],
  ["a-1.0-1-py3-none-any.whl", true],
  ["a-1.0-cp314-none-any.whl", true],
  ["a-1.0-py2-none-any.whl", false],
  ["a-1.0-cp314-cp314-manylinux_2_17_x86_64.whl", false],
  ["a-1.0-py3-none-win_amd64.whl", false],
  ["a-1.0-cp314-cp314-pyemscripten_2026_0_wasm32.whl", false],
  // Compiled parts that it does without.
  ["MarkupSafe-3.0.3-cp314-cp314-manylinux_2_17_x86_64.whl", true],
  ["MarkupSafe-3.0.3-cp314-cp314t-manylinux_2_17_x86_64.whl", false],
])("the wheel %s can be used: %s", (file, usable) => {
  const name = parseWheelName(file);
  expect(name && isUsable(name)).toBe(usable);
});

test.each([
  "a-1.0.tar.gz",
  "../a-1.0-py3-none-any.whl",
  "a-b.whl",
  "a-banana-py3-none-any.whl",
  "a/b-1-py3-none-any.whl",
])("%s is no wheel's name", (file) => {
  expect(parseWheelName(file)).toBeUndefined();
});

test.each([
  ["import numpy as np\nimport pandas", "standard"],
  ["def f():\n    from scipy.stats import norm", "scipy"],
  ["import numpy, scipy.linalg as la", "scipy"],
  ["from sklearn import svm\nimport scipy", "sklearn"],
  ["import joblib", "sklearn"],
  ["import scipyfoo\nfrom . import sklearn_like", "standard"],
])("%j gets the base image %s", (text, base) => {
  expect(baseFor(topLevelImports({ files: [{ path: "app.py", text }] }))).toBe(base);
});

test("pip's own default is read from its help", () => {
  const help =
    "  -i, --index-url <url>  Base URL of the index\n      (default\n      https://index.example/simple). This should\n";
  expect(defaultIn(help)).toBe("https://index.example/simple");
  expect(defaultIn("--no-index")).toBeUndefined();
});
