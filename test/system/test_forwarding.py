"""Packets between guests, their routers, the hosts' kernels and the fabric, with static routes.

SPDX-License-Identifier: Apache-2.0
"""

import collections
import json
import random
import re

import pytest
import reach
from namespace_guest import listen_tcp, opens, reaches
from process import Process, wait_for
from rack import FABRIC, GATEWAYS, ROUTER
from scapy.layers.inet import ICMP, IP, UDP
from scapy.layers.inet6 import ICMPv6PacketTooBig, IPv6
from scapy.layers.l2 import ARP, Ether

FAMILIES = (4, 6)


def udp(source, destination, sport, dport=9, payload=b"x"):
    layer = IPv6 if ":" in destination else IP
    return layer(src=source, dst=destination) / UDP(sport=sport, dport=dport) / payload


def is_udp(port):
    return lambda frame: UDP in frame and frame[UDP].sport == port


# One host


def test_fabric_pings_the_router(rack):
    rack.start()
    for family in FAMILIES:
        wait_for(lambda: rack.fabric_reaches(ROUTER[family]), 5, "the router answers pings")


def test_guests_of_one_host_reach_each_other_and_the_fabric(rack):
    guests = [rack.veth_guest(rack.workload(number)) for number in (1, 2)]
    rack.start()
    addresses = [rack.workload(n).address[family] for n in (1, 2) for family in FAMILIES]
    for guest in guests:
        guest.wait_reaches(FABRIC[4])
    guests[1].listen_tcp(80)
    everything = [*addresses, *FABRIC.values()]
    reach.check(guests, everything, {guest.name: everything for guest in guests})
    for address in rack.workload(2).address.values():
        assert guests[0].opens(address, 80)
        assert opens(rack.fabric, address, 80)


def test_first_packet_to_an_unknown_neighbor_arrives(rack, wire):
    """It is held while the router resolves the address, not dropped."""
    guest = rack.veth_guest(rack.workload(1))
    rack.start()
    line = wire(rack.fabric, rack.downlink)
    for family in FAMILIES:
        guest.run("ping", "-c", 1, "-W", 10, FABRIC[family])
    requests = line.until(lambda f: IPv6 in f and f[IPv6].nh == 58 and bytes(f[IPv6].payload)[0] == 128)
    assert [f for f in requests if ARP in f and f[ARP].pdst == FABRIC[4]]
    assert len([f for f in requests if ICMP in f and f[ICMP].type == 8]) == 1


def test_guest_resolves_everything_to_its_router(rack):
    """A guest may believe that its whole network is on its link; the router answers for all of it."""
    guest = rack.veth_guest(rack.workload(1))
    rack.start()
    guest.run("ip", "addr", "add", "10.65.1.1/16", "dev", "eth0")
    guest.run("ip", "route", "replace", "192.0.2.0/24", "dev", "eth0")
    guest.run("ip", "-6", "route", "replace", "fd00:2::/64", "dev", "eth0")
    for family in FAMILIES:
        guest.wait_reaches(FABRIC[family])
    neighbors = json.loads(guest.run("ip", "-j", "neigh"))
    answered = {n["dst"]: n.get("lladdr") for n in neighbors if n["dst"] in (*GATEWAYS, *FABRIC.values())}
    assert set(FABRIC.values()) <= set(answered)
    assert len(set(answered.values())) == 1


def test_guest_cannot_use_anothers_addresses(rack, wire):
    workload = rack.workload(1)
    guest = rack.veth_guest(workload)
    rack.start()
    guest.wait_reaches(FABRIC[4])
    guest.wait_reaches(FABRIC[6])
    captured, sender = wire(rack.fabric, rack.downlink), wire(guest.namespace, "eth0")
    mine, router = workload.mac, rack.router_mac(guest.namespace)
    sender.send(Ether(src=mine, dst=router) / udp("10.65.1.9", FABRIC[4], 1))
    sender.send(Ether(src=mine, dst=router) / udp("fd00:65:1::9", FABRIC[6], 1))
    sender.send(Ether(src="02:00:00:00:09:09", dst=router) / udp(workload.address[4], FABRIC[4], 1))
    sender.send(Ether(src=mine, dst=router) / udp(workload.address[4], FABRIC[4], 2))
    assert not [f for f in captured.until(is_udp(2)) if is_udp(1)(f)]
    drops = rack.router.drops()
    assert drops["spoofed_address"] >= 2
    assert drops["spoofed_mac"] >= 1


