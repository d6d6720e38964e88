/** The thread of `pyodide.ts`. */
import { parentPort, workerData } from "node:worker_threads";
import { loadPyodide } from "pyodide";

export interface PyodideCall {
  /** Of a module with `main`. */
  readonly source: string;
  /** JSON. */
  readonly event: string;
  readonly packages: readonly string[];
  /** Where the wheels of these lie. */
  readonly wheels: string;
}

const { source, event, packages, wheels } = workerData as PyodideCall;
const pyodide = await loadPyodide({ packageCacheDir: wheels });
await pyodide.loadPackage([...packages], { messageCallback: () => undefined });
pyodide.runPython(source);
pyodide.globals.set("event", event);
parentPort?.postMessage(pyodide.runPython("import json\njson.dumps(main(json.loads(event)))"));
