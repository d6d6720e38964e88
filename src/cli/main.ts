/** Entry of the command `sandloom`: importing this module runs the command line of the process. */
import { EXIT } from "./exit.ts";
import { main } from "./program.ts";

// Node's own code for what nobody caught is 1, which here says that the program raised.
process.on("uncaughtException", (error) => {
  process.stderr.write(`InternalError: a defect of Sandloom\n${error.stack ?? String(error)}\n`);
  process.exit(EXIT.system);
});

process.exitCode = await main(process.argv.slice(2));
