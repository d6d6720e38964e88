/** A flame graph as an SVG that needs nothing else: a box for each function in each place that it was called from, as wide as it took. */

/** What V8's profiler gives (`.cpuprofile`). */
export interface Profile {
  readonly nodes: readonly {
    readonly id: number;
    readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number };
    readonly children?: readonly number[];
  }[];
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
}

interface Frame {
  readonly name: string;
  us: number;
  readonly callees: Map<string, Frame>;
}

const WIDTH = 1600;
const ROW = 17;
const LEAST_PX = 0.5;
const LETTER_PX = 6.3;
/** Nothing runs: the thread waits, a sandbox's in Atomics.wait (src/sandbox/exchange.ts). */
const WAITS = /^(\((idle|program|root)\)|sleep exchange\.ts:.*)$/;

/** Each group is a number of threads that are shown as one; what they wait is left out. */
export function flameGraph(title: string, groups: Readonly<Record<string, readonly Profile[]>>): string {
  const root: Frame = { name: "all", us: 0, callees: new Map() };
  for (const [group, profiles] of Object.entries(groups)) for (const profile of profiles) add(root, group, profile);
  const boxes: string[] = [];
  let deepest = 0;
  const draw = (frame: Frame, x: number, depth: number): void => {
    const width = (frame.us / root.us) * WIDTH;
    if (width < LEAST_PX) return;
    deepest = Math.max(deepest, depth);
    const share = ((100 * frame.us) / root.us).toFixed(1);
    const text = frame.name.slice(0, Math.max(0, Math.floor(width / LETTER_PX) - 1));
    boxes.push(
      `<g><title>${escaped(frame.name)}: ${(frame.us / 1000).toFixed(1)} ms, ${share} %</title>` +
        `<rect x="${x.toFixed(1)}" y="${depth * ROW}" width="${width.toFixed(1)}" height="${ROW - 1}" fill="${colour(frame.name)}"/>` +
        `<text x="${(x + 3).toFixed(1)}" y="${depth * ROW + 12}">${escaped(text)}</text></g>`,
    );
    let at = x;
    for (const callee of [...frame.callees.values()].sort((a, b) => b.us - a.us)) {
      draw(callee, at, depth + 1);
      at += (callee.us / root.us) * WIDTH;
    }
  };
  draw(root, 0, 2);
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${(deepest + 2) * ROW}" font-family="monospace" font-size="10.5">`,
    `<text x="4" y="20" font-size="14">${escaped(title)}: ${(root.us / 1e6).toFixed(2)} s, waiting left out</text>`,
    ...boxes,
    "</svg>\n",
  ].join("\n");
}

function add(root: Frame, group: string, { nodes, samples, timeDeltas }: Profile): void {
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const callers = new Map(nodes.flatMap(({ id, children = [] }) => children.map((child) => [child, id] as const)));
  samples.forEach((sample, i) => {
    const names: string[] = [];
    for (let id: number | undefined = sample; id !== undefined; id = callers.get(id)) {
      const { functionName, url, lineNumber } = byId.get(id)?.callFrame ?? {
        functionName: "?",
        url: "",
        lineNumber: 0,
      };
      const file = url.slice(url.lastIndexOf("/") + 1);
      names.push(file === "" ? functionName : `${functionName || "(anonymous)"} ${file}:${lineNumber + 1}`);
    }
    if (WAITS.test(names[0] as string)) return;
    const us = Math.max(0, timeDeltas[i] ?? 0);
    let at = root;
    at.us += us;
    for (const name of [group, ...names.toReversed().slice(1)]) {
      let callee = at.callees.get(name);
      if (!callee) at.callees.set(name, (callee = { name, us: 0, callees: new Map() }));
      callee.us += us;
      at = callee;
    }
  });
}

/** The guest's WebAssembly blue, V8's own grey, JavaScript by its name in shades of orange. */
function colour(name: string): string {
  if (name.startsWith("wasm-function") || name.includes("-to-wasm") || name.includes("wasm-to-")) return "#9cc3e6";
  if (name.startsWith("(")) return "#cccccc";
  let hash = 0;
  for (const letter of name) hash = (hash * 31 + (letter.codePointAt(0) ?? 0)) % 997;
  return `hsl(${20 + (hash % 30)} 85% ${68 + (hash % 14)}%)`;
}

const escaped = (text: string): string =>
  text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");
