import { defineConfig, type ViteUserConfig } from "vitest/config";

/** `npm run test:full` also runs what takes minutes: the files named `*.full.test.ts`. */
const full = process.env["SANDLOOM_TEST_FULL"] === "1";

const config: ViteUserConfig = defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    exclude: full ? [] : ["test/**/*.full.test.ts"],
    // A process each: a crash in native code ends one file, not the run.
    pool: "forks",
    testTimeout: full ? 600_000 : 60_000,
    hookTimeout: 120_000,
    reporters: ["default", "./test/summary.ts"],
  },
});

export default config;
