"""What an endpoint may do at most, and whose addresses it may use: changed while it runs.

States and counters only: how exact the rates are is measured where nothing else runs, see perf/.
SPDX-License-Identifier: Apache-2.0
"""

import socket

from process import wait_for
from rack import FABRIC
from resources import resource
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from wire import inside


def row(rack, workload):
    return next(row for row in rack.router.show("endpoints") if row["name"] == workload.endpoint_name)


def test_connections_and_packets_beyond_the_limits(rack):
    workload = rack.workload(1)
    guest = rack.veth_guest(workload)
    endpoint = workload.endpoint(annotations=guest.annotations)
    rack.start()
    guest.wait_reaches(FABRIC[4])
    with inside(guest.namespace):
        server = socket.create_server(("", 80), backlog=16)
    connections = []

    def refused():
        with inside(rack.fabric):
            try:
                socket.create_connection((workload.address[4], 80), 10).close()
            except ConnectionRefusedError:
                return True
        return False

    with inside(rack.fabric):
        connections += [socket.create_connection((workload.address[4], 80), 10) for _ in range(2)]
    endpoint["spec"]["qosControls"] = {"ingressMaxConnections": 2}
    rack.router.put(endpoint)
    wait_for(refused, 20, "a third connection is refused")
    assert row(rack, workload)["ingress_limits"]["over_max_connections"] > 0
    connections.pop().close()
    wait_for(lambda: not refused(), 20, "there is room for a connection again")

    endpoint["spec"]["qosControls"] = {"egressPacketRate": 1, "egressPacketBurst": 5}
    rack.router.put(endpoint)

    def drops():
        guest.run("ping", "-c", 20, "-i", "0.01", "-W", 1, FABRIC[4], check=False)
        limits = row(rack, workload)["egress_limits"]
        return limits is not None and limits["over_packet_rate"] > 0

    wait_for(drops, 30, "packets beyond the rate are dropped")
    assert rack.router.drops()["packet_rate"] > 0
    del endpoint["spec"]["qosControls"]
    rack.router.put(endpoint)
    wait_for(lambda: row(rack, workload)["egress_limits"] is None, 10, "no limits")
    guest.wait_reaches(FABRIC[4])
    for held in (*connections, server):
        held.close()


def test_addresses_of_others_may_be_used_while_felix_says_so(rack, wire):
    workload = rack.workload(1)
    guest = rack.veth_guest(workload)
    rack.start()
    guest.wait_reaches(FABRIC[4])
    guest.wait_reaches(FABRIC[6])
    captured, sender = wire(rack.fabric, rack.downlink), wire(guest.namespace, "eth0")
    ether = Ether(src=workload.mac, dst=rack.router_mac(guest.namespace))

    def arrives(packet, port):
        sender.send(ether / packet / UDP(sport=port, dport=9) / b"x")
        return any(UDP in frame and frame[UDP].sport == port for frame in captured.frames(0.5))

    endpoint = workload.endpoint(annotations=guest.annotations)
    endpoint["spec"]["allowSpoofedSourcePrefixes"] = ["198.51.100.0/28", "fd00:51::/64"]
    rack.router.put(endpoint)
    rack.router.wait_endpoint(workload.endpoint_name, "invalid", 20)
    felix = resource("FelixConfiguration", "default", {"workloadSourceSpoofing": "Any"})
    rack.router.put(felix)
    rack.router.wait_endpoint(workload.endpoint_name, seconds=20)
    for packet in (IP(src="198.51.100.5", dst=FABRIC[4]), IPv6(src="fd00:51::5", dst=FABRIC[6])):
        wait_for(lambda packet=packet: arrives(packet, 7), 20, "a packet from an address of others")
    assert not arrives(IP(src="198.51.100.16", dst=FABRIC[4]), 8)
    wait_for(lambda: rack.router.drops()["spoofed_address"] > 0, 10, "a packet from an address that is not allowed")
    assert not [flow for flow in rack.router.show("flows") if flow["source"] == "198.51.100.5"], "each is judged anew"
    rack.router.remove(felix)
    rack.router.wait_endpoint(workload.endpoint_name, "invalid", 20)
