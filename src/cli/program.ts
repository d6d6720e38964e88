/** The command line: commands, options, help; errors become one block and an exit code. */
import { readFileSync } from "node:fs";
import { Command, CommanderError, Option } from "commander";
import { BadInput, Cancelled } from "../graph/errors.ts";
import type { DeployFlags, InvokeFlags } from "./commands/functions.ts";
import type { CompileFlags } from "./commands/graph.ts";
import type { RunFlags } from "./commands/run.ts";
import type { ServeFlags } from "./commands/serve.ts";
import type { Api, Context } from "./context.ts";
import { EXIT, EXIT_CODES_HELP, type ExitCode, exitCodeOf } from "./exit.ts";
import { parseCpus, parseDuration, parseSize } from "./input/units.ts";
import { processTerminal, type Terminal } from "./terminal.ts";

/** Replaces what a command works with; the process's own streams and the package's own API when absent. */
export interface Surroundings {
  readonly terminal?: Terminal;
  readonly api?: Api;
}

/** Runs one command line (without `node` and the script) and returns its exit code. */
export async function main(argv: readonly string[], surroundings: Surroundings = {}): Promise<number> {
  const terminal = surroundings.terminal ?? processTerminal();
  const loadApi = async (): Promise<Api> => surroundings.api ?? (await import("../index.ts"));
  const outcome: Outcome = { code: EXIT.ok, app: undefined };
  const program = commands({ terminal, loadApi }, outcome);
  try {
    refuseAppAsCommand(argv[0]);
    await program.parseAsync(argv, { from: "user" });
    return outcome.code;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
    // What Node's own functions throw when an interrupt ends them.
    const shown = error instanceof Error && error.name === "AbortError" ? new Cancelled("interrupted") : error;
    await showError(terminal, shown, outcome.app);
    return exitCodeOf(shown);
  }
}

