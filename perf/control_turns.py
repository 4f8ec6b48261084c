"""A running vrouterd and the turns of its control thread: what perf/resources.py and perf/large_objects.py share.

SPDX-License-Identifier: Apache-2.0
"""

import contextlib
import json
import os
import pathlib
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
os.environ["VROUTER_BUILD"] = str(pathlib.Path(os.environ.get("BUILD", "build-perf")).resolve())
sys.path.insert(0, str(ROOT / "test/system"))

import etcd  # noqa: E402
from network import Network  # noqa: E402
from process import wait_for  # noqa: E402
from rack import Rack  # noqa: E402
from resources import resource  # noqa: E402
from router import Router  # noqa: E402

QUIET = 2.5  # seconds without a turn that is of interest: what is read again now and then has been by then


def address(number, net="10.65"):
    return f"{net}.{number // 250}.{number % 250 + 1}"


def mac(number):
    return f"02:00:00:01:{number // 256:02x}:{number % 256:02x}"


def text(documents):
    """JSON is YAML, and quick to write."""
    return "---\n".join(json.dumps(document) + "\n" for document in documents)


class OneFile:
    def __init__(self, router, name="all"):
        self.router, self.name = router, name

    def put(self, documents):
        self.router.write_file(f"{self.name}.yaml", text(documents))

    def remove(self, documents):
        (self.router.resources / f"{self.name}.yaml").unlink()


class ManyFiles:
    def __init__(self, router, name="f"):
        self.router, self.name = router, name

    def put(self, documents):
        for number, document in enumerate(documents):
            OneFile(self.router, f"{self.name}{number}").put([document])

    def remove(self, documents):
        for number in range(len(documents)):
            (self.router.resources / f"{self.name}{number}.yaml").unlink()


def objects(router):
    return sum(int(row.get("objects", 0)) for row in router.show("datastore").get("kinds", []))


def step(router, name, change, done, quiet=QUIET):
    """One row of the result."""
    router.ctl("show", "control", "--reset")
    begin = time.monotonic()
    change()
    wait_for(done, 60, name, every=0.1)
    took = time.monotonic() - begin
    time.sleep(quiet)
    row = next(row for row in router.show("control") if row["clock"] == "cpu")
    result = {
        "name": name,
        "longest_ms": int(row["max_us"]) / 1000,
        "over_2ms": int(row.get("over_2ms", 0)),
        "settled_s": took,
        "load_average": os.getloadavg()[0],
    }
    over = "  beyond the goal" if result["longest_ms"] > 2 else ""
    print(
        f"{name:48} longest {result['longest_ms']:7.2f} ms, {result['over_2ms']:4} over 2 ms, settled {took:5.1f} s"
        f" (load {result['load_average']:.1f}){over}",
        flush=True,
    )
    return result


@contextlib.contextmanager
def running(directory, from_etcd, there=()):
    """A router with what is `there` in files at its start, and a server if it is to follow one."""
    network = Network("vrp")
    with contextlib.ExitStack() as cleanup:
        cleanup.callback(network.delete)

        def make_router(namespace, node, **options):
            return Router(namespace, directory, node, **options)

        rack = Rack(network, directory, make_router)
        router = rack.router
        router.config["log"] = {"level": "info"}
        router.set_bgp(64512, "192.0.2.1", {})
        server = None
        if from_etcd:
            server = etcd.Etcd(rack.host, directory).start().wait_healthy()
            server.set_ready()
            server.put(resource("FelixConfiguration", "default", {"endpointReportingEnabled": True}))
            state = str(directory / "etcd.state")
            router.config["datastore"] = {"etcd": {"endpoints": [server.url], "state_file": state}}
        ManyFiles(router).put(there)
        router.start()
        cleanup.callback(router.stop)
        yield router, server


def report(results):
    """Where the caller wants them, as all benchmarks do."""
    if "BENCHMARK_OUT" in os.environ:
        pathlib.Path(os.environ["BENCHMARK_OUT"]).write_text(json.dumps({"benchmarks": results}, indent=1))
