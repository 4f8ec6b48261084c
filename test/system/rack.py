"""Compute hosts with a router each, joined by a fabric: the networks in which routers are tested.

A Rack is one host and its link to the fabric.  The smallest network is one rack; a second one on the
same fabric makes two hosts, between which the fabric's kernel routes.
SPDX-License-Identifier: Apache-2.0
"""

from types import MappingProxyType

import namespace_guest
from namespace_guest import VethGuest
from resources import workload_endpoint

NETWORKS = {1: ("192.0.2", "fd00:2"), 2: ("198.51.100", "fd00:51")}  # by number of the rack
ROUTER = {4: "192.0.2.1", 6: "fd00:2::1"}  # of the first rack
FABRIC = {4: "192.0.2.254", 6: "fd00:2::fe"}
LENGTH = {4: 24, 6: 64}
GATEWAYS = ["169.254.1.1", "fe80::1"]


def with_length(addresses):
    return [f"{address}/{LENGTH[family]}" for family, address in addresses.items()]


class Workload:
    """Number 1 of rack 1 is vm1: 10.65.1.1, fd00:65:1::1 and 02:00:00:00:01:01."""

    def __init__(self, number, rack=1):
        self.rack = rack
        self.name = f"vm{number}" if rack == 1 else f"vm{rack}x{number}"
        self.mac = f"02:00:00:00:{rack:02x}:{number:02x}"
        self.address = {4: f"10.65.{rack}.{number}", 6: f"fd00:65:{rack}::{number:x}"}
        self.addresses = [f"{self.address[4]}/32", f"{self.address[6]}/128"]

    @property
    def node(self):
        return f"host-{' ab'[self.rack]}"

    def endpoint(self, **options):
        return workload_endpoint(self.node, self.name, self.mac, self.addresses, **options)

    @property
    def endpoint_name(self):
        return f"prod/{self.node.replace('-', '--')}-openstack-{self.name}-eth0"


class Rack:
    """A namespace with a router, not yet started, and its link to the namespace `fabric`.

    The fabric's kernel has static routes to the rack's workloads and the router a default route to
    the fabric, unless `routes` is false.
    """

    def __init__(self, network, directory, make_router, fabric=None, number=1, routes=True):
        self.network = network
        self.directory = directory
        self.number = number
        self.workloads = []  # whose endpoints are there when the router starts
        net4, net6 = NETWORKS[number]
        self.own = {4: f"{net4}.1", 6: f"{net6}::1"}
        self.gateway = {4: f"{net4}.254", 6: f"{net6}::fe"}
        name = f"host-{' ab'[number]}"
        self.host = network.namespace(name)
        self.fabric = fabric or network.namespace("fabric")
        self.fabric.forward()
        self.downlink = f"down{number}"
        network.link(self.host, "uplink", self.fabric, self.downlink)
        self.fabric.add_address(self.downlink, *with_length(self.gateway))
        self.router = make_router(self.host, name, lcore=number)
        self.router.add_uplink("uplink", with_length(self.own))
        self.router.add_host([f"{self.own[4]}/32", f"{self.own[6]}/128"])
        if routes:
            self.fabric.add_route(f"10.65.{number}.0/24", self.own[4])
            self.fabric.add_route(f"fd00:65:{number}::/64", self.own[6])
            self.router.add_route("0.0.0.0/0", self.gateway[4])
            self.router.add_route("::/0", self.gateway[6])

    def workload(self, number):
        return Workload(number, self.number)

    def set_mtu(self, mtu):
        """Of the link to the fabric, before the start."""
        self.router.config["ports"][0]["mtu"] = mtu
        for namespace, interface in ((self.host, "uplink"), (self.fabric, self.downlink)):
            namespace.sh("ip", "link", "set", "dev", interface, "mtu", mtu)

    def veth_guest(self, workload, driver="net_af_packet", annotations=MappingProxyType({}), **endpoint):
        """A guest of `workload` with its endpoint, attached by annotation."""
        names = (self.network, self.directory, workload.name, self.host)
        guest = VethGuest(*names, workload.mac, workload.addresses, GATEWAYS, driver=driver)
        self.router.put(workload.endpoint(annotations=guest.annotations | annotations, **endpoint))
        self.workloads.append(workload)
        return guest

    def launch(self, *workloads, **endpoint):
        """Starts the router, these workloads' endpoints beside those of veth guests, and does not wait."""
        self.workloads += workloads
        self.router.put(*(workload.endpoint(**endpoint) for workload in workloads))
        self.router.launch()

    def wait_ready(self):
        """Waits until the router answers and all endpoints forward."""
        self.router.wait_ready()
        for workload in self.workloads:
            self.router.wait_endpoint(workload.endpoint_name)

    def start(self, *workloads, **endpoint):
        self.launch(*workloads, **endpoint)
        self.wait_ready()

    def guest(self, make, workload, **options):
        """A guest of `workload`, made by make_guest or make_fast_guest, not yet started."""
        socket = self.router.socket_of(workload.name)
        return make(workload.name, socket, workload.mac, workload.addresses, GATEWAYS, **options)

    def fabric_reaches(self, address, seconds=5):
        return namespace_guest.reaches(self.fabric, address, seconds)

    def router_mac(self, namespace):
        """The router's MAC address as the guest in `namespace` has resolved it."""
        entry = namespace.sh("ip", "neigh", "show", GATEWAYS[0])
        return entry.split("lladdr ")[1].split()[0]
