// Gets the wheels of a larger base image when one is first needed: node larger-base.mjs scipy ...
// Not part of the set-up: most applications need none, and they are 20 MB.
import { SetupError } from "./log.mjs";
import { getLaterWheels } from "./wheels.mjs";

try {
  await getLaterWheels(process.argv.slice(2));
} catch (error) {
  console.error(error instanceof SetupError ? error.message : error);
  process.exitCode = 1;
}
