// The documentation against the repository: what a page links to is there, and a command that it shows exists.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { describe, expect, test } from "vitest";
import { main } from "../../src/cli/program.ts";
import type { Output } from "../../src/cli/terminal.ts";
import { plain } from "../../src/cli/text/paint.ts";

const root = join(import.meta.dirname, "../..");
const SKIPPED = new Set(["node_modules", ".sandloom", ".git", "dist", "build", "third_party"]);

function pagesIn(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return SKIPPED.has(entry.name) ? [] : pagesIn(path);
    return entry.name.endsWith(".md") ? [path] : [];
  });
}

interface Page {
  readonly name: string;
  readonly folder: string;
  /** Outside of code. */
  readonly prose: string;
  readonly shell: readonly string[];
}

const FENCE = /^(`{3,})([^\n]*)\n([\s\S]*?)^\1[ \t]*$/gm;

function readPage(path: string): Page {
  const text = readFileSync(path, "utf8");
  const shell = [...text.matchAll(FENCE)].filter(([, , language]) => /^(sh|bash|shell|console)\b/.test(language ?? ""));
  return {
    name: relative(root, path),
    folder: dirname(path),
    prose: text.replaceAll(FENCE, ""),
    shell: shell.flatMap(([, , , body]) => (body ?? "").replaceAll("\\\n", " ").split("\n")),
  };
}

const pages = pagesIn(root).map(readPage);

/** GitHub's anchors: lower case, punctuation dropped, a dash for each space; `-1`, `-2` for headings that come again. */
function anchorsOf(path: string): Set<string> {
  const text = readFileSync(path, "utf8").replaceAll(FENCE, "");
  const seen = new Map<string, number>();
  const anchors = [...text.matchAll(/^#{1,6} +(.+?) *#*$/gm)].map(([, heading = ""]) => {
    const plain = heading.replaceAll(/\[([^\]]*)\]\([^)]*\)/g, "$1").toLowerCase();
    const anchor = plain.replaceAll(/[^\p{L}\p{N}\p{M} _-]/gu, "").replaceAll(" ", "-");
    const before = seen.get(anchor) ?? 0;
    seen.set(anchor, before + 1);
    return before === 0 ? anchor : `${anchor}-${before}`;
  });
  return new Set(anchors);
}

function linksOf({ prose }: Page): string[] {
  const text = prose.replaceAll(/`[^`\n]*`/g, "");
  const inline = [...text.matchAll(/\]\(\s*<?([^)\s>]+)>?(?:\s+"[^"]*")?\s*\)/g)];
  const named = [...text.matchAll(/^\[[^\]]+\]:\s*(\S+)/gm)];
  return [...inline, ...named].map(([, target = ""]) => target).filter((target) => !/^[a-z][a-z+.-]*:/i.test(target));
}

/** What is wrong with a link, or undefined. */
function faultOf(page: Page, link: string): string | undefined {
  const [path = "", anchor] = link.split("#");
  const target = path === "" ? join(root, page.name) : join(page.folder, decodeURIComponent(path));
  if (!existsSync(target)) return "is not there";
  if (anchor === undefined || !target.endsWith(".md")) return undefined;
  return anchorsOf(target).has(anchor) ? undefined : "has no such heading";
}

async function subcommands(): Promise<string[]> {
  let help = "";
  const output: Output = { isTTY: false, columns: 100, paint: plain, write: (text) => (help += text) };
  const terminal = {
    out: output,
    err: output,
    cwd: root,
    readStdin: async () => "",
    onInterrupt: () => ({ [Symbol.dispose]: () => undefined }),
    exit: () => undefined,
  };
  await main(["--help"], { terminal });
  const listed = help.slice(help.indexOf("Commands:")).split("\n\n")[0] ?? "";
  return [...listed.matchAll(/^ {2}([a-z]+)/gm)].map(([, name = ""]) => name);
}

/** `NAME=value sandloom run ... && node bin/sandloom.js graph ...` → `run`, `graph`. */
function subcommandsIn(line: string): string[] {
  const command =
    /^\s*(?:\$ )?(?:\w+=(?:'[^']*'|"[^"]*"|\S*)\s+)*(?:node bin\/sandloom\.js|(?:npx )?sandloom)(?:\s+(\S+))?/;
  return line
    .split(/&&|\|\||\||;/)
    .map((part) => command.exec(part)?.[1])
    .filter((name) => name !== undefined)
    .filter((name) => !name.startsWith("-") && !name.startsWith("#"));
}

describe("the documentation", () => {
  test("has a README, a page for contributors and a page a task", () => {
    const names = pages.map(({ name }) => name);
    expect(names).toEqual(expect.arrayContaining(["README.md", "CONTRIBUTING.md", "docs/programming-model.md"]));
  });

  test.each(pages.map((page) => [page.name, page] as const))("%s links only to what is there", (_name, page) => {
    const faults = linksOf(page).flatMap((link) => {
      const fault = faultOf(page, link);
      return fault === undefined ? [] : [`${link} ${fault}`];
    });
    expect(faults).toEqual([]);
  });

  test("shows no subcommand that the command does not have", async () => {
    const known = await subcommands();
    expect(known).toEqual(expect.arrayContaining(["run", "compile", "graph", "doctor", "help"]));
    const shown = pages.flatMap(({ name, shell }) =>
      shell.flatMap(subcommandsIn).map((subcommand) => ({ name, subcommand })),
    );
    expect(shown.length).toBeGreaterThan(10);
    expect(shown.filter(({ subcommand }) => !known.includes(subcommand))).toEqual([]);
  });

  test("is reached from the README, every page of docs/ but the decisions", () => {
    const readme = pages.find(({ name }) => name === "README.md") as Page;
    const linked = new Set(linksOf(readme).map((link) => link.split("#")[0]));
    const own = pages.map(({ name }) => name).filter((name) => /^docs\/[^/]+\.md$/.test(name));
    expect(own.filter((name) => !linked.has(name))).toEqual([]);
  });
});
