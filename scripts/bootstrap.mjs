// Makes a checkout ready: `npm start`, `npm test` and the like run this first. Plain JavaScript without dependencies,
// for whatever Node (20 or newer) is there; what follows runs under the Node that the npm step installs.
import { cpythonStep } from "./bootstrap/cpython.mjs";
import { imageStep } from "./bootstrap/image.mjs";
import { takeLock } from "./bootstrap/lock.mjs";
import { say, secondsSince, SetupError } from "./bootstrap/log.mjs";
import { nativeStep } from "./bootstrap/native.mjs";
import { npmStep } from "./bootstrap/npm.mjs";
import { root, state } from "./bootstrap/paths.mjs";
import { runStep } from "./bootstrap/step.mjs";
import { checkPlatform, ensureSystemPackages } from "./bootstrap/system.mjs";
import { wheelsStep } from "./bootstrap/wheels.mjs";

/** In order: a step may use what those before it made. */
const steps = [npmStep, nativeStep, wheelsStep, cpythonStep, imageStep];

const NOTABLE_MS = 1_000;

try {
  const started = performance.now();
  checkPlatform();
  process.chdir(root);
  await takeLock(state);
  await ensureSystemPackages();
  for (const step of steps) await runStep(step);
  if (performance.now() - started > NOTABLE_MS) say(`ready in ${secondsSince(started)}`);
} catch (error) {
  if (!(error instanceof SetupError)) throw error;
  say(error.message);
  process.exitCode = 1;
}
