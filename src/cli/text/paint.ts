/** Colour and width: all that text knows of where it is shown. */
import { stripVTControlCharacters, styleText } from "node:util";

export type Format = Parameters<typeof styleText>[0];
/** Puts a text into a colour, or leaves it. */
export type Paint = (format: Format, text: string) => string;

export const plain: Paint = (_format, text) => text;

/** Honours NO_COLOR and FORCE_COLOR, and leaves the text when the stream is no terminal. */
export function paintFor(stream: NodeJS.WriteStream): Paint {
  return (format, text) => styleText(format, text, { stream });
}

/** Columns that a text takes. Names and figures are of one column a character. */
export function widthOf(text: string): number {
  return Array.from(stripVTControlCharacters(text)).length;
}

export function padEnd(text: string, width: number): string {
  return text + " ".repeat(Math.max(0, width - widthOf(text)));
}

export function padStart(text: string, width: number): string {
  return " ".repeat(Math.max(0, width - widthOf(text))) + text;
}

/** Text of a guest, for a terminal: what would move the cursor or change the screen is taken out. Tabs stay. */
export function harmless(text: string): string {
  return stripVTControlCharacters(text).replaceAll(/[^\P{Cc}\t\n]/gu, "\u{FFFD}");
}

export function indent(text: string, by: string): string {
  return text
    .split("\n")
    .map((line) => (line === "" ? line : by + line))
    .join("\n");
}

export interface Column {
  readonly title: string;
  readonly align?: "left" | "right";
}

/** Rows under titles, two spaces apart; every column as wide as its widest cell. */
export function table(columns: readonly Column[], rows: readonly (readonly string[])[], paint: Paint): string {
  const widths = columns.map((column, at) =>
    Math.max(widthOf(column.title), ...rows.map((row) => widthOf(row[at] ?? ""))),
  );
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, at) =>
        columns[at]?.align === "right" ? padStart(cell, widths[at] ?? 0) : padEnd(cell, widths[at] ?? 0),
      )
      .join("  ")
      .trimEnd();
  return [paint("dim", line(columns.map((column) => column.title))), ...rows.map(line)].join("\n");
}
