// SciPy and scikit-learn: the base images that have them are made here if they are not there, which takes a minute.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createSandbox } from "../../src/index.ts";
import { serveForTest, type TestServer } from "../hosting/serving.ts";
import { useBench } from "../support/running.ts";

const bench = useBench({ cpus: 2 });

const NUMPY = "import numpy as np\ndef main(event):\n    return float(np.arange(10.0).sum())\n";

const SCIPY = `
import numpy as np
from scipy import integrate, linalg, optimize, sparse, stats
from sandloom import split

SEEN = []

@split
def solved(n):
    import scipy.signal
    a = np.diag(np.full(n, 2.0)) + np.diag(np.ones(n - 1), 1)
    return [linalg.solve(a, np.ones(n)).round(6).tolist(), int(scipy.signal.find_peaks([0, 1, 0, 2, 0])[0].sum())]

def main(event):
    return {
        "cdf": round(float(stats.norm.cdf(0.5)), 6),
        "least": optimize.minimize(lambda v: ((v - 3) ** 2).sum(), np.zeros(2)).x.round(3).tolist(),
        "area": round(float(integrate.quad(lambda x: x * x, 0, 3)[0]), 6),
        "sparse": sparse.eye(5).tocsr().nnz,
        "solved": [solved(n) for n in [2, 3]],
    }
`;
const SCIPY_ANSWER = {
  cdf: 0.691462,
  least: [3, 3],
  area: 9,
  sparse: 5,
  solved: [
    [[0.25, 0.5], 4],
    [[0.375, 0.25, 0.5], 4],
  ],
};

const SKLEARN = `
import warnings
import numpy as np
from sklearn.cluster import KMeans
from sklearn.datasets import load_breast_cancer
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sandloom import split

X, Y = load_breast_cancer(return_X_y=True)

@split
def scores(seed):
    forest = RandomForestClassifier(10, random_state=seed).fit(X, Y)
    return round(float(forest.score(X, Y)), 2)

def main(event):
    model = make_pipeline(StandardScaler(), LogisticRegression())
    return {
        "cross": round(float(cross_val_score(model, X, Y, cv=3).mean()), 2),
        "fit": round(float(model.fit(X, Y).score(X, Y)), 3),
        "pca": PCA(2).fit_transform(X).shape[1],
        "clusters": len(set(KMeans(3, n_init=2, random_state=0).fit(X).labels_)),
        "forests": [scores(seed) for seed in [1, 2, 3]],
    }
`;
const SKLEARN_ANSWER = { cross: 0.98, fit: 0.988, pca: 2, clusters: 3, forests: [1, 1, 1] };

describe("an application gets the base image that has what it imports", () => {
  test("NumPy alone the standard one, and no other is used for it", async () => {
    const { graph } = await bench.cluster.compile(bench.write({ "app.py": NUMPY }));
    expect(graph.base).toBeUndefined();
  });

  test("SciPy, in its components and when they import more later", async () => {
    const app = bench.write({ "app.py": SCIPY });
    expect((await bench.cluster.compile(app)).graph.base).toBe("scipy");
    for (let round = 0; round < 3; round++) expect(await bench.run(app)).toMatchObject({ value: SCIPY_ANSWER });
  });

  test("scikit-learn, whose models fit and predict, again and again the same", async () => {
    const app = bench.write({ "app.py": SKLEARN });
    expect((await bench.cluster.compile(app)).graph.base).toBe("sklearn");
    for (let round = 0; round < 3; round++) expect(await bench.run(app)).toMatchObject({ value: SKLEARN_ANSWER });
  });

  test("those of all bases take turns in one cluster, each with an executor of its own", async () => {
    const apps = [
      [bench.write({ "app.py": NUMPY }), 45],
      [bench.write({ "app.py": SCIPY }), SCIPY_ANSWER],
      [bench.write({ "app.py": SKLEARN }), SKLEARN_ANSWER],
    ] as const;
    const outcomes = await Promise.all([...apps, ...apps].map(async ([app]) => bench.run(app)));
    expect(outcomes.map(({ value }) => value)).toEqual([...apps, ...apps].map(([, answer]) => answer));
  });

  test("the end of one executor is not the end of another's runs", async () => {
    const waiting = bench.write({
      "app.py": "import scipy, time\ndef main(event):\n    time.sleep(2)\n    return 'rested'\n",
    });
    await bench.cluster.compile(waiting);
    const rested = bench.run(waiting);
    await new Promise((resolve) => setTimeout(resolve, 300));
    process.kill((await bench.cluster.stats()).executor_pid as number, "SIGKILL");
    expect(await rested).toMatchObject({ value: "rested" });
    expect(await bench.valueOf(NUMPY)).toBe(45);
  });

  test("what requirements.txt names counts as an import", async () => {
    const text =
      "import importlib\nstats = importlib.import_module('scipy.stats')\ndef main(event):\n    return round(float(stats.norm.cdf(0)), 3)\n";
    const app = bench.write({ "app.py": text, "requirements.txt": "SciPy>=1.10\n" });
    expect(await bench.run(app)).toMatchObject({ value: 0.5 });
    const { graph } = await bench.cluster.compile(app);
    expect([graph.base, graph.packages]).toEqual(["scipy", undefined]);
    const { error } = await bench.run(bench.write({ "app.py": text, "requirements.txt": "scipy<1\n" }));
    expect(error).toMatchObject({ code: "RequirementRefused", details: { package: "scipy", reason: "base-version" } });
  });
});

test("a sandbox of one's own has the base that is asked for, and its snapshot too", async () => {
  await using sandbox = await createSandbox({ base: "sklearn" });
  await sandbox.run(
    "from sklearn.linear_model import LinearRegression\nm = LinearRegression().fit([[0], [1]], [1, 3])",
  );
  const snapshot = await sandbox.snapshot();
  expect(snapshot).toMatchObject({ base: "sklearn" });
  await using second = await createSandbox({ image: snapshot });
  expect((await second.run("m.predict([[2]]).round(6).tolist()")).value).toEqual([5]);
  snapshot.drop();
});

describe("a function", () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await serveForTest({ workers: 2 });
  });
  afterAll(() => server[Symbol.asyncDispose]());

  test("that uses scikit-learn is deployed and invoked like any other, beside others", async () => {
    expect((await server.deploy("forest", SKLEARN)).status).toBe(201);
    expect((await server.deploy("plain", NUMPY)).status).toBe(201);
    const answers = await Promise.all(["forest", "plain", "forest"].map(async (name) => server.invoke(name)));
    expect(answers.map(({ body }) => body)).toEqual([SKLEARN_ANSWER, 45, SKLEARN_ANSWER]);
  });
});
