// A component that sleeps holds a sandbox, and no CPU.
import { expect, test } from "vitest";
import { eventsOf, useBench } from "../support/running.ts";

const bench = useBench();

test("sleeping takes as long as it says, and no CPU", async () => {
  const slept = 2;
  const source = `
import time
from time import sleep
def main(event):
    start = time.monotonic()
    sleep(event["s"] / 2)
    time.sleep(event["s"] / 2)
    time.sleep(0.0005)
    return time.monotonic() - start
`;
  const outcome = await bench.runSource(source, { s: slept });
  expect(outcome.error).toBeUndefined();
  expect(outcome.value).toBeGreaterThanOrEqual(slept);
  const [ended] = eventsOf(outcome, "component-ended");
  // The interpreter's own sleep would take all of it.
  expect(ended?.cpu_ms).toBeLessThan((slept * 1000) / 4);
});

test("components sleep side by side with what waits for them", async () => {
  const source = `
import time
from sandloom import split
@split
def nap(n):
    time.sleep(0.01 * n)
    return n
def main(event):
    return [nap(n) for n in range(6)]
`;
  expect(await bench.valueOf(source)).toEqual([0, 1, 2, 3, 4, 5]);
});

test("what cannot be slept is refused as by CPython", async () => {
  const source = `
import time
def main(event):
    said = []
    for seconds in (-1, float("nan"), "1", None, 1e30):
        try:
            time.sleep(seconds)
        except Exception as error:
            said.append([type(error).__name__, str(error)])
    return said
`;
  expect(await bench.valueOf(source)).toEqual([
    ["ValueError", "sleep length must be non-negative"],
    ["ValueError", "Invalid value NaN (not a number)"],
    ["TypeError", "'str' object cannot be interpreted as an integer or float"],
    ["TypeError", "'NoneType' object cannot be interpreted as an integer or float"],
    ["OverflowError", "timestamp out of range for platform time_t"],
  ]);
});

test("an interrupt ends a sleep, and the sandbox goes on", async () => {
  await using sandbox = await bench.cluster.createSandbox();
  const asleep = sandbox.run("import time\nprint('begun')\ntime.sleep(600)", { signal: AbortSignal.timeout(200) });
  await expect(asleep).rejects.toMatchObject({ details: { type: "KeyboardInterrupt" } });
  expect((await sandbox.run("1 + 1")).value).toBe(2);
});

test("a sleep ends with its run", async () => {
  const source = "import time\ndef main(event):\n    time.sleep(600)\n";
  const { error } = await bench.runSource(source, {}, { limits: { run_timeout_ms: 300 } });
  expect(error?.code).toBe("TimedOut");
  expect(await bench.valueOf("def main(event):\n    return 1\n")).toBe(1);
});
