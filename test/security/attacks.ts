/**
 * Ways out of a sandbox, each as the body of an async Python function that returns what it got: the string `CANARY` where it reached
 * something of the host. HOST is a folder of the host with a file `canary.txt`, PORT a server on loopback that counts what comes, ID
 * names the attack in files and requests.
 */

/** A side module as bytes: sections of WebAssembly with a `dylink.0` section before them. */
const SIDE_MODULE = `
def u(n):
    o = b''
    while True:
        b = n & 127
        n >>= 7
        o += bytes([b | (128 if n else 0)])
        if not n: return o
def vec(b): return u(len(b)) + b
def nm(s): return vec(s.encode())
def sec(i, b): return bytes([i]) + vec(b)
def dylink(size): return sec(0, nm('dylink.0') + bytes([1]) + vec(u(size) + u(0) + u(0) + u(0)))
`;

/** Objects of the interpreter's own types for JavaScript objects, made of memory: a count of references, a type, and the handle. */
const FORGED = `
import ctypes
def _all(kind):
    for sub in type.__subclasses__(kind):
        yield sub
        yield from _all(sub)
kinds = [k for k in _all(object) if k.__name__ == 'JsProxy' and k.__basicsize__ == 48]
def forged(handle):
    words = (ctypes.c_uint32 * 32)()
    words[0], words[1], words[9] = 1 << 20, id(kinds[0]), handle
    found = ctypes.cast(ctypes.addressof(words), ctypes.py_object).value
    globals()['kept'] = (words, found)
    return found
if not kinds: return 'CANARY there is nothing to forge'
`;

const JS = [
  ["js", "import js\nreturn 'CANARY %r' % js.process.pid"],
  ["__import__('js')", "return 'CANARY %r' % __import__('js').process.pid"],
  ["importlib", "import importlib\nreturn 'CANARY %r' % importlib.import_module('js').globalThis"],
  ["the import hook's proxies", "import _pyodide._importhook as h\nreturn 'CANARY %r' % h.jsfinder.jsproxies['js']"],
  [
    "the import hook by gc",
    "import gc\nfor o in gc.get_objects():\n    if type(o).__name__ == 'JsFinder' and o.jsproxies: return 'CANARY %r' % o.jsproxies\n",
  ],
  [
    "a new import hook",
    "import _pyodide._importhook as h\nf = h.JsFinder()\nimport sys\nsys.meta_path.insert(0, f)\nimport js\nreturn 'CANARY'",
  ],
  [
    "any JsProxy by gc",
    "import gc\nfound = [o for o in gc.get_objects() if 'JsProxy' in type(o).__name__]\nreturn 'CANARY %r' % found if found else ''",
  ],
  ["pyodide_js", "import pyodide_js\nreturn 'CANARY %r' % pyodide_js._api"],
  [
    "pyodide_js by the import hook",
    "import _pyodide._importhook as h\nreturn 'CANARY %r' % h.jsfinder.jsproxies['pyodide_js']",
  ],
  ["from pyodide_js._api", "from pyodide_js._api import config\nreturn 'CANARY'"],
  ["pyodide.code.run_js", "from pyodide.code import run_js\nreturn 'CANARY %r' % run_js('1')"],
  ["to_js(list)", "from pyodide.ffi import to_js\nreturn 'CANARY %r' % to_js([]).constructor"],
  ["to_js(dict)", "from pyodide.ffi import to_js\nreturn 'CANARY %r' % to_js({}).constructor"],
  ["to_js(bytes)", "from pyodide.ffi import to_js\nreturn 'CANARY %r' % to_js(b'x').buffer"],
  [
    "to_js, and a new function of a string",
    "from pyodide.ffi import to_js\nreturn 'CANARY %r' % to_js([]).constructor.constructor('return process.pid')()",
  ],
  ["create_proxy", "from pyodide.ffi import create_proxy\nreturn 'CANARY %r' % create_proxy(print)"],
  [
    "create_once_callable",
    "from pyodide.ffi import create_once_callable\nreturn 'CANARY %r' % create_once_callable(print)",
  ],
  ["JsException", "from pyodide.ffi import JsException\nreturn 'CANARY %r' % JsException.new('x').js_error"],
  ["jsnull and its like", "import pyodide.ffi as f\nreturn 'CANARY %r' % f.jsnull.constructor"],
  ["the web loop", "import pyodide.webloop as w\nreturn 'CANARY %r' % w.scheduleCallback.constructor"],
  ["asyncio's loop", "import asyncio\nloop = asyncio.new_event_loop()\nreturn 'CANARY %r' % loop.call_soon(print)"],
  ["_pyodide_core", "import _pyodide_core as c\nreturn 'CANARY %r' % c.to_js([1, [2]])"],
  ["run_sync", "from pyodide.ffi import run_sync\nasync def f(): return 1\nreturn 'CANARY %r' % run_sync(f())"],
  ["loadPackage of an address", "import pyodide_js\nawait pyodide_js.loadPackage('http://127.0.0.1:PORT/ID')"],
  ["micropip", "import micropip\nawait micropip.install('http://127.0.0.1:PORT/ID-1.0-py3-none-any.whl')"],
] as const;

