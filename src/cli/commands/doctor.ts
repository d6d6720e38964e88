/** `sandloom doctor`. */
import type { Context } from "../context.ts";
import { EXIT, type ExitCode } from "../exit.ts";
import { doctorText } from "../text/doctor.ts";

export async function doctorCommand(context: Context, options: { json?: boolean }): Promise<ExitCode> {
  const { out } = context.terminal;
  const { doctor } = await context.loadApi();
  const found = await doctor();
  out.write(options.json ? `${JSON.stringify(found, undefined, 2)}\n` : `${doctorText(found, out.paint)}\n`);
  return found.checks.some((check) => check.status === "missing") ? EXIT.system : EXIT.ok;
}
