// Sandboxes of one's own: state that stays, files, interrupts, snapshots, and their end.
import { expect, test } from "vitest";
import { createSandbox, type Sandbox } from "../../src/index.ts";
import { useBench } from "../support/running.ts";

const bench = useBench();
const open = (options: Parameters<typeof bench.cluster.createSandbox>[0] = {}): Promise<Sandbox> =>
  bench.cluster.createSandbox(options);

test("a sandbox keeps its state, and gives values, reprs and output", async () => {
  const heard: string[] = [];
  await using sandbox = await open({
    onOutput: (stream, text) => heard.push(`${stream}: ${text}`),
    environment: { A: "1" },
  });
  expect(await sandbox.run("import numpy as np\nx = np.arange(4)\nprint('made')")).toEqual({
    stdout: "made\n",
    stderr: "",
  });
  expect(await sandbox.run("int(x.sum()) + 1")).toMatchObject({ value: 7, repr: "7" });
  expect(await sandbox.run("x")).toEqual({ repr: "array([0, 1, 2, 3])", stdout: "", stderr: "" });
  expect(await sandbox.run("import os, sys\nprint('e', file=sys.stderr)\nos.environ['A']")).toMatchObject({
    value: "1",
    stderr: "e\n",
  });
  expect(await sandbox.run("def f(n):\n    return {'n': n, '_': _}\nf([1, None])")).toMatchObject({
    value: { n: [1, null], _: "1" },
  });
  expect(heard).toEqual(["stdout: made\n", "stderr: e\n"]);
});

test("what raises says where, and the sandbox goes on", async () => {
  await using sandbox = await open();
  await sandbox.run("n = 1\ndef g():\n    print('in g')\n    raise ValueError('no')");
  await expect(sandbox.run("g()")).rejects.toMatchObject({
    code: "GuestRaised",
    message: "ValueError: no",
    details: {
      stdout: "in g\n",
      frames: [
        { file: "<cell 2>", line: 1, text: "g()" },
        { file: "<cell 1>", line: 4, function: "g" },
      ],
    },
  });
  await expect(sandbox.run("1 +")).rejects.toMatchObject({ code: "GuestRaised", details: { type: "SyntaxError" } });
  expect((await sandbox.run("n")).value).toBe(1);
});

test("two sandboxes see nothing of each other, nor does who comes after", async () => {
  const one = await open();
  await using other = await open();
  await one.run("import builtins\nbuiltins.leak = 'leak'\nopen('/tmp/leak', 'w').close()");
  const looks = "import builtins, os\n[hasattr(builtins, 'leak'), os.path.exists('/tmp/leak')]";
  expect((await other.run(looks)).value).toEqual([false, false]);
  await one.close();
  for (let i = 0; i < 5; i++) {
    await using next = await open();
    expect((await next.run(looks)).value).toEqual([false, false]);
  }
  expect(await bench.valueOf("import builtins\ndef main(event):\n    return hasattr(builtins, 'leak')\n")).toBe(false);
  await expect(one.run("1")).rejects.toMatchObject({ code: "Cancelled" });
});

test("files go in and out", async () => {
  await using sandbox = await open();
  const bytes = Uint8Array.from({ length: 100_000 }, (_, i) => i % 251);
  await sandbox.writeFile("/tmp/data/in.bin", bytes);
  await sandbox.run("data = open('/tmp/data/in.bin', 'rb').read()\nopen('/tmp/out.bin', 'wb').write(data[::-1])");
  expect(Buffer.compare(await sandbox.readFile("/tmp/out.bin"), bytes.toReversed())).toBe(0);
  await expect(sandbox.readFile("/tmp/none")).rejects.toMatchObject({ details: { type: "FileNotFoundError" } });
  await expect(sandbox.readFile("relative")).rejects.toMatchObject({ code: "BadInput" });
});

test("a loop is interrupted, and what was there stays", async () => {
  await using sandbox = await open();
  await sandbox.run("n = 0");
  const loop = sandbox.run("while True:\n    n += 1");
  setTimeout(() => sandbox.interrupt(), 100);
  await expect(loop).rejects.toMatchObject({ details: { type: "KeyboardInterrupt" } });
  expect((await sandbox.run("n > 0")).value).toBe(true);
  const aborted = sandbox.run("while True:\n    pass", { signal: AbortSignal.timeout(100) });
  await expect(aborted).rejects.toMatchObject({ details: { type: "KeyboardInterrupt" } });
});

