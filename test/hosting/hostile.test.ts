// Guests that misbehave: each gives its caller a clear error within its limit, the next caller a pristine sandbox, and other functions
// nothing to notice. Each plants a canary first wherever it can.
import { afterAll, beforeAll, expect, test } from "vitest";
import { serveForTest, type TestServer } from "./serving.ts";

const TIMEOUT_MS = 700;

const HOSTILE = `
import builtins, ctypes, importlib, os, sys, time
import numpy as np


def plant():
    builtins.canary = np.canary = sys.canary = os.canary = "planted"
    os.environ["CANARY"] = "planted"
    open("/tmp/canary", "w").write("planted")
    os.chdir("/tmp")
    sys.setrecursionlimit(5000)
    np.seterr(all="raise")
    open("/tmp/left-open", "w")

def found():
    return [
        [m.__name__ for m in (builtins, np, sys, os) if hasattr(m, "canary")], os.environ.get("CANARY"),
        os.listdir("/tmp"), os.getcwd() == "/tmp", sys.getrecursionlimit() == 5000, np.geterr()["over"] == "raise",
    ]

def main(event):
    k = event["k"]
    if k == "look":
        return found()
    plant()
    if k == "spin":
        while True: pass
    if k == "deaf":
        while True:
            try:
                while True: pass
            except BaseException: pass
    if k == "sleep": time.sleep(100)
    if k == "lock":
        lock = importlib.import_module("threading").Lock()
        lock.acquire(); lock.acquire()
    if k == "exit": os._exit(3)
    if k == "abort": ctypes.CDLL(None).abort()
    if k == "sysexit": sys.exit(4)
    if k == "recursion":
        def deeper(n): return deeper(n + 1)
        deeper(0)
    if k == "str raises":
        class Worse(Exception):
            def __str__(self): raise RuntimeError("x")
        raise Worse()
    if k == "str spins":
        class Endless(Exception):
            def __str__(self):
                while True: pass
        raise Endless()
    if k == "object": return object()
    if k == "nan": return float("nan")
    if k == "cycle":
        a = []; a.append(a)
        return a
    if k == "then":
        class Thenable:
            def then(self, *a):
                while True: pass
        return Thenable()
    if k == "long": return "x" * 70_000_000
    if k == "flood":
        while True: print("x" * 100_000)
    if k == "files":
        n = 0
        while True:
            open(f"/tmp/{n}", "wb").write(b"x" * 4_000_000); n += 1
    if k == "memory":
        rest = []
        while True: rest.append(np.ones(4_000_000))
    if k == "wild": ctypes.memset(8, 255, 50_000_000)
    if k == "null": ctypes.CFUNCTYPE(None)(0)()
    if k == "library": ctypes.CDLL("/tmp/canary")
    if k == "thread": importlib.import_module("threading").Thread(target=print).start()
    if k == "coroutine":
        asyncio = importlib.import_module("asyncio")
        async def forever():
            while True: await asyncio.sleep(1)
        return asyncio.run(forever())
    if k == "process": getattr(os, "fork")()
    if k == "shell": return getattr(os, "system")("true")
`;

let server: TestServer;
beforeAll(async () => {
  server = await serveForTest({ workers: 2 });
  const settings = { timeout_ms: TIMEOUT_MS, memory_bytes: 256 * 2 ** 20 };
  const deployed = await server.deploy("hostile", HOSTILE, { settings });
  expect(deployed.status, JSON.stringify(deployed.body)).toBe(201);
  await server.deploy("other", "import numpy as np\ndef main(event):\n    return float(np.arange(5.0).sum())\n");
}, 60_000);
afterAll(() => server[Symbol.asyncDispose]());

const AT_ITS_TIME = { status: 504, code: "TimedOut" };

test.each([
  ["spin", [AT_ITS_TIME]],
  ["deaf", [AT_ITS_TIME]],
  ["sleep", [AT_ITS_TIME]],
  ["lock", [AT_ITS_TIME]],
  ["exit", [{ status: 500, code: "SandboxDied" }]],
  ["abort", [{ status: 500, code: "SandboxDied" }]],
  ["sysexit", [{ status: 500, code: "GuestRaised", details: { type: "SystemExit" } }]],
  [
    "recursion",
    [
      { status: 500, code: "GuestRaised", details: { type: "RecursionError" } },
      { status: 500, code: "SandboxDied" },
      AT_ITS_TIME,
    ],
  ],
  ["str raises", [{ status: 500, code: "GuestRaised", details: { type: "Worse" } }]],
  ["str spins", [AT_ITS_TIME]],
  ["object", [{ status: 500, code: "ResultNotJson" }]],
  ["nan", [{ status: 500, code: "ResultNotJson" }]],
  ["cycle", [{ status: 500, code: "ResultNotJson" }]],
  ["then", [{ status: 500, code: "ResultNotJson" }]],
  ["long", [{ status: 500, code: "MessageTooLong" }, { status: 500, code: "HeapCapExceeded" }, AT_ITS_TIME]],
  ["flood", [{ status: 500, code: "OutputLimitExceeded" }, AT_ITS_TIME]],
  ["files", [{ status: 500, code: "GuestRaised", details: { type: "OSError" } }, AT_ITS_TIME]],
  ["memory", [{ status: 500, code: "HeapCapExceeded" }, AT_ITS_TIME]],
  ["wild", [{ status: 500, code: "SandboxDied" }]],
  ["null", [{ status: 500, code: "SandboxDied" }]],
  ["library", [{ status: 500, code: "GuestRaised", details: { type: "OSError" } }]],
  ["thread", [{ status: 500, code: "GuestRaised", details: { type: "RuntimeError" } }]],
  ["coroutine", [{ status: 500, code: "GuestRaised" }, AT_ITS_TIME]],
  ["process", [{ status: 500, code: "GuestRaised", details: { type: "OSError" } }]],
  ["shell", [{ status: 200 }, { status: 500, code: "GuestRaised" }]],
])("a guest of kind %s", async (k, expected) => {
  const beside = Promise.all([1, 2, 3].map(() => server.invoke("other")));
  const start = performance.now();
  const { status, body } = await server.invoke("hostile", { k });
  // Far above what it takes, for a machine that is loaded: the benchmark holds it to 20 ms.
  expect(performance.now() - start).toBeLessThan(TIMEOUT_MS + 3000);
  const found = { status, code: body?.code, details: { type: body?.details?.type } };
  expect(
    expected.map((one) => ({ code: undefined, ...one })).some((one) => matches(found, one)),
    JSON.stringify(body),
  ).toBe(true);
  if (k === "shell") expect(body).not.toBe(0);
  // Every sandbox that there is.
  const looks = await Promise.all(Array.from({ length: 6 }, () => server.invoke("hostile", { k: "look" })));
  for (const look of looks) expect(look.body).toEqual([[], null, [], false, false, false]);
  expect((await beside).map((answer) => answer.body)).toEqual([10, 10, 10]);
});

test("none of them was a defect of ours, or ended the executor", () => {
  expect(server.said).toEqual([]);
});

interface Found {
  readonly status: number;
  readonly code?: string | undefined;
  readonly details?: { readonly type?: string | undefined };
}

function matches(found: Found, expected: Found): boolean {
  const { status, code, details } = expected;
  return found.status === status && found.code === code && (!details || found.details?.type === details.type);
}
