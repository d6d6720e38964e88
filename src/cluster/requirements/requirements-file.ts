/** `requirements.txt`: one requirement a line, with comments, continued lines and `--hash`. */
import { RequirementRefused } from "../../graph/errors.ts";
import { REQUIREMENT_LIMITS } from "./limits.ts";
import { parseRequirement, type Requirement } from "./pep508.ts";

export interface ListedRequirement extends Requirement {
  readonly line: number;
  /** If there are any, the wheel's sha256 is one of these. */
  readonly hashes: readonly string[];
}

const HASH = /\s--hash[= ]\s*(\S+)/g;

const OPTIONS: Readonly<Record<string, string>> = {
  "-r": "write the requirements of all files into this one",
  "-c": "write the constraints into the requirements themselves",
  "-e": "an application's own modules belong into its folder; for others, name a wheel",
  "-i": "the package index is the one that pip is configured with where Sandloom runs",
  "-f": "put the wheels into a folder and name it in SANDLOOM_WHEELS",
};
const LONG: Readonly<Record<string, string>> = {
  "--requirement": "-r",
  "--constraint": "-c",
  "--editable": "-e",
  "--index-url": "-i",
  "--extra-index-url": "-i",
  "--no-index": "-i",
  "--find-links": "-f",
};

/** @throws RequirementRefused with the line */
export function parseRequirementsFile(text: string): ListedRequirement[] {
  const { text_bytes, lines: most } = REQUIREMENT_LIMITS;
  if (text.length > text_bytes)
    throw new RequirementRefused(`the requirements are ${text.length} bytes, and ${text_bytes} are allowed`, {
      limit: "text_bytes",
      bound: text_bytes,
      value: text.length,
    });
  const found: ListedRequirement[] = [];
  for (const { line, content } of logicalLines(text)) {
    try {
      found.push({ ...parseLine(content), line });
    } catch (error) {
      if (!(error instanceof RequirementRefused)) throw error;
      throw new RequirementRefused(`line ${line} of the requirements: ${error.message}`, { ...error.details, line });
    }
    if (found.length > most)
      throw new RequirementRefused(`there are more than ${most} requirements`, {
        limit: "lines",
        bound: most,
        value: found.length,
      });
  }
  return found;
}

function* logicalLines(text: string): Generator<{ line: number; content: string }> {
  let [begin, joined] = [0, ""];
  for (const [index, raw] of text
    .replace(/^\uFEFF/, "")
    .split(/\r\n?|\n/)
    .entries()) {
    if (joined === "") begin = index + 1;
    if (raw.endsWith("\\") && !/^\s*#/.test(raw)) {
      joined += `${raw.slice(0, -1)} `;
      continue;
    }
    const content = (joined + raw).replace(/(^|\s)#.*$/, "").trim();
    joined = "";
    if (content !== "") yield { line: begin, content };
  }
  if (joined.trim() !== "") yield { line: begin, content: joined.trim() };
}

function parseLine(content: string): Omit<ListedRequirement, "line"> {
  if (content.startsWith("-")) {
    const option = /^(--[a-z-]+|-[a-z])/.exec(content)?.[0] ?? content;
    const fix = OPTIONS[LONG[option] ?? option];
    throw new RequirementRefused(`the option ${option} is not taken${fix === undefined ? "" : `: ${fix}`}`, {
      option,
      reason: "option",
    });
  }
  if (/^[a-z][a-z+]*:\/\//i.test(content) || /^[./]/.test(content) || content.endsWith(".whl"))
    throw new RequirementRefused(
      `${JSON.stringify(content.slice(0, 200))} is a URL or a path: write the package's name, and put its wheel into the folder that SANDLOOM_WHEELS names`,
      { requirement: content.slice(0, 200), reason: "malformed" },
    );
  const hashes = [...content.matchAll(HASH)].map(([, hash = ""]) => {
    const digest = /^sha256:([0-9a-f]{64})$/i.exec(hash)?.[1];
    if (digest === undefined)
      throw new RequirementRefused(`--hash=${hash.slice(0, 100)}: only sha256:<64 hexadecimal digits> is taken`, {
        hash: hash.slice(0, 100),
        reason: "malformed",
      });
    return digest.toLowerCase();
  });
  return { ...parseRequirement(content.replaceAll(HASH, " ")), hashes };
}
