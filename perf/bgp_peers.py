#!/usr/bin/python3
"""What hundreds of peers cost the turns of vrouterd's control thread: what each of them says and hears, and what an
operator does to all of them.

A vrouterd without a data plane and scripted peers that call it from a range, all in one namespace.  Figures are the
longest turn of the control thread (its CPU time, and how many took more than the 2 ms that are the goal) from the
change until nobody has heard anything for a while.

    ./dev perf bgp_peers [-- --peers 500 --add-path]
SPDX-License-Identifier: Apache-2.0
"""

import argparse
import contextlib
import ipaddress
import json
import os
import pathlib
import select
import socket
import struct
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
os.environ["VROUTER_BUILD"] = str(pathlib.Path(os.environ.get("BUILD", "build-perf")).resolve())
sys.path.insert(0, str(ROOT / "test/system"))

from network import Network  # noqa: E402
from process import wait_for  # noqa: E402
from router import Router  # noqa: E402
from scripted_speaker import AS_PATH, KEEPALIVE, NEXT_HOP, OPEN, TRANSITIVE, attribute, message, nlri, update  # noqa: E402
from wire import inside  # noqa: E402

OWN_AS, OTHER_AS = 64512, 65000
ROUTER, RANGE = "127.0.0.1", "127.1.0.0/16"
FIRST = int(ipaddress.ip_address("127.1.0.1"))
ORIGIN, MED = 1, 4
OPTIONAL = 0x80
QUIET = 1.0  # seconds in which nobody hears anything


def path(address, med=0):
    values = ((ORIGIN, b"\0"), (AS_PATH, struct.pack("!BBI", 2, 1, OTHER_AS)), (NEXT_HOP, socket.inet_aton(address)))
    octets = b"".join(attribute(TRANSITIVE, code, value) for code, value in values)
    return octets + attribute(OPTIONAL, MED, struct.pack("!I", med))


class Peer:
    """Calls the router again whenever the session is over."""

    def __init__(self, number, add_path):
        self.address = str(ipaddress.ip_address(FIRST + number))
        self.number, self.add_path = number, add_path
        self.socket, self.begun, self.up, self.heard = None, b"", False, 0

    def open(self):
        capabilities = bytes([1, 4, 0, 1, 0, 1, 2, 0, 70, 0, 65, 4]) + OTHER_AS.to_bytes(4)
        capabilities += bytes([64, 6]) + struct.pack("!HHBB", 120, 1, 1, 0x80)
        if self.add_path:
            capabilities += bytes([69, 4, 0, 1, 1, 3])
        parameters = bytes([2, len(capabilities)]) + capabilities
        identifier = socket.inet_aton(self.address)
        return message(OPEN, struct.pack("!BHH4sB", 4, OTHER_AS, 0, identifier, len(parameters)) + parameters)

    def call(self, poll):
        self.socket, self.begun, self.up = socket.socket(), b"", False
        self.socket.bind((self.address, 0))
        try:
            self.socket.connect((ROUTER, 179))
        except OSError:
            self.close()
            return
        self.socket.sendall(self.open() + message(KEEPALIVE))
        self.socket.setblocking(False)
        poll.register(self.socket, select.EPOLLIN)

    def close(self):
        self.socket.close()
        self.socket, self.up = None, False

    def nlri(self, prefix):
        return (bytes([0, 0, 0, 1]) if self.add_path else b"") + nlri(prefix)

    def tell(self, prefixes, med=0):
        octets = update(path(self.address, med), b"".join(map(self.nlri, prefixes)))
        self.socket.setblocking(True)
        self.socket.sendall(octets)
        self.socket.setblocking(False)

    def read(self):
        """False when the session is over."""
        try:
            octets = self.socket.recv(1 << 20)
        except BlockingIOError:
            return True
        except ConnectionError:
            return False
        self.heard += len(octets)
        if not self.up:
            self.begun += octets
            self.up = message(KEEPALIVE) in self.begun
        return bool(octets)


