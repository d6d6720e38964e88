/** V8's flags of a process that holds sandboxes. Compiled code (image/compile-code.ts) is good only for a process with the same. */

const FREEZE = "--freeze-flags-after-init";

/** No code from strings, whoever asks; and nothing of this can be changed later. No worker and no embedder could be given them. */
const HARDENING = ["--disallow-code-generation-from-strings", FREEZE];

/** Functions are validated when they are first compiled, not when the (pinned, checked) modules are: 90 ms less a start. */
const LAZY = "--wasm-lazy-validation";

export const SANDBOX_FLAGS: readonly string[] = [...HARDENING, LAZY, "--no-warnings"];

const BUDGET = "--wasm-tiering-budget=";

/** How much of a function's code, in bytes, roughly, runs before V8 optimizes it: when compiled code is made, and by itself. */
export const TIERING_BUDGETS = { budget: 1, usual_budget: 13_000_000 } as const;

/** Of the process that makes compiled code: what is used at all is optimized. */
export const TUNING_FLAGS: readonly string[] = [
  ...SANDBOX_FLAGS.filter((flag) => flag !== FREEZE),
  `${BUDGET}${TIERING_BUDGETS.budget}`,
];

/** Before it writes code, which says under which flags it was made: those that differ here make no other code. */
export const TUNED_FLAGS: readonly string[] = [`${BUDGET}${TIERING_BUDGETS.usual_budget}`, FREEZE];