def test_too_big_packets_are_answered_with_the_mtu(rack, wire):
    rack.set_mtu(1400)
    guest = rack.veth_guest(rack.workload(1))
    rack.start()
    for family in FAMILIES:
        guest.wait_reaches(FABRIC[family])
    line = wire(guest.namespace, "eth0")
    guest.run("ping", "-c", 1, "-W", 1, "-M", "do", "-s", 1472, FABRIC[4], check=False)
    answer = line.receive(lambda f: ICMP in f and f[ICMP].type == 3)
    assert (answer[ICMP].code, answer[ICMP].nexthopmtu) == (4, 1400)
    guest.run("ping", "-c", 1, "-W", 1, "-M", "do", "-s", 1452, FABRIC[6], check=False)
    answer = line.receive(lambda f: ICMPv6PacketTooBig in f)
    assert answer[ICMPv6PacketTooBig].mtu == 1400
    # The guest's kernel has learnt: what it sends from now on fits, and arrives.
    for family in FAMILIES:
        guest.run("ping", "-c", 1, "-W", 10, "-s", 1472, FABRIC[family])


def resolved(router):
    return {row["address"] for row in router.show("neighbors") if row["state"] == "reachable"}


@pytest.mark.alone  # every packet is waited for
def test_flows_spread_over_two_next_hops_and_each_stays_on_one(network, rack, wire):
    second = network.namespace("fabric2")
    network.link(rack.host, "uplink2", second, "down")
    second.add_address("down", "203.0.113.254/24", "fd00:3::fe/64")
    rack.router.add_uplink("uplink2", ["203.0.113.1/24", "fd00:3::1/64"])
    rack.router.add_route("10.99.0.0/16", FABRIC[4], "203.0.113.254")
    rack.router.add_route("fd00:99::/32", FABRIC[6], "fd00:3::fe")
    workload = rack.workload(1)
    guest = rack.veth_guest(workload)
    rack.start()
    guest.wait_reaches(FABRIC[4])
    lines = [wire(rack.fabric, rack.downlink), wire(second, "down")]
    sender, ether = wire(guest.namespace, "eth0"), Ether(src=workload.mac, dst=rack.router_mac(guest.namespace))
    flows = 32
    for destination, gateways in (
        ("10.99.0.1", {FABRIC[4], "203.0.113.254"}),
        ("fd00:99::1", {FABRIC[6], "fd00:3::fe"}),
    ):
        source = workload.address[6 if ":" in destination else 4]
        # A next hop that is not resolved yet holds 16 packets and no more.
        sender.send(*(ether / udp(source, destination, 1000 + i, dport=10) for i in range(16)))
        wait_for(lambda: gateways <= resolved(rack.router), 5, f"both of {gateways} are resolved")
        for _ in range(3):
            sender.send(*(ether / udp(source, destination, 1000 + i) for i in range(flows)))
        seen = [collections.Counter(), collections.Counter()]

        def all_arrived():
            for line, counter in zip(lines, seen):
                counter.update(f[UDP].sport for f in line.frames(0.05) if UDP in f and f[UDP].dport == 9)
            return sum(seen[0].values()) + sum(seen[1].values()) >= 3 * flows

        wait_for(all_arrived, 5, f"all packets to {destination}; seen {seen}")
        assert set(seen[0]).isdisjoint(seen[1]), "a flow keeps its path"
        assert min(len(seen[0]), len(seen[1])) > flows / 8, "both paths are used"


def test_static_neighbor_is_not_asked_for(rack, wire):
    macs = {4: "02:00:00:00:77:04", 6: "02:00:00:00:77:06"}
    hosts = {4: "192.0.2.77", 6: "fd00:2::77"}
    rack.router.config["neighbors"] = [
        {"address": hosts[family], "mac": macs[family], "port": "uplink0"} for family in FAMILIES
    ]
    workload = rack.workload(1)
    guest = rack.veth_guest(workload)
    rack.start()
    guest.wait_reaches(FABRIC[4])
    line = wire(rack.fabric, rack.downlink)
    for family in FAMILIES:
        guest.run("ping", "-c", 1, "-W", 1, hosts[family], check=False)
        frames = line.until(lambda f: f.dst == macs[family])
        assert not [f for f in frames if ARP in f and f[ARP].pdst == hosts[4]]


