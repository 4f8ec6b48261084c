#!/usr/bin/python3
"""What a million routes of a peer, and `bgp restart` beside them, cost a running vrouterd and its traffic.

A router, a guest behind it and a scripted peer on the fabric that tells its table anew whenever its session is.  A
stream of numbered packets from the guest follows one of these routes while BGP restarts.  Figures are the longest
turn of the control thread (CPU ms, and how many took more than the 2 that are the goal), the time until the table is
back, and packets lost.

    ./dev perf bgp_restart [-- --routes 1000000 --length 24 --rounds 3]
SPDX-License-Identifier: Apache-2.0
"""

import argparse
import contextlib
import ipaddress
import json
import os
import pathlib
import struct
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
os.environ["VROUTER_BUILD"] = str(pathlib.Path(os.environ.get("BUILD", "build-perf")).resolve())
sys.path.insert(0, str(ROOT / "test/system"))

from network import Network  # noqa: E402
from process import wait_for  # noqa: E402
from rack import FABRIC, ROUTER, Rack  # noqa: E402
from router import Router  # noqa: E402
from scripted_speaker import AS_PATH, MP_UNREACH, NEXT_HOP, OPTIONAL, TRANSITIVE  # noqa: E402
from scripted_speaker import ScriptedSpeaker, attribute, nlri, update  # noqa: E402
from stream import Stream  # noqa: E402

OWN_AS, OTHER_AS = 64512, 65000
OUTSIDE, TARGET = "172.16.0.0/16", "172.16.0.1"
FIRST = int(ipaddress.ip_address("16.0.0.0"))
ORIGIN = 1
ROOM = 3900  # octets of an UPDATE for prefixes
# Graceful restart (RFC 4724): 120 s, both families, forwarding kept.
KEEPS = bytes([64, 10]) + struct.pack("!H", 120) + bytes([0, 1, 1, 0x80, 0, 2, 1, 0x80])
END_OF_RIB = update() + update(attribute(OPTIONAL, MP_UNREACH, struct.pack("!HB", 2, 1)))


def path(number):
    """Attributes of a route; each UPDATE has a path of its own."""
    hop = ipaddress.ip_address(FABRIC[4]).packed
    values = ((ORIGIN, b"\0"), (AS_PATH, struct.pack("!BBII", 2, 2, OTHER_AS, number)), (NEXT_HOP, hop))
    return b"".join(attribute(TRANSITIVE, code, value) for code, value in values)


def table(routes, length):
    octets = (length + 7) // 8
    together = ROOM // (1 + octets)
    updates = [update(path(OTHER_AS), nlri(OUTSIDE))]
    for first in range(0, routes, together):
        numbers = range(first, min(first + together, routes))
        prefixes = ((FIRST + (number << (32 - length))).to_bytes(4, "big")[:octets] for number in numbers)
        updates.append(update(path(1 + first // together), b"".join(bytes([length]) + prefix for prefix in prefixes)))
    return b"".join(updates) + END_OF_RIB


class Run:
    def __init__(self, network, directory, cleanup, arguments):
        def make_router(namespace, node, **options):
            router = Router(namespace, directory, node, **options)
            cleanup.callback(router.stop)
            return router

        self.routes, self.octets = arguments.routes, table(arguments.routes, arguments.length)
        self.rack = Rack(network, directory, make_router, routes=False)
        self.router = self.rack.router
        self.rack.fabric.add_address("lo", f"{TARGET}/32")
        neighbor = {"address": FABRIC[4], "as": OTHER_AS, "passive": True, "graceful_restart": "full"}
        self.router.set_bgp(OWN_AS, ROUTER[4], [neighbor])
        workload = self.rack.workload(1)
        self.guest = self.rack.veth_guest(workload)
        self.rack.fabric.add_route(workload.addresses[0], ROUTER[4])
        self.rack.start()
        self.peer = ScriptedSpeaker(self.rack.fabric, FABRIC[4], ROUTER[4], OTHER_AS, capabilities=KEEPS)
        cleanup.callback(self.peer.close)

    def tell_table(self):
        """Returns how long it took until all of it was accepted."""
        wait_for(self.peer.established, 60, "the session is there")
        begin = time.monotonic()
        self.peer.send(self.octets)

        def accepted():
            self.peer.pump()
            family = self.router.show("bgp", FABRIC[4])[0]["ipv4"]
            return family["accepted"] > self.routes and family["end_of_rib_received"]

        wait_for(accepted, 300, "all is accepted", every=0.1)
        return time.monotonic() - begin

    def restart(self):
        """Returns the same, and packets lost of those sent."""
        with Stream(self.guest.namespace, self.rack.fabric, TARGET) as stream:
            stream.wait_more()
            # Refused until the last one is over.
            wait_for(lambda: self.peer.pump() or self.router.ctl_status("bgp", "restart")[0] == 0, 90, every=0.1)
            self.peer.up = False  # the router ends the session, and may
            self.peer.close()
            seconds = self.tell_table()
            stream.wait_more()
            stream.wait_more()
        return seconds, len(stream.lost), stream.sent

    def measured(self, name, work):
        """A row: what `work` returns, and the longest turn meanwhile."""
        self.router.ctl("show", "control", "--reset")
        seconds, lost, sent = work()
        turns = next(row for row in self.router.ask("show", "control") if row["clock"] == "cpu")
        row = {"name": name, "seconds": seconds, "lost": lost, "sent": sent, "load_average": os.getloadavg()[0]}
        return {**row, "turn_ms": turns["max_us"] / 1000, "over_2ms": turns["over_2ms"], "turns": turns["turns"]}


def main():
    parser = argparse.ArgumentParser(description="a million routes of a peer, and bgp restart beside them")
    parser.add_argument("--routes", type=int, default=1_000_000)
    parser.add_argument("--length", type=int, default=24, choices=range(24, 33), help="of a prefix")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("bgp_restart: needs root: network namespaces")
    network = Network("vrb")
    rows = []
    with contextlib.ExitStack() as cleanup, tempfile.TemporaryDirectory(prefix="vrb-") as name:
        cleanup.callback(network.delete)
        run = Run(network, pathlib.Path(name), cleanup, arguments)
        rows.append(run.measured("the table comes", lambda: (run.tell_table(), 0, 0)))
        rows += [run.measured(f"bgp restart {number}", run.restart) for number in range(1, arguments.rounds + 1)]
        cleanup.close()
    for row in rows:
        turns = "longest turn {turn_ms:.1f} ms, {over_2ms} of {turns} over 2 ms (load {load_average:.1f})"
        print(("{name}: {seconds:.2f} s, lost {lost} of {sent}; " + turns).format(**row))
    if "BENCHMARK_OUT" in os.environ:
        pathlib.Path(os.environ["BENCHMARK_OUT"]).write_text(json.dumps({"benchmarks": rows}, indent=1))


if __name__ == "__main__":
    main()
