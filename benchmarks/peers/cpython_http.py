"""CPython that is kept warm: a process pool behind the least HTTP server there is. Nothing is pristine: this is the floor."""

import asyncio
import importlib
import json
import platform
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy
import pandas

cpus, folder = int(sys.argv[1]), sys.argv[2]
sys.path.insert(0, folder)


def load(folder):
    sys.path.insert(0, folder)
    for module in ("numpy_sum", "pandas_groupby"):
        importlib.import_module(module)


def call(module, event):
    return json.dumps(sys.modules[module].main(json.loads(event)))


async def main():
    with ProcessPoolExecutor(
        cpus, mp_context=get_context("forkserver"), initializer=load, initargs=(folder,)
    ) as pool:
        loop = asyncio.get_running_loop()

        async def answer(reader, writer):
            try:
                while True:
                    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin1")
                    path = head.split(" ", 2)[1]
                    length = next(int(line[15:]) for line in head.split("\r\n") if line.startswith("content-length:"))
                    event = await reader.readexactly(length)
                    body = (await loop.run_in_executor(pool, call, path[1:], event)).encode()
                    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
            except asyncio.IncompleteReadError:
                writer.close()

        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        versions = {"CPython": platform.python_version(), "NumPy": numpy.__version__, "pandas": pandas.__version__}
        port = server.sockets[0].getsockname()[1]
        print(json.dumps({"url": f"http://127.0.0.1:{port}", "versions": versions}), flush=True)
        # Ends with whoever started it.
        await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main())