def test_longest_prefix_wins_and_a_discard_route_discards(rack):
    inside = {4: "10.98.1.1", 6: "fd00:98:1::1"}
    discarded = {4: "10.98.2.1", 6: "fd00:98:2::1"}
    rack.fabric.add_address("lo", *inside.values(), *discarded.values())
    for prefix in ("10.98.2.0/24", "fd00:98:2::/48"):
        rack.router.config["routes"].append({"prefix": prefix, "discard": True})
    guest = rack.veth_guest(rack.workload(1))
    rack.start()
    for family in FAMILIES:
        guest.wait_reaches(inside[family])
        assert not guest.reaches(discarded[family], 1)
    assert rack.router.drops()["discarded"] == 2


# The host's own kernel behind the TAP


@pytest.fixture
def host_rack(rack):
    rack.router.config["host"]["routes"] = ["0.0.0.0/0", "::/0"]
    return rack


def test_host_reaches_guest_and_fabric(host_rack):
    """Whatever policy says: who runs the host may check on its guests."""
    guest = host_rack.veth_guest(host_rack.workload(1), profiles=[])
    host_rack.start()
    guest.listen_tcp(80)
    for address in host_rack.workload(1).address.values():
        wait_for(lambda: reaches(host_rack.host, address), 5, f"the host reaches {address}")
        assert opens(host_rack.host, address, 80)
    for address in FABRIC.values():
        assert reaches(host_rack.host, address)


@pytest.mark.parametrize("action", ["drop", "accept"])
def test_guest_reaches_the_host_as_configured(host_rack, directory, action):
    host_rack.router.config["workloads"]["to_host"] = action
    guest = host_rack.veth_guest(host_rack.workload(1))
    host_rack.start()
    guest.wait_reaches(FABRIC[4])
    listen_tcp(host_rack.host, directory / "host.listen.log", 80)
    for address in ROUTER.values():
        assert opens(host_rack.fabric, address, 80), "the fabric reaches the host in any case"
        assert guest.opens(address, 80) == (action == "accept")
    if action == "drop":
        assert host_rack.router.drops()["host_denied"] > 0


# Two hosts


@pytest.fixture
def pair(racks):
    """Two racks whose routers run, and a guest behind each."""
    guests = [rack.veth_guest(rack.workload(1)) for rack in racks]
    for rack in racks:
        rack.launch()
    for rack in racks:
        rack.wait_ready()
    for family in FAMILIES:
        guests[0].wait_reaches(racks[1].workload(1).address[family])
    return guests


def test_guests_of_two_hosts_reach_each_other(racks, pair):
    addresses = [rack.workload(1).address[family] for rack in racks for family in FAMILIES]
    reach.check(pair, addresses, {guest.name: addresses for guest in pair})


@pytest.mark.parametrize("family", FAMILIES)
def test_tcp_transfer_between_two_hosts(racks, pair, directory, family):
    sent, received = directory / "sent", directory / "received"
    sent.write_bytes(random.Random(family).randbytes(4 << 20))
    words = ["socat", "-u", "TCP6-LISTEN:5201,ipv6only=0", f"CREATE:{received}"]
    server = Process(words, directory / "server.log", pair[1].namespace)
    wait_for(lambda: ":5201" in pair[1].run("ss", "-Hltn"), 5, "the server listens")
    address = racks[1].workload(1).address[family]
    pair[0].run("socat", "-u", f"FILE:{sent}", f"TCP:[{address}]:5201" if family == 6 else f"TCP:{address}:5201")
    assert server.child.wait(10) == 0
    assert received.read_bytes() == sent.read_bytes()


def test_each_hop_of_a_path_says_who_it_is(racks, pair):
    """What traceroute shows: own router, fabric, the other host's router, the guest."""
    for family in FAMILIES:
        target = racks[1].workload(1).address[family]
        hops = []
        for limit in (1, 2, 3, 4):
            output = pair[0].run("ping", "-n", "-c", 1, "-W", 10, "-t", limit, target, check=False)
            hops.append(re.search(r"(?i)from ([\w.:]+?)(?:%\w+)?:? ", output).group(1))
        assert hops[0] in (GATEWAYS[family == 6], racks[0].own[family])
        assert hops[1:] == [racks[0].gateway[family], racks[1].own[family], target]
