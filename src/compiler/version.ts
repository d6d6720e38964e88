/** Part of the key under which compiled applications are cached: raise it when the output for any source changes. */
export const COMPILER_VERSION = "1";
