/** What this machine has of what Sandloom uses: what was found, what its absence costs, and how to get it. */
import { existsSync } from "node:fs";
import { availableParallelism, freemem, totalmem } from "node:os";
import type { NativeCapabilities } from "../fabric/native.ts";
import { baseOf } from "../sandbox/image/base.ts";
import { compiledCodePath } from "../sandbox/image/format.ts";
import { cacheDirectory, wheelDirectories, wheelPath } from "../sandbox/runtime/paths.ts";
import { basePackages, lockedPackages } from "../sandbox/runtime/catalogue.ts";
import type { Check, Doctor } from "./api.ts";

const LIBFABRIC = [
  "/usr/lib/x86_64-linux-gnu/libfabric.so.1",
  "/usr/lib64/libfabric.so.1",
  "/usr/lib/libfabric.so.1",
  "/usr/local/lib/libfabric.so.1",
];
const GB = 1e9;

export async function doctor(): Promise<Doctor> {
  const checks: Check[] = [platform(), node()];
  const capabilities = await loadAddon();
  if ("check" in capabilities) checks.push(capabilities.check);
  else checks.push(...kernel(capabilities.found));
  checks.push(root(), libfabric(), memory(), wheels(), image(), compiledCode());
  return { checks };
}

function platform(): Check {
  const found = `${process.platform} ${process.arch}`;
  if (found === "linux x64") return { name: "platform", status: "ok", found };
  return {
    name: "platform",
    status: "missing",
    found,
    costs: "Sandloom runs on Linux x64 only",
    get: "a Linux x64 machine, or a virtual one",
  };
}

function node(): Check {
  const found = `Node ${process.version}, V8 ${process.versions.v8}`;
  if (Number(process.versions.node.split(".")[0]) >= 26) return { name: "node", status: "ok", found };
  return {
    name: "node",
    status: "degraded",
    found,
    costs: "a new sandbox takes about 150 ms instead of 60 and 20 MB more",
    get: "Node 26: the set-up brings it",
  };
}

async function loadAddon(): Promise<{ check: Check } | { found: NativeCapabilities }> {
  try {
    const { store } = await import("../fabric/store.ts");
    return { found: store.capabilities() };
  } catch (error) {
    return {
      check: {
        name: "native addon",
        status: "missing",
        found: error instanceof Error ? (error.message.split("\n")[0] ?? "") : String(error),
        costs: "nothing runs: sandboxes and memory components are its mappings",
        get: "npm start builds it (needs g++ and make)",
      },
    };
  }
}

function kernel(found: NativeCapabilities): Check[] {
  const { pagemap_scan, pagemap, userfaultfd, memfd, shmem_thp } = found;
  const checks: Check[] = [{ name: "native addon", status: "ok", found: `loaded; Linux ${found.kernel}` }];
  checks.push(
    memfd
      ? { name: "memfd", status: "ok", found: "sealed memfds" }
      : {
          name: "memfd",
          status: "missing",
          found: "no",
          costs: "no images and no memory components",
          get: "Linux 3.17 or later",
        },
  );
  checks.push(
    pagemap_scan
      ? { name: "dirty pages", status: "ok", found: "PAGEMAP_SCAN" }
      : {
          name: "dirty pages",
          status: pagemap ? "degraded" : "missing",
          found: pagemap ? "/proc/self/pagemap" : "none",
          costs: pagemap ? "a reset reads 8 bytes for each page: about 0.4 ms more" : "sandboxes cannot be reset",
          get: "Linux 6.7 or later",
        },
  );
  checks.push(
    userfaultfd === true
      ? { name: "userfaultfd", status: "ok", found: "full" }
      : {
          name: "userfaultfd",
          status: "degraded",
          found: userfaultfd === false ? "no" : "user mode only",
          costs:
            "nothing on one server; between servers memory is fetched before a component starts instead of as it is touched",
          get: "root, or sysctl vm.unprivileged_userfaultfd=1",
        },
  );
  checks.push(
    shmem_thp || collapses(found.kernel)
      ? { name: "huge pages", status: "ok", found: "large memory components lie in huge pages" }
      : {
          name: "huge pages",
          status: "degraded",
          found: "shared memory in 4 KiB pages",
          costs: "mapping a large memory component takes a fault for every 64 KiB it reads",
          get: "Linux 6.1 or later, or: echo advise > /sys/kernel/mm/transparent_hugepage/shmem_enabled",
        },
  );
  return checks;
}

/** MADV_COLLAPSE makes huge pages of shared memory whatever the setting says (docs/decisions/0008-huge-pages.md). */
function collapses(kernel: string): boolean {
  const [major = 0, minor = 0] = kernel.split(".").map(Number);
  return major > 6 || (major === 6 && minor >= 1);
}

function root(): Check {
  const found = process.getuid?.() === 0 ? "root" : `uid ${process.getuid?.()}`;
  return { name: "user", status: "ok", found: `${found}; root is not needed` };
}

function libfabric(): Check {
  const found = LIBFABRIC.find((path) => existsSync(path));
  if (found) return { name: "libfabric", status: "ok", found };
  return {
    name: "libfabric",
    status: "degraded",
    found: "not installed",
    costs: "memory components on this server only",
    get: "apt-get install libfabric1",
  };
}

function memory(): Check {
  const found = `${availableParallelism()} CPUs, ${(totalmem() / GB).toFixed(1)} GB of memory, ${(freemem() / GB).toFixed(1)} GB free`;
  if (totalmem() >= 2 * GB) return { name: "machine", status: "ok", found };
  return {
    name: "machine",
    status: "degraded",
    found,
    costs: "few sandboxes fit: each takes about 30 MB, the first 300 MB",
    get: "2 GB of memory",
  };
}

function wheels(): Check {
  const locked = lockedPackages();
  const missing = basePackages.filter((name) => wheelPath(locked[name]?.file_name ?? name) === undefined);
  if (missing.length === 0)
    return { name: "wheels", status: "ok", found: `${basePackages.join(", ")} in ${wheelDirectories().join(", ")}` };
  return {
    name: "wheels",
    status: "missing",
    found: `no ${missing.join(", ")} in ${wheelDirectories().join(", ")}`,
    costs: "no base image can be built",
    get: "npm start fetches them, or set SANDLOOM_WHEELS to a folder that has them",
  };
}

function image(): Check {
  const base = baseOf(cacheDirectory());
  if (existsSync(`${base.prefix}.json`)) return { name: "base image", status: "ok", found: `${base.prefix}.img` };
  return {
    name: "base image",
    status: "degraded",
    found: "not built yet",
    costs: "the first run builds it: about 10 s",
    get: "sandloom run, of anything",
  };
}

function compiledCode(): Check {
  const path = compiledCodePath(baseOf(cacheDirectory()).prefix);
  if (existsSync(path)) return { name: "compiled code", status: "ok", found: path };
  return {
    name: "compiled code",
    status: "degraded",
    found: "not made yet",
    costs:
      "a process compiles what it uses as it goes: its first results take 15 ms longer, and hundreds of others a little",
    get: "sandloom run, of anything",
  };
}
