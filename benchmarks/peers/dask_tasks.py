"""Dask distributed: one worker process for each CPU, futures handed on without coming back to the client."""

import sys
from time import perf_counter

import dask
import distributed
import numpy as np
import work
from serve import serve


def main():
    dask.config.set({"distributed.worker.daemon": True, "distributed.admin.tick.limit": "1h"})
    cluster = distributed.LocalCluster(
        n_workers=int(sys.argv[1]), threads_per_worker=1, processes=True, dashboard_address=None, host="127.0.0.1"
    )
    client = distributed.Client(cluster)

    def chain(links, bytes):
        [x] = client.scatter([np.zeros(bytes // 8)], hash=False)
        started = perf_counter()
        for _ in range(links):
            x = client.submit(work.link, x, pure=False)
        first = x.result()[0]
        return first, (perf_counter() - started) * 1e3

    def fan_out(leaves):
        return sum(client.gather(client.map(work.leaf, range(leaves), pure=False)))

    serve({"dask": dask.__version__, "distributed": distributed.__version__}, {"chain": chain, "fan-out": fan_out})
    client.close()
    cluster.close()


if __name__ == "__main__":
    main()
