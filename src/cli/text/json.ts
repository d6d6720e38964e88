/** JSON for reading: what fits on a line is on one line. */

export function jsonText(value: unknown, columns: number): string {
  return layOut(value, "", columns);
}

function layOut(value: unknown, indent: string, columns: number): string {
  const flat = JSON.stringify(value) ?? "null";
  if (typeof value !== "object" || value === null || indent.length + flat.length <= columns) return flat;
  const inner = `${indent}  `;
  if (!Array.isArray(value)) {
    const entries = Object.entries(value).filter(([, item]) => item !== undefined);
    const lines = entries.map(([key, item]) => `${inner}${JSON.stringify(key)}: ${layOut(item, inner, columns)}`);
    return `{\n${lines.join(",\n")}\n${indent}}`;
  }
  const items = value.map((item) => layOut(item, inner, columns));
  return `[\n${fill(items, inner, columns)}\n${indent}]`;
}

/** As many items on a line as fit; one that has lines of its own stands alone. */
function fill(items: readonly string[], indent: string, columns: number): string {
  const lines: string[] = [];
  let line = "";
  for (const [at, item] of items.entries()) {
    const text = at < items.length - 1 ? `${item},` : item;
    if (line !== "" && (text.includes("\n") || line.length + 1 + text.length > columns)) {
      lines.push(line);
      line = "";
    }
    line = line === "" ? indent + text : `${line} ${text}`;
    if (text.includes("\n")) {
      lines.push(line);
      line = "";
    }
  }
  if (line !== "") lines.push(line);
  return lines.join("\n");
}
