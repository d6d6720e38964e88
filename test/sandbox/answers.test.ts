import { expect, test } from "vitest";
import { Random } from "../agreement/random.ts";
import { type Answer, AnswerReader, frameOf } from "../../src/sandbox/answers.ts";

const answers: readonly Answer[] = Array.from({ length: 200 }, (_, i) => ({
  run: i % 3 === 0 ? `run-${i}` : "läuft",
  cpu_ms: i / 8,
  document: JSON.stringify({ i, text: "ä€😀".repeat(i) }),
}));
const frames = answers.map(({ run, cpu_ms, document }) => frameOf(run, cpu_ms, Buffer.from(document)) as Buffer);

test("answers come out of the pipe as they went in, however its bytes arrive", () => {
  const random = new Random(7);
  for (const most of [1, 3, 17, 4000, 1_000_000]) {
    const reader = new AnswerReader();
    const all = Buffer.concat(frames);
    const found: Answer[] = [];
    for (let at = 0; at < all.length;) {
      const end = Math.min(all.length, at + random.int(1, most));
      found.push(...reader.push(all.subarray(at, end)));
      at = end;
    }
    expect(found).toEqual(answers);
  }
});

test("what is too long for a frame goes the long way", () => {
  expect(frameOf("r", 0, Buffer.alloc(8192 - 14))).toHaveLength(8192);
  expect(frameOf("r", 0, Buffer.alloc(8192 - 13))).toBeUndefined();
  expect(frameOf("r".repeat(256), 0, Buffer.alloc(1))).toBeUndefined();
});