test("an interrupt is for the cell that was asked for, whenever it comes, and for no other", async () => {
  await using sandbox = await open();
  await sandbox.run("n = 0");
  for (let i = 0; i < 5; i++) {
    // Before the cell was sent, and while it is on its way.
    const asked = sandbox.run("while True:\n    n += 1");
    if (i % 2 === 1) await new Promise((resolve) => setImmediate(resolve));
    sandbox.interrupt();
    await expect(asked).rejects.toMatchObject({ details: { type: "KeyboardInterrupt" } });
  }
  const aborted = new AbortController();
  const cell = sandbox.run("while True:\n    n += 1", { signal: aborted.signal });
  await Promise.resolve();
  aborted.abort();
  await expect(cell).rejects.toMatchObject({ details: { type: "KeyboardInterrupt" } });
  // At any moment of short ones: it is heard or it is late, and the sandbox goes on.
  const turns = 300;
  let heard = 0;
  for (let i = 0; i < turns; i++) {
    const short = sandbox.run("n = sum(range(2000))\nint('x' if n < 0 else n)");
    for (let turn = 0; turn < i % 30; turn++) await new Promise((resolve) => setImmediate(resolve));
    sandbox.interrupt();
    await short.then(
      ({ value }) => expect(value).toBe(1_999_000),
      (error: unknown) => {
        expect(error).toMatchObject({ details: { type: "KeyboardInterrupt" } });
        heard++;
      },
    );
  }
  expect(heard).toBeGreaterThan(0);
  sandbox.interrupt(); // nothing runs: nobody's
  expect((await sandbox.run("sum(range(100_000))")).value).toBe(4_999_950_000);
  // For a cell that never begins: not for the one after it.
  const gone = sandbox.run("1", { signal: AbortSignal.abort() });
  sandbox.interrupt();
  await expect(gone).rejects.toThrow();
  expect((await sandbox.run("sum(range(100_000))")).value).toBe(4_999_950_000);
});

test("what does not hear the interrupt ends by its time, and the sandbox with it", async () => {
  const sandbox = await open();
  const deaf =
    "while True:\n    try:\n        while True:\n            pass\n    except KeyboardInterrupt:\n        pass";
  await expect(sandbox.run(deaf, { timeout_ms: 300 })).rejects.toMatchObject({
    code: "TimedOut",
    details: { limit: "timeout_ms", bound: 300 },
  });
  await expect(sandbox.run("1")).rejects.toMatchObject({ code: "TimedOut" });
  await sandbox.close();
  const dead = await open();
  await expect(dead.run("import os\nos._exit(3)")).rejects.toMatchObject({ code: "SandboxDied" });
  await dead.close();
  const loud = await open({ limits: { output_bytes: 1000 } });
  await expect(loud.run("while True:\n    print('x' * 100)")).rejects.toMatchObject({ code: "OutputLimitExceeded" });
  await loud.close();
  expect(await bench.valueOf("def main(event):\n    return 1\n")).toBe(1);
});

test("a session's heap has its own limit, whatever ran in its sandbox before", async () => {
  const large = "def main(event):\n    return len(bytearray(200_000_000))\n";
  await Promise.all(Array.from({ length: 8 }, () => bench.valueOf(large)));
  const limits = { heap_bytes: 128 * 2 ** 20 };
  const sandboxes = await Promise.all(Array.from({ length: 4 }, () => open({ limits })));
  for (const sandbox of sandboxes) {
    await expect(sandbox.run("len(bytearray(100_000_000))")).rejects.toMatchObject({
      details: { type: "MemoryError" },
    });
    expect((await sandbox.run("len(bytearray(20_000_000))")).value).toBe(20_000_000);
    await sandbox.close();
  }
});

test("closing ends what runs", async () => {
  const sandbox = await open();
  const loop = sandbox.run("while True:\n    pass");
  loop.catch(() => undefined);
  await new Promise((resolve) => setTimeout(resolve, 50));
  await sandbox.close();
  await expect(loop).rejects.toMatchObject({ code: "Cancelled" });
});

test("a snapshot is where others begin, and the first goes on", async () => {
  await using first = await open();
  await first.run(
    "import pandas as pd\nframe = pd.DataFrame({'k': ['a', 'b', 'a'], 'v': [1, 2, 3]})\nsteps = ['first']",
  );
  const snapshot = await first.snapshot();
  await first.run("steps.append('later')");
  for (const name of ["second", "third"]) {
    await using restored = await open({ image: snapshot });
    const code = `steps.append('${name}')\n[steps, frame.groupby('k')['v'].sum().to_dict()]`;
    expect((await restored.run(code)).value).toEqual([["first", name], { a: 4, b: 2 }]);
  }
  expect((await first.run("steps")).value).toEqual(["first", "later"]);
  // Of a sandbox that has an application, too.
  const app = bench.write({ "app.py": "TABLE = {'k': 1}\ndef main(event):\n    return TABLE\n" });
  await using third = await open({ image: app });
  await third.run("import app\napp.TABLE['k'] += 1");
  const second = await third.snapshot();
  await using fourth = await open({ image: second });
  expect((await fourth.run("import app\napp.TABLE['k']")).value).toBe(2);
  expect(await bench.valueOf("TABLE = 3\ndef main(event):\n    return TABLE\n")).toBe(3);
  snapshot.drop();
  second.drop();
});

test("one may be had without a cluster", async () => {
  await using sandbox = await createSandbox();
  expect((await sandbox.run("6 * 7")).value).toBe(42);
});
