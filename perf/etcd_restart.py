#!/usr/bin/python3
"""The longest turn of vrouterd's control thread when it restarts beside an etcd with a cluster's endpoints.

They come while it runs, transaction by transaction; then it restarts, with its last good state on disk, and takes all
of them as one picture.  Figures as in resources.py.

    ./dev perf etcd_restart [-- --endpoints 50000 --rounds 3]
SPDX-License-Identifier: Apache-2.0
"""

import argparse
import os
import pathlib
import sys
import tempfile

from control_turns import objects, report, running, step
from large_objects import endpoint, shared

SAVED = 12  # seconds until the last good state is surely on disk


def restart(router):
    assert router.stop() == 0
    router.start()


def rows(router, server, arguments):
    count = arguments.endpoints

    def known():
        return objects(router) >= count

    documents = [shared("prod"), endpoint(count, "host-a", role="web")] + [endpoint(number) for number in range(count)]
    yield step(router, f"{count} endpoints come", lambda: server.put_many(documents), known, SAVED)
    for number in range(1, arguments.rounds + 1):
        yield step(router, f"restart {number} beside them", lambda: restart(router), known, SAVED)


def main():
    parser = argparse.ArgumentParser(description="the longest turn of the control thread in a restart beside etcd")
    parser.add_argument("--endpoints", type=int, default=50000)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("etcd_restart: needs root: network namespaces")
    with tempfile.TemporaryDirectory(prefix="vrp-") as directory:
        with running(pathlib.Path(directory), True) as (router, server):
            report(list(rows(router, server, arguments)))


if __name__ == "__main__":
    main()
