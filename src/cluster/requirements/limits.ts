/** Bounds of what a requirements file may ask for and of what an index may answer: all of it comes from outside. */

const MiB = 1024 * 1024;

export const REQUIREMENT_LIMITS = {
  text_bytes: 256 * 1024,
  /** Of the text, continued ones joined. */
  lines: 1000,
  packages: 200,
  /** Candidates looked at, over all packages: versions that conflict are tried in turn. */
  steps: 2000,
  index_page_bytes: 32 * MiB,
  metadata_bytes: 1 * MiB,
  wheel_bytes: 64 * MiB,
  /** Of all packages, as they come and unpacked. */
  wheels_bytes: 128 * MiB,
  unpacked_bytes: 256 * MiB,
  files: 20_000,
  path_bytes: 512,
  request_timeout_ms: 60_000,
  resolve_timeout_ms: 300_000,
  /** Kept on the disk; what was not used for longest goes first. */
  cache_wheels_bytes: 1024 * MiB,
  cache_packs_bytes: 1024 * MiB,
  cache_resolutions: 2000,
} as const;
