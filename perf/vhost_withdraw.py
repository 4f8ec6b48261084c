#!/usr/bin/python3
"""How long after a guest's vhost-user connection ends its route is withdrawn on the wire.

A router with one workload and a BIRD as its fabric, in namespaces of this run.  The guest (dpdk-testpmd as
virtio-user) reaches the router's socket through a relay here, so that the moment when the connection ends is
known: the relay closes its half.  The withdrawal is seen as a frame on the fabric's link, by the kernel's
time stamp of it.

    ./dev perf vhost_withdraw [-- --rounds 100]

It is a row of ./dev perf bgp, too.
SPDX-License-Identifier: Apache-2.0
"""

import argparse
import contextlib
import json
import math
import os
import pathlib
import socket
import struct
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
os.environ["VROUTER_BUILD"] = str(pathlib.Path(os.environ.get("BUILD", "build-perf")).resolve())
sys.path.insert(0, str(ROOT / "test/system"))

from fast_guest import FastGuest  # noqa: E402
from network import Network  # noqa: E402
from peers import Bird, Neighbor  # noqa: E402
from process import wait_for  # noqa: E402
from rack import FABRIC, GATEWAYS, ROUTER, Rack  # noqa: E402
from router import Router  # noqa: E402
from wire import inside  # noqa: E402

ROW = "vhost disconnect to UPDATE"
TEXT = "p50 {p50_ms:.2f} ms, p99 {p99_ms:.2f} ms, max {max_ms:.2f} ms of {rounds}"
OWN_AS, OTHER_AS = 64512, 65000
SO_TIMESTAMPNS = 35
ETH_P_IP = 0x0800
UPDATE = 2
HEADER = 12  # octets, of a vhost-user message


class Relay:
    """Hands the bytes and descriptors of one vhost-user connection at a time to the router's socket."""

    def __init__(self, path, target):
        self.path, self.target = path, target
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen()
        self.ends = []
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                guest, _ = self.listener.accept()
            except OSError:
                return
            router = socket.socket(socket.AF_UNIX)
            router.connect(str(self.target))
            self.ends = [guest, router]
            for source, sink in ((guest, router), (router, guest)):
                threading.Thread(target=self.copy, args=(source, sink), daemon=True).start()

    @staticmethod
    def copy(source, sink):
        """One message at a time, each with its own descriptors: request, flags, size, then so many octets."""
        with contextlib.suppress(OSError):
            while True:
                header, descriptors, _, _ = socket.recv_fds(source, HEADER, 16, socket.MSG_WAITALL)
                if len(header) < HEADER:
                    return
                (size,) = struct.unpack_from("I", header, 8)
                body = source.recv(size, socket.MSG_WAITALL) if size else b""
                if descriptors:
                    socket.send_fds(sink, [header + body], descriptors)
                else:
                    sink.sendall(header + body)
                for descriptor in descriptors:
                    os.close(descriptor)

    def cut(self):
        """Ends the connection to the router; returns when."""
        guest, router = self.ends
        begin = time.time_ns()
        router.shutdown(socket.SHUT_RDWR)
        guest.close()
        router.close()
        return begin


class Watch:
    """The withdrawals that cross an interface: (time in ns) of each UPDATE with withdrawn routes."""

    def __init__(self, namespace, interface):
        with inside(namespace):
            self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_IP))
            self.socket.bind((interface, ETH_P_IP))
        self.socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self.seen = []
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self):
        with contextlib.suppress(OSError):  # the namespace goes at the end
            while True:
                frame, ancillary, _, _ = self.socket.recvmsg(2048, 64)
                if self.withdraws(frame):
                    seconds, nanoseconds = struct.unpack("qq", ancillary[0][2])
                    self.seen.append(seconds * 1_000_000_000 + nanoseconds)

    @staticmethod
    def withdraws(frame):
        ip = 14
        tcp = ip + (frame[ip] & 15) * 4
        if frame[ip + 9] != socket.IPPROTO_TCP or 179 not in struct.unpack_from(">HH", frame, tcp):
            return False
        end = ip + struct.unpack_from(">H", frame, ip + 2)[0]
        at = tcp + (frame[tcp + 12] >> 4) * 4
        while at + 23 <= end:
            length, kind = struct.unpack_from(">HB", frame, at + 16)
            if kind == UPDATE and struct.unpack_from(">H", frame, at + 19)[0] != 0:
                return True
            at += max(19, length)
        return False


def measure(network, directory, cleanup, rounds):
    def make_router(namespace, node, **options):
        router = Router(namespace, directory, node, **options)
        cleanup.callback(router.stop)
        return router

    rack = Rack(network, directory, make_router, routes=False)
    rack.router.set_bgp(OWN_AS, ROUTER[4], {FABRIC[4]: OTHER_AS})
    peer = Bird(rack.fabric, directory, OTHER_AS, FABRIC[4], [Neighbor(ROUTER[4], OWN_AS)])
    cleanup.callback(peer.stop)
    peer.start()
    workload = rack.workload(1)
    rack.start(workload)
    rack.router.wait_established(FABRIC[4], 30)
    relay = Relay(directory / "relay.sock", rack.router.socket_of(workload.name))
    guest = FastGuest(
        network, directory, workload.name, relay.path, workload.mac, workload.addresses, GATEWAYS)
    cleanup.callback(guest.stop)
    watch = Watch(rack.fabric, rack.downlink)
    prefix = workload.addresses[0]
    times = []
    for _ in range(rounds):
        connected = rack.router.log.count("guest connected")
        guest.start(30)
        wait_for(lambda: rack.router.log.count("guest connected") > connected, 30, "the guest is there")
        peer.wait_route(prefix, seconds=30)
        seen = len(watch.seen)
        begin = relay.cut()
        wait_for(lambda: len(watch.seen) > seen, 30, "the withdrawal")
        times.append((watch.seen[seen] - begin) / 1e6)
        peer.wait_no_route(prefix, 30)
        guest.kill()
    return sorted(times)


def figures(rounds):
    network = Network("vrw")
    with contextlib.ExitStack() as cleanup, tempfile.TemporaryDirectory(prefix="vrw-") as name:
        cleanup.callback(network.delete)
        times = measure(network, pathlib.Path(name), cleanup, rounds)
        cleanup.close()
    p99 = times[max(0, math.ceil(len(times) * 0.99) - 1)]
    return {"p50_ms": times[len(times) // 2], "p99_ms": p99, "max_ms": times[-1], "rounds": rounds}


def main():
    parser = argparse.ArgumentParser(description="vhost disconnect to UPDATE on the wire")
    parser.add_argument("--rounds", type=int, default=100)
    arguments = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("vhost_withdraw: needs root: network namespaces")
    row = figures(arguments.rounds)
    load = os.getloadavg()[0]
    print(f"{ROW}: {TEXT.format(**row)} (load {load:.1f})")
    if "BENCHMARK_OUT" in os.environ:
        row = {"name": ROW, **row, "load_average": load}
        pathlib.Path(os.environ["BENCHMARK_OUT"]).write_text(json.dumps({"benchmarks": [row]}, indent=1))


if __name__ == "__main__":
    main()
