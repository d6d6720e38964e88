/** What must not outlive the benchmark, however it ends: processes and folders that end with their owner only. */

const pending = new Set<() => void>();

/** Calls `clean` when this process exits, an interrupt included. @returns what calls it off, when its work is done. */
export function atExit(clean: () => void): () => void {
  if (!listening) listen();
  pending.add(clean);
  return () => void pending.delete(clean);
}

let listening = false;

function listen(): void {
  listening = true;
  process.on("exit", () => {
    for (const clean of pending) clean();
  });
  // Without a listener, a signal ends the process and nothing of the above runs.
  for (const [signal, code] of [
    ["SIGINT", 130],
    ["SIGTERM", 143],
  ] as const)
    process.on(signal, () => process.exit(code));
}
