"""Guests whose kernel is this machine's: a namespace with an eth0 that leads to a router.

Here is what they all can do, and the cheapest of them, VethGuest, which needs no process at all: its
eth0 is one end of a veth and the router's port (net_af_packet, named by the annotation
vrouter.io/port) the other.  FastGuest hangs on a vhost-user socket instead.
SPDX-License-Identifier: Apache-2.0
"""

import re

from network import Namespace
from process import Process, wait_for

CONNECT = """
import socket, sys
try:
    socket.create_connection((sys.argv[1], int(sys.argv[2])), float(sys.argv[3])).close()
    print("opened")
except OSError as error:
    print(error)
"""


def opens(namespace, address, port, seconds=5):
    """Whether a TCP connection from the namespace comes about; see reaches()."""
    return namespace.sh("/usr/bin/python3", "-c", CONNECT, address, port, seconds).strip() == "opened"


def reaches(namespace, address, seconds=5):
    """Whether one ping from the namespace is answered.

    The time is for a busy machine.  A test that expects the ping to be lost names fewer seconds.
    """
    return "1 received" in namespace.sh("ping", "-c", 1, "-W", seconds, address, check=False)


def listen_tcp(namespace, log, *ports):
    """Accepts TCP connections in the background, in both families, until the namespace goes."""
    for port in ports:
        words = ["socat", f"TCP6-LISTEN:{port},fork,reuseaddr,ipv6only=0", "/dev/null"]
        process = Process(words, log, namespace)
        listening = f":{port}\\s"
        process.wait_for(
            lambda: re.search(listening, namespace.sh("ss", "-Hltn")), 5, f"a listener on port {port}"
        )


class NamespaceGuest:
    def __init__(self, network, directory, name, mac):
        self.name = name
        self.mac = mac
        self.directory = directory
        self.namespace: Namespace = network.namespace(name)

    def configure(self, addresses, gateways):
        """Gives eth0, which exists and is up, its addresses and the way out."""
        self.namespace.add_address("eth0", *addresses)
        for gateway in gateways:
            self.namespace.sh("ip", "route", "add", gateway, "dev", "eth0")
            self.namespace.sh("ip", "route", "add", "default", "via", gateway, "dev", "eth0")

    def run(self, *words, **options):
        return self.namespace.sh(*words, **options)

    def reaches(self, address, seconds=5):
        return reaches(self.namespace, address, seconds)

    def wait_reaches(self, address, seconds=10):
        wait_for(lambda: self.reaches(address), seconds, f"{self.name} reaches {address}")

    def opens(self, address, port, seconds=5):
        return opens(self.namespace, address, port, seconds)

    def received_packets(self):
        return int(self.run("cat", "/sys/class/net/eth0/statistics/rx_packets"))

    def listen_tcp(self, *ports):
        listen_tcp(self.namespace, self.directory / f"{self.name}.listen.log", *ports)

    def stop(self):
        """Its namespace goes with the network."""


class VethGuest(NamespaceGuest):
    """Exists from the start; `interface` in the router's namespace is the router's end, for `driver`."""

    def __init__(self, network, directory, name, router_namespace, mac, addresses=(), gateways=(), **options):
        super().__init__(network, directory, name, mac)
        self.driver = options.pop("driver", "net_af_packet")
        assert not options, f"unknown options: {', '.join(options)}"
        self.interface = f"to-{name}"
        network.link(self.namespace, "eth0", router_namespace, self.interface)
        router_namespace.hand_over(self.interface)
        self.namespace.sh("ip", "link", "set", "dev", "eth0", "down", "address", mac)
        self.namespace.sh("ip", "link", "set", "dev", "eth0", "up")
        self.configure(addresses, gateways)

    @property
    def annotations(self):
        """What attaches the workload's endpoint to this guest."""
        return {"vrouter.io/port": f"{self.driver}_{self.name},iface={self.interface}"}
