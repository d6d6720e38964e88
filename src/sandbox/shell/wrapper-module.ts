/**
 * A tiny Wasm module that re-exports JavaScript functions, so that they can stand in a function table: one compile for all of
 * main's 259 import slots instead of 259.
 */
const letters: Readonly<Record<string, number>> = { i: 127, p: 127, j: 126, f: 125, d: 124, e: 111 };

const leb = (value: number): number[] => {
  const out: number[] = [];
  do {
    const low = value & 127;
    value >>>= 7;
    out.push(value ? low | 128 : low);
  } while (value);
  return out;
};
const text = (value: string): number[] => [...leb(value.length), ...Buffer.from(value)];
const section = (id: number, body: number[]): number[] => [id, ...leb(body.length), ...body];

/** Import `f0`, `f1`... of `e`, one for each Emscripten signature (`viij`), exported under the same names. */
export function wrapperModule(signatures: readonly string[]): WebAssembly.Module {
  const types = new Map<string, number>();
  const typeOf = (signature: string): number => {
    const key = signature.replaceAll("p", "i");
    let index = types.get(key);
    if (index === undefined) types.set(key, (index = types.size));
    return index;
  };
  const indices = signatures.map(typeOf);
  const wasmType = (letter: string): number => letters[letter] as number;
  const typeBody = [...leb(types.size)];
  for (const key of types.keys()) {
    const [result, ...parameters] = key.split("") as [string, ...string[]];
    typeBody.push(0x60, ...leb(parameters.length), ...parameters.map(wasmType));
    typeBody.push(...(result === "v" ? [0] : [1, wasmType(result)]));
  }
  const importBody = [...leb(signatures.length)];
  const exportBody = [...leb(signatures.length)];
  indices.forEach((type, i) => {
    importBody.push(...text("e"), ...text(`f${i}`), 0, ...leb(type));
    exportBody.push(...text(`f${i}`), 0, ...leb(i));
  });
  const header = [0, 97, 115, 109, 1, 0, 0, 0];
  return new WebAssembly.Module(
    Uint8Array.from([...header, ...section(1, typeBody), ...section(2, importBody), ...section(7, exportBody)]),
  );
}
