/** The text of a source file: places in it, and splices that are applied together. */
import type { At } from "./ast.ts";

const SURROGATE = /[\uD800-\uDBFF]/;

export class SourceText {
  readonly path: string;
  readonly text: string;
  readonly #starts: number[] = [0];

  constructor(path: string, text: string) {
    this.path = path;
    this.text = text;
    // CPython's line ends, and no others: a form feed or U+2028 ends no line.
    for (const end of text.matchAll(/\r\n|\r|\n/g)) this.#starts.push(end.index + end[0].length);
  }

  get lineCount(): number {
    return this.#starts.length;
  }

  /** Index into `text` (UTF-16 units) of a place in lines and characters. */
  index(line: number, column: number): number {
    const start = this.#starts[line - 1] ?? this.text.length;
    const end = this.#starts[line] ?? this.text.length;
    const content = this.text.slice(start, end);
    if (!SURROGATE.test(content)) return start + Math.min(column, content.length);
    let index = start;
    for (const character of content) {
      if (column-- <= 0) break;
      index += character.length;
    }
    return index;
  }

  start(node: { at: At }): number {
    return this.index(node.at[0], node.at[1]);
  }

  end(node: { at: At }): number {
    return this.index(node.at[2], node.at[3]);
  }

  slice(node: { at: At }): string {
    return this.text.slice(this.start(node), this.end(node));
  }

  /** The first index at or after `from` that is neither space, comment, line continuation nor one of `also`. */
  skip(from: number, also = ""): number {
    let index = from;
    while (index < this.text.length) {
      const character = this.text[index] ?? "";
      if (character === "#") index = this.#lineEnd(index);
      else if (/\s/.test(character) || character === "\\" || also.includes(character)) index++;
      else break;
    }
    return index;
  }

  #lineEnd(from: number): number {
    const found = /[\r\n]/.exec(this.text.slice(from));
    return found ? from + found.index : this.text.length;
  }
}

interface Splice {
  readonly start: number;
  readonly end: number;
  readonly text: string;
}

/**
 * Splices on one source text. Insertions that wrap a piece (`open` ... `close`) are registered innermost first and nest;
 * `replace` takes the place of every splice inside its range.
 */
export class Splices {
  readonly source: SourceText;
  #opens = new Map<number, string>();
  #closes = new Map<number, string>();
  #replacements: Splice[] = [];

  constructor(source: SourceText) {
    this.source = source;
  }

  get empty(): boolean {
    return this.#opens.size + this.#closes.size + this.#replacements.length === 0;
  }

  open(index: number, text: string): void {
    this.#opens.set(index, text + (this.#opens.get(index) ?? ""));
  }

  close(index: number, text: string): void {
    this.#closes.set(index, (this.#closes.get(index) ?? "") + text);
  }

  replace(start: number, end: number, text: string): void {
    for (const index of this.#opens.keys()) if (index >= start && index < end) this.#opens.delete(index);
    for (const index of this.#closes.keys()) if (index > start && index <= end) this.#closes.delete(index);
    this.#replacements = this.#replacements.filter((one) => one.start < start || one.end > end);
    this.#replacements.push({ start, end, text });
  }

  /** The text of a range with the splices in it applied, and none of those around it. */
  render(start = 0, end: number = this.source.text.length): string {
    const stops = new Map<number, Splice | undefined>();
    for (const index of this.#opens.keys())
      if (index >= start && (index < end || end === this.source.text.length)) stops.set(index, undefined);
    for (const index of this.#closes.keys()) if (index > start && index <= end) stops.set(index, undefined);
    for (const one of this.#replacements) if (one.start >= start && one.end <= end) stops.set(one.start, one);
    let out = "";
    let at = start;
    for (const index of [...stops.keys()].sort((a, b) => a - b)) {
      out += this.source.text.slice(at, index);
      if (index > start) out += this.#closes.get(index) ?? "";
      if (index < end || end === this.source.text.length) out += this.#opens.get(index) ?? "";
      const replacement = stops.get(index);
      if (replacement) out += replacement.text;
      at = replacement ? replacement.end : index;
    }
    return out + this.source.text.slice(at, end);
  }
}

/** The line ends of a piece of text, and the indentation after the last of them. */
export function lineEnds(text: string): string {
  const ends = text.replace(/[^\r\n]/g, "");
  return ends && ends + (/[ \t]*$/.exec(text)?.[0] ?? "");
}

/** An expression on one line: comments and line ends become spaces. Texts in it must not span lines. */
export function onOneLine(text: string): string {
  let out = "";
  let quote = "";
  for (let index = 0; index < text.length; index++) {
    const character = text[index] ?? "";
    if (quote) {
      out += character;
      if (character === "\\") out += text[++index] ?? "";
      else if (text.startsWith(quote, index)) {
        out += quote.slice(1);
        index += quote.length - 1;
        quote = "";
      }
    } else if (character === "#") {
      while (index + 1 < text.length && !/[\r\n]/.test(text[index + 1] ?? "")) index++;
    } else if (/[\\\s]/.test(character)) {
      // One space for a line end with its continuation and indentation.
      while (/[\\\s]/.test(text[index + 1] ?? "")) index++;
      out += " ";
    } else {
      if (character === '"' || character === "'") {
        quote = text.startsWith(character.repeat(3), index) ? character.repeat(3) : character;
        out += quote;
        index += quote.length - 1;
      } else out += character;
    }
  }
  return out;
}