const CTYPES = [
  [
    "a forged JsProxy",
    `${FORGED}
return 'CANARY %r' % forged(2).constructor`,
  ],
  [
    "a forged JsProxy's names",
    `${FORGED}
return 'CANARY %r' % dir(forged(2))`,
  ],
  [
    "a forged JsProxy of the first handle",
    `${FORGED}
return 'CANARY %r' % forged(1).process`,
  ],
  [
    "a forged JsProxy that is called",
    `${FORGED}
return 'CANARY %r' % forged(3)('return 1')`,
  ],
  ["hiwire_get by dlsym", "import ctypes\nf = ctypes.CDLL(None).hiwire_get\nreturn 'CANARY %r' % f(1)"],
  ["JsvObject_New by dlsym", "import ctypes\nreturn 'CANARY %r' % ctypes.CDLL(None).JsvObject_New()"],
  ["JsvArray_New by dlsym", "import ctypes\nreturn 'CANARY %r' % ctypes.CDLL(None).JsvArray_New()"],
  ["pyodide_js_init by dlsym", "import ctypes\nreturn 'CANARY %r' % ctypes.CDLL(None).pyodide_js_init()"],
  ["system()", "import ctypes\nctypes.CDLL(None).system(b'echo CANARY > HOST/ID')\nreturn ''"],
  ["_emscripten_system()", "import ctypes\nctypes.CDLL(None)._emscripten_system(b'echo CANARY > HOST/ID')\nreturn ''"],
  ["popen()", "import ctypes\nf = ctypes.CDLL(None).popen\np = f(b'true', b'r')\nreturn 'CANARY %r' % p if p else ''"],
  [
    "emscripten_run_script",
    "import ctypes\nctypes.CDLL(None).emscripten_run_script(b'globalThis.process.exit(9)')\nreturn 'CANARY'",
  ],
  [
    "emscripten_run_script_int",
    "import ctypes\nreturn 'CANARY %r' % ctypes.CDLL(None).emscripten_run_script_int(b'40+2')",
  ],
  [
    "emscripten_run_script_string",
    "import ctypes\nf = ctypes.CDLL(None).emscripten_run_script_string\nf.restype = ctypes.c_char_p\nreturn 'CANARY %r' % f(b'process.pid')",
  ],
  [
    "emscripten_async_load_script",
    "import ctypes\nctypes.CDLL(None).emscripten_async_load_script(b'HOST/evil.js', 0, 0)\nreturn 'CANARY'",
  ],
  [
    "emscripten_async_wget",
    "import ctypes\nctypes.CDLL(None).emscripten_async_wget(b'http://127.0.0.1:PORT/ID', b'/tmp/x', 0, 0)\nreturn 'CANARY'",
  ],
  [
    "emscripten_asm_const_int",
    "import ctypes\nreturn 'CANARY %r' % ctypes.CDLL(None).emscripten_asm_const_int(0, 0, 0)",
  ],
  ["emscripten_debugger", "import ctypes\nctypes.CDLL(None).emscripten_debugger()\nreturn 'CANARY'"],
  [
    "emscripten_worker and threads",
    "import ctypes\nreturn 'CANARY %r' % ctypes.CDLL(None).emscripten_create_worker(b'data:text/javascript,1')",
  ],
  [
    "EM_ASM of its own",
    "import ctypes\nreturn 'CANARY %r' % ctypes.CDLL(None).emscripten_asm_const_async_on_main_thread(0, 0, 0)",
  ],
  ["a GL function in the table", "import ctypes\nreturn 'CANARY %r' % ctypes.CDLL(None).glGetString(7936)"],
  [
    "a side module with JavaScript in it",
    `${SIDE_MODULE}
import ctypes
js = b"(void)<::>{}; require('fs').writeFileSync('HOST/ID', 'CANARY')\\0"
imports = sec(2, u(2) + nm('env') + nm('memory') + bytes([2, 0]) + u(1) + nm('env') + nm('__memory_base') + bytes([3, 0x7f, 0]))
globals_ = sec(6, u(1) + bytes([0x7f, 0, 0x41, 0, 0x0b]))
exports = sec(7, u(1) + nm('__em_js__pwn') + bytes([3]) + u(1))
data = sec(11, u(1) + bytes([0, 0x23, 0, 0x0b]) + vec(js))
open('/tmp/evil.so', 'wb').write(b'\\0asm\\1\\0\\0\\0' + dylink(len(js)) + imports + globals_ + exports + data)
ctypes.CDLL('/tmp/evil.so')
return 'CANARY loaded'`,
  ],
  [
    "a side module that calls the host",
    `${SIDE_MODULE}
import ctypes
cmd = b"echo CANARY > HOST/ID\\0"
types = sec(1, u(2) + bytes([0x60]) + u(1) + bytes([0x7f]) + u(1) + bytes([0x7f]) + bytes([0x60]) + u(0) + u(1) + bytes([0x7f]))
imports = sec(2, u(3) + nm('env') + nm('memory') + bytes([2, 0]) + u(1) + nm('env') + nm('__memory_base') + bytes([3, 0x7f, 0]) + nm('env') + nm('_emscripten_system') + bytes([0]) + u(0))
functions = sec(3, u(1) + u(1))
exports = sec(7, u(1) + nm('go') + bytes([0]) + u(1))
code = sec(10, u(1) + vec(u(0) + bytes([0x23, 0, 0x10, 0, 0x0b])))
data = sec(11, u(1) + bytes([0, 0x23, 0, 0x0b]) + vec(cmd))
open('/tmp/evil2.so', 'wb').write(b'\\0asm\\1\\0\\0\\0' + dylink(len(cmd)) + types + imports + functions + exports + code + data)
return 'CANARY %r' % ctypes.CDLL('/tmp/evil2.so').go()`,
  ],
  [
    "a side module by a path that leads out of the libraries",
    `${SIDE_MODULE}
import ctypes, os
open('/tmp/evil3.so', 'wb').write(b'\\0asm\\1\\0\\0\\0' + dylink(0))
import numpy
folder = os.path.dirname(os.path.dirname(numpy.__file__))
ctypes.CDLL(folder + '/../../../tmp/evil3.so')
return 'CANARY loaded'`,
  ],
  [
    "a side module of its own bytes under a library's name",
    `${SIDE_MODULE}
import ctypes, glob, os, sys, numpy
loaded = {getattr(m, '__file__', None) for m in list(sys.modules.values())}
name = [p for p in sorted(glob.glob(os.path.dirname(numpy.__file__) + '/**/*.so', recursive=True)) if p not in loaded][0]
module = b'\\0asm\\1\\0\\0\\0' + dylink(0) + sec(1, u(1) + bytes([0x60]) + u(0) + u(1) + bytes([0x7f])) + sec(3, u(1) + u(0)) + sec(7, u(1) + nm('own') + bytes([0]) + u(0)) + sec(10, u(1) + vec(u(0) + bytes([0x41, 7, 0x0b])))
own = ctypes.create_string_buffer(module, len(module))
handle = ctypes.create_string_buffer(36 + 256)
ctypes.memmove(ctypes.addressof(handle) + 36, name.encode(), len(name))
for at, value in ((28, ctypes.addressof(own)), (32, len(module))): ctypes.c_uint32.from_buffer(handle, at).value = value
libc = ctypes.CDLL(None)
libc._dlopen_js.argtypes = [ctypes.c_uint32]
libc._dlsym_js.argtypes = [ctypes.c_uint32] * 3
libc._dlsym_js.restype = ctypes.c_uint32
libc._dlopen_js(ctypes.addressof(handle))
symbol, index = ctypes.create_string_buffer(b'own'), ctypes.c_uint32()
place = libc._dlsym_js(ctypes.addressof(handle), ctypes.addressof(symbol), ctypes.addressof(index))
return 'CANARY %r' % ctypes.CFUNCTYPE(ctypes.c_int)(place)() if place else ''`,
  ],
  [
    "a library's name that is a property of every object",
    `import ctypes
for name in ('__proto__', 'constructor', 'toString', 'hasOwnProperty'):
    for mode in (0, ctypes.RTLD_GLOBAL):
        try: ctypes.CDLL(name, mode)
        except OSError: continue
        return 'CANARY ' + name
return ''`,
  ],
  [
    "a symbol's name that is a property of every object",
    `import ctypes
for name in ('__proto__', 'constructor', 'toString', '__defineGetter__'):
    try: getattr(ctypes.CDLL(None), name + '')
    except AttributeError: continue
    if name not in dir(ctypes.CDLL): return 'CANARY ' + name
return ''`,
  ],
  [
    "whether the host has a file, by what a library's loading says",
    `import ctypes
def told(name):
    try: ctypes.CDLL(name)
    except OSError as e: return str(e).replace(name, '')
return 'CANARY' if told('HOST/canary.txt') != told('HOST/nothing.txt') or told('HOST') != told('HOST/nothing.txt') else ''`,
  ],
  [
    "a side module over a library's name",
    `import os, shutil, numpy, ctypes
path = numpy._core._multiarray_umath.__file__
open(path, 'wb').write(b'x')
return 'CANARY'`,
  ],
] as const;

