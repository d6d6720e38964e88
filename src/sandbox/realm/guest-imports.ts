/**
 * What a guest may reach: the functions of the host that WebAssembly code of a sandbox can call, all of them. Emscripten's glue offers 1,370;
 * Python, its extension modules and ctypes see these, and refusals in place of the others that the interpreter was linked against.
 * NumPy's memory handler has three more (`BlockCalls` of allocator-module.ts), which no name leads to.
 * No JavaScript object can be had through any of them: what makes, reads or calls one is refused, whatever a guest does in its memory.
 */

const FILES = [
  "__syscall_chdir",
  "__syscall_chmod",
  "__syscall_dup",
  "__syscall_dup3",
  "__syscall_faccessat",
  "__syscall_fadvise64",
  "__syscall_fallocate",
  "__syscall_fchdir",
  "__syscall_fchmod",
  "__syscall_fchmodat2",
  "__syscall_fchown32",
  "__syscall_fchownat",
  "__syscall_fcntl64",
  "__syscall_fdatasync",
  "__syscall_fstat64",
  "__syscall_fstatfs64",
  "__syscall_ftruncate64",
  "__syscall_getcwd",
  "__syscall_getdents64",
  "__syscall_ioctl",
  "__syscall_lstat64",
  "__syscall_mkdirat",
  "__syscall_mknodat",
  "__syscall_newfstatat",
  "__syscall_openat",
  "__syscall_pipe",
  "__syscall_poll",
  "__syscall_readlinkat",
  "__syscall_renameat",
  "__syscall_rmdir",
  "__syscall_stat64",
  "__syscall_statfs64",
  "__syscall_symlinkat",
  "__syscall_truncate64",
  "__syscall_unlinkat",
  "__syscall_utimensat",
  "_try_fcntl64",
  "_maybe_poll_async",
  "fd_close",
  "fd_fdstat_get",
  "fd_pread",
  "fd_pwrite",
  "fd_read",
  "fd_seek",
  "fd_sync",
  "fd_write",
];

const MEMORY = ["_mmap_js", "_msync_js", "_munmap_js", "emscripten_get_heap_max", "emscripten_resize_heap"];

/** Clocks and the time zone; random bytes. */
const CLOCKS = [
  "_gmtime_js",
  "_localtime_js",
  "_mktime_js",
  "_timegm_js",
  "_tzset_js",
  "clock_res_get",
  "clock_time_get",
  "emscripten_date_now",
  "emscripten_get_now",
  "random_get",
];

/** The interpreter's own process, which is the sandbox. */
const PROCESS = [
  "__assert_fail",
  "__call_sighandler",
  "__syscall_getuid32_js",
  "__syscall_umask_js",
  "_abort_js",
  "_emscripten_get_progname",
  "_emscripten_runtime_keepalive_clear",
  "emscripten_runtime_keepalive_pop",
  "emscripten_runtime_keepalive_push",
  "environ_get",
  "environ_sizes_get",
  "exit",
  "proc_exit",
];

const PYTHON = ["_PyEM_TrampolineCall_JS", "_Py_CheckEmscriptenSignals_Helper", "_Py_emscripten_runtime"];

/** ctypes: calls and callbacks within the sandbox. pandas needs it. */
const CTYPES = ["ffi_call_js", "ffi_closure_alloc_js", "ffi_closure_free_js", "ffi_prep_closure_loc_js"];

/** Finds what is loaded; loads nothing else (shell.ts). */
const LINKER = ["_dlopen_js", "_dlsym_js"];

/** Two that Pyodide's own code asks on every path, and that the shell answers itself. */
const SHELL = ["Jsv_GetError_import", "JsvError_Check"];

export const GUEST_IMPORTS: ReadonlySet<string> = new Set([
  ...FILES,
  ...MEMORY,
  ...CLOCKS,
  ...PROCESS,
  ...PYTHON,
  ...CTYPES,
  ...LINKER,
  ...SHELL,
]);

// musl's errno for "no such function", and its code for "no name can be looked up".
const ENOSYS = 52;
const EAI_FAIL = -4;

/** Refusals that are an answer which programs know: no network, no host's shell, no timers. Whatever else is refused ends the sandbox. */
export const REFUSED_BY_ANSWER: Readonly<Record<string, number>> = {
  ...Object.fromEntries(
    [
      "__syscall_accept4",
      "__syscall_bind",
      "__syscall_connect",
      "__syscall_getpeername",
      "__syscall_getsockname",
      "__syscall_getsockopt",
      "__syscall_listen",
      "__syscall_recvfrom",
      "__syscall_recvmsg",
      "__syscall_sendmsg",
      "__syscall_sendto",
      "__syscall_socket",
      "_emscripten_system",
      "_setitimer_js",
    ].map((name) => [name, -ENOSYS]),
  ),
  // Nothing waits for JavaScript: time.sleep asks, and then sleeps by itself.
  can_run_sync_js: 0,
  _maybe_connect_async: -ENOSYS,
  _maybe_recvfrom_async: -ENOSYS,
  _maybe_sendto_async: -ENOSYS,
  _try_shutdown: -ENOSYS,
  getaddrinfo: EAI_FAIL,
  getnameinfo: EAI_FAIL,
  getprotobyname: 0,
  _emscripten_lookup_name: 0,
};
