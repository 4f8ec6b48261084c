"""One host with a router, one fabric: the smallest network in which a router can be tested.

SPDX-License-Identifier: Apache-2.0
"""

from resources import workload_endpoint

ROUTER = {4: "192.0.2.1", 6: "fd00:2::1"}
FABRIC = {4: "192.0.2.254", 6: "fd00:2::fe"}
LENGTH = {4: 24, 6: 64}
GATEWAYS = ["169.254.1.1", "fe80::1"]


def with_length(addresses):
    return [f"{address}/{LENGTH[family]}" for family, address in addresses.items()]


class Workload:
    """A workload of this host: number 1 has 10.65.0.1, fd00:65::1 and 02:00:00:00:65:01."""

    def __init__(self, number):
        self.name = f"vm{number}"
        self.mac = f"02:00:00:00:65:{number:02x}"
        self.address = {4: f"10.65.0.{number}", 6: f"fd00:65::{number:x}"}
        self.addresses = [f"{self.address[4]}/32", f"{self.address[6]}/128"]

    def endpoint(self, node="host-a", **options):
        return workload_endpoint(node, self.name, self.mac, self.addresses, **options)

    @property
    def endpoint_name(self):
        return f"prod/host--a-openstack-{self.name}-eth0"


class Rack:
    """Namespaces host and fabric, joined by a veth; a router in host, not yet started.

    The fabric's kernel has static routes to workloads 1 to 9 unless `routes` is false.
    """

    def __init__(self, network, make_router, routes=True):
        self.host = network.namespace("host")
        self.fabric = network.namespace("fabric")
        network.link(self.host, "uplink", self.fabric, "downlink")
        self.fabric.add_address("downlink", *with_length(FABRIC))
        if routes:
            self.fabric.add_route("10.65.0.0/28", ROUTER[4])
            self.fabric.add_route("fd00:65::/124", ROUTER[6])
        self.router = make_router(self.host, "host-a")
        self.router.add_uplink("uplink", with_length(ROUTER))
        self.router.add_host([f"{ROUTER[4]}/32", f"{ROUTER[6]}/128"])

    def start(self, *workloads, **endpoint_options):
        """Starts the router with these workloads' endpoints and waits until their sockets are there."""
        self.router.put(*(workload.endpoint(**endpoint_options) for workload in workloads))
        self.router.start()
        for workload in workloads:
            self.router.wait_socket(workload.name)

    def guest(self, make, workload, **options):
        """A guest of `workload`, made by make_guest or make_fast_guest, not yet started."""
        socket = self.router.socket_of(workload.name)
        return make(workload.name, socket, workload.mac, workload.addresses, GATEWAYS, **options)

    def fabric_reaches(self, address, seconds=1):
        return "1 received" in self.fabric.sh("ping", "-c", 1, "-W", seconds, address, check=False)

    def router_mac(self, namespace):
        """The router's MAC address as the guest in `namespace` has resolved it."""
        entry = namespace.sh("ip", "neigh", "show", GATEWAYS[0])
        return entry.split("lladdr ")[1].split()[0]
