// AWS's own SDK, given our URL as its endpoint.
import { InvokeCommand, type InvokeCommandInput, LambdaClient } from "@aws-sdk/client-lambda";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { serveForTest, type TestServer } from "./serving.ts";

const TEXT = `
import time
def main(event):
    print("a line of", event.get("who"))
    if event.get("who") == "nobody":
        raise KeyError("who")
    time.sleep(event.get("s", 0))
    return {"hello": event.get("who")}
`;

let server: TestServer;
let client: LambdaClient;
beforeAll(async () => {
  server = await serveForTest({ workers: 1, waiting_per_function: 1 });
  await server.deploy("hello", TEXT);
  client = clientOf(3);
}, 60_000);
afterAll(async () => {
  client.destroy();
  await server[Symbol.asyncDispose]();
});

const clientOf = (maxAttempts: number): LambdaClient =>
  new LambdaClient({
    endpoint: server.url,
    region: "local",
    credentials: { accessKeyId: "any", secretAccessKey: "any" },
    maxAttempts,
  });

async function invoke(event: unknown, more: Partial<InvokeCommandInput> = {}) {
  const answer = await client.send(
    new InvokeCommand({ FunctionName: "hello", Payload: JSON.stringify(event), ...more }),
  );
  const payload = Buffer.from(answer.Payload ?? []).toString();
  return { ...answer, value: payload === "" ? undefined : (JSON.parse(payload) as unknown) };
}

describe("AWS's SDK", () => {
  test("invokes and gets the result", async () => {
    expect(await invoke({ who: "you" })).toMatchObject({
      StatusCode: 200,
      ExecutedVersion: "$LATEST",
      value: { hello: "you" },
    });
  });

  test("gets the tail of the log", async () => {
    const { LogResult } = await invoke({ who: "you" }, { LogType: "Tail" });
    expect(Buffer.from(LogResult ?? "", "base64").toString()).toBe("a line of you\n");
  });

  test("gets what a function raised as a function error", async () => {
    const { StatusCode, FunctionError, value } = await invoke({ who: "nobody" });
    expect([StatusCode, FunctionError]).toEqual([200, "Unhandled"]);
    expect(value).toMatchObject({
      errorType: "KeyError",
      stackTrace: [expect.stringContaining('File "app.py", line 6, in main')],
    });
  });

  test("names versions and ARNs", async () => {
    expect(await invoke({ who: "v" }, { Qualifier: "1" })).toMatchObject({
      ExecutedVersion: "1",
      value: { hello: "v" },
    });
    const arn = "arn:aws:lambda:local:000000000000:function:hello:1";
    expect(await invoke({ who: "v" }, { FunctionName: arn })).toMatchObject({ value: { hello: "v" } });
    await expect(invoke({}, { Qualifier: "7" })).rejects.toMatchObject({ name: "ResourceNotFoundException" });
    await expect(invoke({}, { FunctionName: "nope" })).rejects.toMatchObject({ name: "ResourceNotFoundException" });
  });

  test("invokes for later, and without running", async () => {
    expect((await invoke({ who: "later" }, { InvocationType: "Event" })).StatusCode).toBe(202);
    expect((await invoke({ who: "dry" }, { InvocationType: "DryRun" })).StatusCode).toBe(204);
    const printed = async (): Promise<string> =>
      JSON.stringify((await server.call("GET", "/v1/functions/hello/logs")).body);
    await expect.poll(printed).toContain("a line of later");
    expect(await printed()).not.toContain("a line of dry");
  });

  test("tries again by itself when it is throttled", async () => {
    const once = clientOf(1);
    const send = (by: LambdaClient) =>
      by.send(new InvokeCommand({ FunctionName: "hello", Payload: JSON.stringify({ who: "busy", s: 0.15 }) }));
    const refused = await Promise.allSettled([send(once), send(once), send(once), send(once)]);
    expect(refused.filter(({ status }) => status === "rejected")).not.toEqual([]);
    expect(refused.find(({ status }) => status === "rejected")).toMatchObject({
      reason: { name: "TooManyRequestsException" },
    });
    const patient = clientOf(20);
    const all = await Promise.all([send(patient), send(patient), send(patient), send(patient)]);
    expect(all.map(({ StatusCode }) => StatusCode)).toEqual([200, 200, 200, 200]);
    once.destroy();
    patient.destroy();
  });
});