/** `sandloom app.py` is an easy slip, and "unknown command" alone would not help. */
function refuseAppAsCommand(first: string | undefined): void {
  if (first === undefined || first.startsWith("-") || !/\.py$|\//.test(first)) return;
  throw new BadInput(`"${first}" is no command: to run it, write 'sandloom run ${first}'`, { command: first });
}

interface Outcome {
  code: ExitCode;
  /** The application of the command, for lines of its source in errors. */
  app: string | undefined;
}

async function showError(terminal: Terminal, error: unknown, app: string | undefined): Promise<void> {
  const [{ errorText }, { sourceLinesOf }, { resolve }] = await Promise.all([
    import("./text/error.ts"),
    import("./source-lines.ts"),
    import("node:path"),
  ]);
  const { paint } = terminal.err;
  const sourceLine = sourceLinesOf(app === undefined ? undefined : resolve(terminal.cwd, app));
  terminal.err.write(`${errorText(error, { paint, sourceLine })}\n`);
}

function commands(context: Context, outcome: Outcome): Command {
  const { out, err } = context.terminal;
  const program = new Command("sandloom")
    .usage("<command> [options]")
    .description(
      "Runs Python programs that outgrow one function: marks become components, each in a sandbox of its own.",
    )
    .version(versionOfPackage(), "-V, --version", "show the version")
    .helpOption("-h, --help", "show help")
    .helpCommand("help [command]", "show the help of a command")
    .addHelpText("after", `\n${EXAMPLES}\n\n${EXIT_CODES_HELP}`)
    .showSuggestionAfterError()
    .exitOverride()
    .configureOutput({
      writeOut: (text) => out.write(text),
      writeErr: (text) => err.write(text),
      getOutHelpWidth: () => out.columns,
      getErrHelpWidth: () => err.columns,
      outputError: (text, write) => write(`${text}Try 'sandloom --help' or 'sandloom help <command>'.\n`),
    });

  program
    .command("run")
    .summary("run an application on one event")
    .description(
      "Compiles an application if need be and runs it on one event. The result goes to standard output, everything else to standard error.",
    )
    .argument("<APP>", "a .py file, a folder with app.py or main.py, or a compiled folder")
    .option("-e, --event <JSON>", "what main(event) gets: JSON, @file, or - for standard input (default: {})")
    .option(
      "-s, --set <key=value>",
      "set one key of the event, after --event; outer.inner=value nests; repeatable",
      collect,
    )
    .option(
      "-m, --mount <DIR[:/path]>",
      "let components read a folder, at the same path or at /path; repeatable",
      collect,
    )
    .addOption(requirements())
    .option("--local", "run it as plain Python with the python3 on PATH, without components")
    .option(
      "--timeout <duration>",
      "time that the run may take: 500ms, 30s, 1m30s (default: 5m)",
      naming("--timeout", parseDuration),
    )
    .option(
      "--memory <size>",
      "bytes that its memory components may hold together: 512MiB, 2GB (default: 4GiB)",
      naming("--memory", parseSize),
    )
    .option("--cpus <n>", "CPUs that its components may use together (default: all)", naming("--cpus", parseCpus))
    .option(
      "-o, --out <DIR>",
      "folder for graph.json, components/, modules/, run.json, result.json (default: .sandloom/runs/<run>)",
    )
    .option("--keep", "also write the executor's log to the output folder")
    .addOption(new Option("--json", "print one JSON document {run, out, result, artifacts, report} and nothing else"))
    .addOption(new Option("-q, --quiet", "print the result only").conflicts("json"))
    .addHelpText("after", `\n${RUN_EXAMPLES}\n\n${EXIT_CODES_HELP}`)
    .action(async (app: string, flags: RunFlags) => {
      outcome.app = app;
      const { runCommand } = await import("./commands/run.ts");
      outcome.code = await runCommand(context, app, flags);
    });

  program
    .command("compile")
    .summary("compile an application to a folder")
    .description(
      "Writes the resource graph and the low-level programs of an application to a folder, which 'sandloom run' takes as well.",
    )
    .argument("<APP>", "a .py file, or a folder with app.py or main.py")
    .requiredOption("-o, --out <DIR>", "folder to write: graph.json, components/, modules/")
    .addOption(requirements())
    .addHelpText("after", "\nExample:\n  sandloom compile app.py -o compiled && sandloom run compiled")
    .action(async (app: string, flags: CompileFlags & { out: string }) => {
      outcome.app = app;
      const { compileCommand } = await import("./commands/graph.ts");
      outcome.code = await compileCommand(context, app, flags);
    });

  program
    .command("graph")
    .summary("show an application's components and their relations")
    .description("Shows which components an application has, what triggers what, and who uses which memory component.")
    .argument("<APP>", "a .py file, a folder with app.py or main.py, or a compiled folder")
    .addOption(requirements())
    .option("--json", "print graph.json")
    .addHelpText("after", "\nExample:\n  sandloom graph app.py --json | jq '.components[].name'")
    .action(async (app: string, flags: CompileFlags & { json?: boolean }) => {
      outcome.app = app;
      const { graphCommand } = await import("./commands/graph.ts");
      outcome.code = await graphCommand(context, app, flags);
    });

  serverCommands(context, program, outcome);

  program
    .command("doctor")
    .summary("check this machine")
    .description("Says what of this machine Sandloom can use, what is missing, what that costs and how to get it.")
    .option("--json", "print the checks as JSON")
    .action(async (flags: { json?: boolean }) => {
      const { doctorCommand } = await import("./commands/doctor.ts");
      outcome.code = await doctorCommand(context, flags);
    });
  return program;
}

/** Commands of function hosting: the server, and those that talk to one. */
function serverCommands(context: Context, program: Command, outcome: Outcome): void {
  const load = (): Promise<typeof import("./commands/functions.ts")> => import("./commands/functions.ts");
  const server = (): Option =>
    new Option("--server <URL>", "the server (default: $SANDLOOM_SERVER, else http://127.0.0.1:7878)");

  program
    .command("serve")
    .summary("host functions over HTTP")
    .description(
      "Hosts functions on this machine until it is interrupted: it then takes no more, and lets those that run end.",
    )
    .option("-p, --port <n>", "port to listen on, 0 for any (default: 7878)", naming("--port", wholeNumber(0, 65_535)))
    .option("--address <ip>", "address to listen on; others than loopback need --tokens", "127.0.0.1")
    .option(
      "--workers <n>",
      "invocations at a time (default: twice the CPUs)",
      naming("--workers", wholeNumber(1, 500)),
    )
    .option(
      "--memory <size>",
      "bytes that sandboxes and memory components may hold together (default: half of the machine's)",
      naming("--memory", parseSize),
    )
    .option(
      "--min-warm <n>",
      "sandboxes that are kept ready, used or not; 0: none (default: workers + 2)",
      naming("--min-warm", wholeNumber(0, 1000)),
    )
    .option("--data <DIR>", "folder of the database and its key", ".sandloom/server")
    .option("--allow-mount <DIR>", "functions may be given this folder and those below, read-only; repeatable", collect)
    .option("--tokens <FILE>", 'JSON: [{"name", "token", "scopes": ["read", "invoke", "deploy"]}]')
    .option(
      "--grace <duration>",
      "time that running invocations get at the end",
      naming("--grace", parseDuration),
      30_000,
    )
    .addHelpText("after", "\nExample:\n  sandloom serve --port 7878 --data /var/lib/sandloom")
    .action(async (flags: ServeFlags) => {
      const { serveCommand } = await import("./commands/serve.ts");
      outcome.code = await serveCommand(context, flags);
    });

  program
    .command("deploy")
    .summary("deploy an application as a function")
    .description("Sends an application's sources to a server, which compiles it and runs its top level once.")
    .argument("<APP>", "a .py file, or a folder with app.py or main.py")
    .requiredOption("-n, --name <NAME>", "name of the function")
    .addOption(requirements())
    .option("--env <NAME=value>", "environment variable; =@file reads it; repeatable", collect)
    .option("--secret <NAME=value>", "one whose value is never shown again; repeatable", collect)
    .option(
      "-m, --mount <DIR[:/path]>",
      "let invocations read a folder of the server's machine, which must allow it; repeatable",
      collect,
    )
    .option(
      "--memory <size>",
      "bytes of each sandbox's heap, and of all memory components (default: 1GiB)",
      naming("--memory", parseSize),
    )
    .option(
      "--timeout <duration>",
      "time that an invocation may take (default: 30s)",
      naming("--timeout", parseDuration),
    )
    .option(
      "--concurrency <n>",
      "invocations at a time (default: 1000)",
      naming("--concurrency", wholeNumber(1, 10_000)),
    )
    .addOption(server())
    .option("--json", "print the server's answer")
    .addHelpText(
      "after",
      "\nExample:\n  sandloom deploy app.py --name forecast --env REGION=north --secret KEY=@key.txt",
    )
    .action(async (app: string, flags: DeployFlags) => {
      outcome.app = app;
      outcome.code = await (await load()).deployCommand(context, app, flags);
    });

  program
    .command("invoke")
    .summary("invoke a function")
    .description(
      "Runs a function on one event. The result goes to standard output, what it prints to standard error as it comes.",
    )
    .argument("<NAME[@version]>", "a function, or one version of it")
    .option("-e, --event <JSON>", "what main(event) gets: JSON, @file, or - for standard input (default: {})")
    .option("-s, --set <key=value>", "set one key of the event, after --event; repeatable", collect)
    .option("--async", "store it, print its id and do not wait: 'sandloom result ID' has the rest")
    .option("--key <text>", "idempotency key: with the same one the function runs once")
    .addOption(server())
    .action(async (target: string, flags: InvokeFlags) => {
      outcome.code = await (await load()).invokeCommand(context, target, flags);
    });

  program
    .command("result")
    .summary("show the result of an asynchronous invocation")
    .argument("<ID>", "as 'sandloom invoke --async' printed it")
    .addOption(server())
    .action(async (id: string, flags: { server?: string }) => {
      outcome.code = await (await load()).resultCommand(context, id, flags);
    });

  program
    .command("functions")
    .summary("list the functions of a server")
    .addOption(server())
    .option("--json", "print them as JSON")
    .action(async (flags: { server?: string; json?: boolean }) => {
      outcome.code = await (await load()).functionsCommand(context, flags);
    });

  program
    .command("logs")
    .summary("show what a function printed, and how its invocations ended")
    .argument("<NAME[@version]>", "a function, or one version of it")
    .option("-f, --follow", "go on with what comes")
    .option("-n, --lines <n>", "so many of the last lines", naming("--lines", wholeNumber(1, 10_000)), 100)
    .addOption(server())
    .action(async (target: string, flags: { server?: string; follow?: boolean; lines: number }) => {
      outcome.code = await (await load()).logsCommand(context, target, flags);
    });

  program
    .command("top")
    .summary("show what runs and waits on a server")
    .addOption(server())
    .option("--json", "print it as JSON")
    .action(async (flags: { server?: string; json?: boolean }) => {
      outcome.code = await (await load()).topCommand(context, flags);
    });

  program
    .command("remove")
    .summary("remove a function, or one version of it")
    .argument("<NAME[@version]>", "a function, or one version of it")
    .addOption(server())
    .action(async (target: string, flags: { server?: string }) => {
      outcome.code = await (await load()).removeCommand(context, target, flags);
    });
}

const requirements = (): Option =>
  new Option(
    "-r, --requirements <FILE>",
    "Python packages beside the base image (default: requirements.txt beside the application)",
  );

function wholeNumber(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^\d+$/.test(text) && value >= least && value <= most) return value;
    throw new BadInput(`${text}: a whole number from ${least} to ${most}`, { value: text });
  };
}

const EXAMPLES = `Examples:
  sandloom run app.py --event '{"rounds": 10}'
  sandloom graph app.py
  sandloom doctor`;

const RUN_EXAMPLES = `Examples:
  sandloom run app.py --event '{"rounds": 10}'
  sandloom run app.py --event @event.json --set rounds=20 --set model.rate=0.1
  sandloom run examples/tpcds-q1 --event @event.json --mount data:/data --timeout 1m30s --memory 2GiB
  echo '{}' | sandloom run app.py --event - --json | jq .result
  sandloom run app.py --local`;

function collect(value: string, earlier: readonly string[] = []): string[] {
  return [...earlier, value];
}

/** Puts the option's name in front of what is wrong with its value. */
function naming<T>(option: string, parse: (text: string) => T): (text: string) => T {
  return (text) => {
    try {
      return parse(text);
    } catch (error) {
      throw error instanceof BadInput ? new BadInput(`${option} ${error.message}`, error.details) : error;
    }
  };
}

function versionOfPackage(): string {
  const text = readFileSync(new URL("../../package.json", import.meta.url), "utf8");
  return (JSON.parse(text) as { version: string }).version;
}
