"""Ray as its documentation advises: tasks that take and give object references, arrays read in place from the object store."""

import logging
import os
import sys
from time import perf_counter

os.environ.update(RAY_USAGE_STATS_ENABLED="0", RAY_memory_monitor_refresh_ms="0")

import numpy as np  # noqa: E402
import ray  # noqa: E402
import work  # noqa: E402
from serve import serve  # noqa: E402


def make(size):
    x = np.empty(size // 8)
    work.write(x)
    return x


def main():
    # A worker runs one task at a time and is kept: reused processes, which the sandboxes' pristine ones are compared with.
    ray.init(
        num_cpus=int(sys.argv[1]),
        include_dashboard=False,
        object_store_memory=2 << 30,
        log_to_driver=False,
        logging_level=logging.ERROR,
        _node_ip_address="127.0.0.1",
        runtime_env={"env_vars": {"PYTHONPATH": os.path.dirname(os.path.abspath(__file__))}},
    )
    link, leaf, making, part = (ray.remote(f) for f in (work.link, work.leaf, make, work.part))

    def chain(links, bytes):
        x = ray.put(np.zeros(bytes // 8))
        started = perf_counter()
        for _ in range(links):
            x = link.remote(x)
        first = ray.get(x)[0]
        return first, (perf_counter() - started) * 1e3

    def fan_out(leaves):
        return sum(ray.get([leaf.remote(i) for i in range(leaves)]))

    def memory(bytes):
        x = making.remote(bytes)
        return sum(ray.get([part.remote(x, i) for i in range(work.PARTS)]))

    serve({"ray": ray.__version__}, {"chain": chain, "fan-out": fan_out, "memory": memory})
    ray.shutdown()


if __name__ == "__main__":
    main()