const PROCESS = [
  ["os.system", "import os\nr = os.system('echo CANARY > HOST/ID')\nreturn 'CANARY' if r == 0 else ''"],
  ["os.popen", "import os\nreturn os.popen('echo CANARY').read()"],
  ["subprocess", "import subprocess\nreturn subprocess.run(['echo', 'CANARY'], capture_output=True, text=True).stdout"],
  ["os.posix_spawn", "import os\nreturn 'CANARY %r' % os.posix_spawn('/bin/true', ['true'], {})"],
  ["os.fork", "import os\nreturn 'CANARY %r' % os.fork()"],
  ["os.execv", "import os\nos.execv('/bin/true', ['true'])\nreturn 'CANARY'"],
  ["os.kill of the host", "import os\nos.kill(os.getppid() or 1, 9)\nreturn ''"],
  ["a thread", "import _thread\n_thread.start_new_thread(print, ())\nreturn 'CANARY'"],
  [
    "os.environ",
    "import os\nown = {'HOME', 'PYTHONHASHSEED', 'PYTHONTZPATH', 'USER', 'LOGNAME', 'PATH', 'PWD', 'LANG', '_', 'PYTHONINSPECT', 'LD_LIBRARY_PATH'}\nreturn 'CANARY %r' % os.environ if set(os.environ) - own or 'CANARY' in str(os.environ) or os.environ['PATH'] != '/' or os.environ['_'] != 'python' else ''",
  ],
  ["standard input", "import sys\nreturn 'CANARY' if sys.stdin.read(1) else ''"],
] as const;

