#!/usr/bin/python3
"""What comes out of a running vrouterd beside what qosControls configure: packet rates and bandwidths, both ways.

A router with one workload, and dpdk-testpmd on the other side of its port, or of the fabric's link, which offers
as much as it can, in namespaces of this run.  What comes out is counted by the kernel behind the router, over some
seconds that begin when the bursts (a tenth of a second's worth) are used up.

    ./dev perf limits [-- --seconds 5]
SPDX-License-Identifier: Apache-2.0
"""

import argparse
import contextlib
import dataclasses
import json
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
os.environ["VROUTER_BUILD"] = str(pathlib.Path(os.environ.get("BUILD", "build-perf")).resolve())
sys.path.insert(0, str(ROOT / "test/system"))

from network import Network  # noqa: E402
from process import Process, wait_for  # noqa: E402
from rack import FABRIC, ROUTER, Rack  # noqa: E402
from router import Router  # noqa: E402
from wire import inside  # noqa: E402

OUTSIDE = "203.0.113.9"
PORT = 9  # of UDP, where testpmd sends to
GOAL = 5  # percent


@dataclasses.dataclass
class Limit:
    name: str
    field: str
    burst: str
    value: int
    size: int  # of the frames that are offered

    def controls(self, direction):
        return {f"{direction}{self.field}": self.value, f"{direction}{self.burst}": self.value // 10}

    def reached(self, packets, octets):
        return packets if self.field == "PacketRate" else octets * 8


LIMITS = [
    Limit("1,000 packets/s", "PacketRate", "PacketBurst", 1_000, 64),
    Limit("100,000 packets/s", "PacketRate", "PacketBurst", 100_000, 64),
    Limit("10 Mbit/s", "Bandwidth", "Burst", 10_000_000, 1514),
    Limit("1 Gbit/s", "Bandwidth", "Burst", 1_000_000_000, 1514),
]


@dataclasses.dataclass
class Side:
    """Where frames come from or go to: an interface of a namespace, seen from there."""

    namespace: object
    interface: str
    address: str
    router_mac: str

    def count(self, what):
        return int(self.namespace.sh("cat", f"/sys/class/net/{self.interface}/statistics/{what}"))

    def swallow(self, cleanup):
        """Takes what testpmd sends without an answer."""
        with inside(self.namespace):
            sink = cleanup.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            sink.bind((self.address, PORT))


@contextlib.contextmanager
def offered(source, sink, size, directory):
    """Frames of `size` octets from one side to the other, as many as testpmd can."""
    sender = Process(
        [
            "dpdk-testpmd", "-l", "0,1", "--main-lcore", "1", "--no-pci", "--no-huge", "-m", "128", "--no-shconf",
            "--no-telemetry", "--vdev", f"net_af_packet0,iface={source.interface}",
            "--", "--total-num-mbufs=8192", "--nb-cores=1", "--forward-mode=txonly", f"--txpkts={size}",
            f"--tx-ip={source.address},{sink.address}", f"--tx-udp={PORT}", f"--eth-peer=0,{source.router_mac}",
        ],
        directory / "testpmd.log",
        source.namespace,
        stdin=subprocess.PIPE,
    )  # fmt: skip
    try:
        before = sink.count("rx_packets")
        wait_for(lambda: sink.count("rx_packets") > before + 100, 20, "frames come out")
        yield
    finally:
        sender.kill()


def measure(source, sink, seconds):
    """Packets and octets a second that come out, and packets that are offered."""

    def counts():
        return time.monotonic(), sink.count("rx_packets"), sink.count("rx_bytes"), source.count("tx_packets")

    before = counts()
    time.sleep(seconds)
    after = counts()
    elapsed, *rest = (new - old for old, new in zip(before, after, strict=True))
    return [count / elapsed for count in rest]


def limits_in_force(router, name, direction):
    row = next(row for row in router.show("endpoints") if row["name"] == name)
    return row.get(f"{direction}_limits")


def rows(network, directory, cleanup, seconds):
    def make_router(namespace, node, **options):
        router = Router(namespace, directory, node, **options)
        cleanup.callback(router.stop)
        return router

    rack = Rack(network, directory, make_router)
    rack.router.config["log"] = {"level": "info"}
    workload = rack.workload(1)
    guest = rack.veth_guest(workload)
    rack.start()
    guest.wait_reaches(FABRIC[4])
    rack.fabric_reaches(ROUTER[4])
    rack.fabric.add_address("lo", f"{OUTSIDE}/32")
    inner = Side(guest.namespace, "eth0", workload.address[4], rack.router_mac(guest.namespace))
    outer = Side(rack.fabric, rack.downlink, OUTSIDE, rack.host.mac("uplink"))
    for side in (inner, outer):
        side.swallow(cleanup)
    endpoint = workload.endpoint(annotations=guest.annotations)
    for direction, source, sink in (("egress", inner, outer), ("ingress", outer, inner)):
        for limit in LIMITS:
            endpoint["spec"].pop("qosControls", None)
            rack.router.put(endpoint)
            wait_for(lambda: not limits_in_force(rack.router, workload.endpoint_name, direction), 10, "no limit")
            with offered(source, sink, limit.size, directory):
                endpoint["spec"]["qosControls"] = limit.controls(direction)
                rack.router.put(endpoint)
                wait_for(lambda: limits_in_force(rack.router, workload.endpoint_name, direction), 10, "a limit")
                time.sleep(1)  # the bucket's burst is used up by then, and what was queued is gone
                packets, octets, tried = measure(source, sink, seconds)
            reached = limit.reached(packets, octets)
            yield {
                "name": f"{direction}, {limit.name}",
                "configured": limit.value,
                "reached": reached,
                "percent": 100 * reached / limit.value,
                "offered_packets": tried,
                "load_average": os.getloadavg()[0],
            }


def main():
    parser = argparse.ArgumentParser(description="rates that come out against those that are configured")
    parser.add_argument("--seconds", type=float, default=4)
    arguments = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("limits: needs root: network namespaces")
    results = []
    network = Network("vrl")
    with contextlib.ExitStack() as cleanup, tempfile.TemporaryDirectory(prefix="vrl-") as name:
        cleanup.callback(network.delete)
        for row in rows(network, pathlib.Path(name), cleanup, arguments.seconds):
            results.append(row)
            off = "" if abs(row["percent"] - 100) <= GOAL else "  beyond the goal"
            print(
                f"{row['name']:28} {row['percent']:6.1f} %  of {row['offered_packets'] / 1e3:.0f}k packets/s offered"
                f" (load {row['load_average']:.1f}){off}",
                flush=True,
            )
        cleanup.close()
    if "BENCHMARK_OUT" in os.environ:
        pathlib.Path(os.environ["BENCHMARK_OUT"]).write_text(json.dumps({"benchmarks": results}, indent=1))


if __name__ == "__main__":
    main()
