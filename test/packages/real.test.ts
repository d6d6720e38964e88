// Packages as they are on the index that pip uses here. Where none answers, the test says so and is skipped.
import { expect, test } from "vitest";
import { IndexClient } from "../../src/cluster/requirements/index-client.ts";
import { pipSettings } from "../../src/cluster/requirements/pip-settings.ts";
import { useBench } from "../support/running.ts";

const bench = useBench({ cpus: 2 });

const ANSWER_MS = 10_000;

/** Why there is no index; undefined when there is one. */
async function absence(): Promise<string | undefined> {
  const client = new IndexClient(pipSettings, AbortSignal.timeout(ANSWER_MS));
  try {
    return (await client.files("tabulate")) ? undefined : "the package index has no tabulate";
  } catch (error) {
    return (error as Error).message;
  } finally {
    client.close();
  }
}

const REQUIREMENTS = `
Jinja2==3.1.6          # needs MarkupSafe, whose compiled part it can do without
PyYAML==6.0.3
python-slugify==8.0.4
networkx==3.6.1
attrs==25.4.0
tabulate==0.9.0
humanize==4.14.0
colorama==0.4.6 ; sys_platform == "win32"
`;

const APP = `
import attrs, jinja2, networkx as nx, yaml
from slugify import slugify
from sandloom import split

GRAPH = nx.path_graph(10)
PAGE = jinja2.Environment(autoescape=True).from_string("<p>{{ name }}</p>")

@attrs.define
class Point:
    x: int

@split
def part(n):
    import importlib.metadata
    import humanize
    import tabulate
    humanize.i18n.activate("de_DE")
    return {
        "path": nx.shortest_path_length(GRAPH, 0, n),
        "size": humanize.intcomma(10**n),
        "table": tabulate.tabulate([[n]], tablefmt="plain"),
        "version": importlib.metadata.version("networkx"),
    }

def main(event):
    return {
        "page": PAGE.render(name="<b>"),
        "yaml": yaml.safe_load("a: [1, 2]"),
        "slug": slugify("Über allen Gipfeln"),
        "point": attrs.asdict(Point(3)),
        "parts": [part(n) for n in [3, 5]],
    }
`;

test("packages that people use work as they are", async ({ skip }) => {
  const reason = await absence();
  if (reason !== undefined) {
    console.log(`skipped: ${reason}`);
    skip(reason);
  }
  const app = bench.write({ "app.py": APP, "requirements.txt": REQUIREMENTS });
  const { error, value } = await bench.run(app);
  expect(error).toBeUndefined();
  const part = (n: number, size: string): object => ({ path: n, size, table: `${n}`, version: "3.6.1" });
  expect(value).toEqual({
    page: "<p>&lt;b&gt;</p>",
    yaml: { a: [1, 2] },
    slug: "uber-allen-gipfeln",
    point: { x: 3 },
    parts: [part(3, "1.000"), part(5, "100.000")],
  });
});