const FILES = [
  ["open of a host path", "return open('HOST/canary.txt').read()"],
  ["open by way of a link", "import os\nos.symlink('HOST/canary.txt', '/tmp/link')\nreturn open('/tmp/link').read()"],
  ["open by way of ..", "return open('/tmp/../../../../..HOST/canary.txt').read()"],
  [
    "/proc",
    "import os\nreturn 'CANARY' if os.path.exists('/proc/1/cmdline') or os.path.exists('/proc/self/environ') and open('/proc/self/environ').read() else ''",
  ],
  [
    "/dev",
    "import os\nreturn 'CANARY' if any(n in os.listdir('/dev') for n in ('sda', 'vda', 'mem', 'kmsg', 'pts')) else ''",
  ],
  [
    "a mount of its own",
    "import ctypes\nreturn 'CANARY' if ctypes.CDLL(None).mount(b'HOST', b'/tmp/m', b'NODEFS', 0, 0) == 0 and open('/tmp/m/canary.txt').read() else ''",
  ],
] as const;

const NETWORK = [
  ["socket.connect", "import socket\ns = socket.socket()\ns.connect(('127.0.0.1', PORT))\nreturn 'CANARY'"],
  [
    "socket without blocking",
    "import socket\ns = socket.socket()\ns.setblocking(False)\ntry: s.connect(('127.0.0.1', PORT))\nexcept BlockingIOError: return 'CANARY'\nreturn ''",
  ],
  ["socket.listen", "import socket\ns = socket.socket()\ns.bind(('127.0.0.1', 0))\ns.listen(1)\nreturn 'CANARY'"],
  ["socketpair", "import socket\nreturn 'CANARY %r' % (socket.socketpair(),)"],
  ["a name", "import socket\nreturn 'CANARY %r' % socket.getaddrinfo('localhost', 80)"],
  [
    "urllib",
    "import urllib.request\nreturn urllib.request.urlopen('http://127.0.0.1:PORT/ID', timeout=1).read().decode()",
  ],
  [
    "http.client",
    "import http.client\nc = http.client.HTTPConnection('127.0.0.1', PORT)\nc.request('GET', '/ID')\nreturn 'CANARY'",
  ],
  ["pyodide.http", "from pyodide.http import pyfetch\nreturn 'CANARY %r' % await pyfetch('http://127.0.0.1:PORT/ID')"],
  ["pyodide.http.open_url", "from pyodide.http import open_url\nreturn open_url('http://127.0.0.1:PORT/ID').read()"],
  [
    "asyncio.open_connection",
    "import asyncio\nreturn 'CANARY %r' % (await asyncio.open_connection('127.0.0.1', PORT),)",
  ],
  ["socket by ctypes", "import ctypes\nlibc = ctypes.CDLL(None)\nreturn 'CANARY' if libc.socket(2, 1, 0) >= 0 else ''"],
] as const;

export const ATTACKS: readonly (readonly [name: string, body: string])[] = [
  ...JS,
  ...CTYPES,
  ...PROCESS,
  ...FILES,
  ...NETWORK,
];