class Run:
    def __init__(self, namespace, directory, arguments):
        self.namespace, self.calls = namespace, True
        self.router = Router(namespace, directory, "hub", dataplane="none", log={"level": "warning"})
        for section in ("eal", "ports", "workloads", "workers"):
            self.router.config.pop(section, None)
        self.range = {"prefix": RANGE, "limit": 10000, "as": OTHER_AS, "import": "all", "export": "all"}
        self.range["graceful_restart"] = "full"
        if arguments.add_path:
            self.range["add_path"] = "both"
        self.set_range(hold_time=90)
        self.poll = select.epoll()
        self.peers = [Peer(number, arguments.add_path) for number in range(arguments.peers)]
        self.rows = []

    def set_range(self, **changes):
        self.range.update(changes)
        self.router.config["bgp"] = {
            "as": OWN_AS,
            "router_id": "10.0.0.1",
            "listen": [ROUTER],
            "ranges": [self.range],
            "announce": [{"prefix": "10.200.0.0/16"}],
        }
        self.router.write_config()

    def pump(self, seconds=0.05):
        """Calls and reads; true when somebody heard something."""
        with inside(self.namespace):
            for peer in self.peers if self.calls else []:
                if peer.socket is None:
                    peer.call(self.poll)
        by_file = {peer.socket.fileno(): peer for peer in self.peers if peer.socket}
        ready = self.poll.poll(seconds)
        for file, _ in ready:
            peer = by_file[file]
            if not peer.read():
                self.poll.unregister(peer.socket)
                peer.close()
        return bool(ready)

    def settle(self, condition=lambda: True):
        """Until `condition` holds and nobody hears anything any more."""
        quiet_since = time.monotonic()
        end = quiet_since + 120
        while time.monotonic() - quiet_since < QUIET:
            if self.pump() or not condition():
                quiet_since = time.monotonic()
            if time.monotonic() > end:
                sys.exit("bgp_peers: it did not settle within 120 s")

    def all_up(self):
        return all(peer.up for peer in self.peers)

    def all_down(self):
        return not any(peer.up for peer in self.peers)

    def measure(self, name, change, condition):
        self.router.ctl("show", "control", "--reset")
        begin = time.monotonic()
        change()
        self.settle(condition)
        took = time.monotonic() - begin - QUIET
        turns = next(row for row in self.router.show("control") if row["clock"] == "cpu")
        row = {
            "name": name,
            "seconds": took,
            "turn_ms": int(turns["max_us"]) / 1000,
            "over_2ms": int(turns.get("over_2ms", 0)),
            "turns": int(turns.get("turns", 0)),
            "load_average": os.getloadavg()[0],
        }
        self.rows.append(row)
        text = "{name:44} longest turn {turn_ms:6.2f} ms, {over_2ms:3} of {turns:6} over 2 ms, settled {seconds:5.1f} s (load {load_average:.1f})"
        print(text.format(**row), flush=True)

    def ctl(self, *words):
        return lambda: self.router.ctl(*words)

    def measure_all(self):
        first, last = self.peers[0], self.peers[-1]
        self.calls = True
        self.measure(f"{len(self.peers)} sessions come up", lambda: None, self.all_up)
        self.measure("one tells a route, all hear", lambda: first.tell(["10.1.0.0/24"]), self.all_up)

        def tell_own():
            for number in range(1000):
                first.tell([f"10.2.{number // 250}.{number % 250}/32"], med=number)

        self.measure("one tells 1,000 of own attributes", tell_own, self.all_up)
        same = [f"10.3.0.{number}/32" for number in range(200)]

        def tell_same():
            for peer in self.peers:
                peer.tell(same)

        self.measure("all tell the same 200 prefixes", tell_same, self.all_up)
        self.measure("one changes the same 200", lambda: last.tell(same, med=7), self.all_up)

        def tell_one_each():
            for peer in self.peers:
                peer.tell([f"10.4.{peer.number // 250}.{peer.number % 250}/32"])

        self.measure("each tells a prefix of its own", tell_one_each, self.all_up)
        self.measure("clear all --soft both", self.ctl("bgp", "clear", "all", "--soft", "both"), self.all_up)
        self.measure("reload: another export filter", self.reload(export="local"), self.all_up)
        self.measure("reload: the old one", self.reload(export="all"), self.all_up)
        self.measure("reload: another hold time", self.reload(hold_time=180), self.all_up)
        self.measure("clear all", self.ctl("bgp", "clear", "all"), self.all_up)
        self.measure("bgp restart", self.ctl("bgp", "restart"), self.all_up)

        def shut_down():
            self.calls = False
            self.router.ctl("bgp", "shutdown", "all", "maintenance")

        self.measure("shutdown all", shut_down, self.all_down)

        def enable():
            self.router.ctl("bgp", "enable", "all")
            self.calls = True

        self.measure("enable all", enable, self.all_up)

    def reload(self, **changes):
        def change():
            self.set_range(**changes)
            self.router.ctl("bgp", "reload")

        return change


def main():
    parser = argparse.ArgumentParser(description="the turns of the control thread with hundreds of peers")
    parser.add_argument("--peers", type=int, default=500)
    parser.add_argument("--add-path", action="store_true", help="each hears all paths")
    arguments = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("bgp_peers: needs root: network namespaces")
    network = Network("vrp")
    with contextlib.ExitStack() as cleanup, tempfile.TemporaryDirectory(prefix="vrp-") as name:
        cleanup.callback(network.delete)
        run = Run(network.namespace("hub"), pathlib.Path(name), arguments)
        cleanup.callback(run.router.stop)
        run.router.start()
        run.measure_all()
    if "BENCHMARK_OUT" in os.environ:
        pathlib.Path(os.environ["BENCHMARK_OUT"]).write_text(json.dumps({"benchmarks": run.rows}, indent=1))


if __name__ == "__main__":
    main()
