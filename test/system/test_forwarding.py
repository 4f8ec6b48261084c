"""Packets between a guest, its router and the fabric, with static routes.

SPDX-License-Identifier: Apache-2.0
"""

import pytest
from process import wait_for
from rack import FABRIC, ROUTER, Rack, Workload
from scapy.layers.inet import ICMP, IP, icmptypes
from scapy.layers.inet6 import ICMPv6EchoRequest, ICMPv6TimeExceeded, IPv6
from scapy.layers.l2 import Ether


@pytest.fixture
def rack(network, make_router):
    return Rack(network, make_router)


@pytest.mark.parametrize("family", [4, 6])
def test_fabric_pings_the_router(rack, family):
    rack.start()
    wait_for(lambda: rack.fabric_reaches(ROUTER[family]), 5, "the router answers pings")


def test_guest_and_fabric_reach_each_other(rack, make_guest):
    vm = Workload(1)
    rack.start(vm)
    guest = rack.guest(make_guest, vm)
    guest.start()
    for family in (4, 6):
        guest.wait_reaches(FABRIC[family])
        assert rack.fabric_reaches(vm.address[family])


def test_guests_of_one_host_reach_each_other(rack, make_guest):
    one, two = Workload(1), Workload(2)
    rack.start(one, two)
    guests = [rack.guest(make_guest, vm) for vm in (one, two)]
    for guest in guests:
        guest.launch()
    for guest in guests:
        guest.wait_booted()
    for family in (4, 6):
        guests[0].wait_reaches(two.address[family])
    guests[1].listen_tcp(80)
    assert guests[0].opens(two.address[4], 80)
    assert guests[0].opens(two.address[6], 80)


def test_guest_cannot_use_anothers_address(rack, make_fast_guest, wire):
    vm = Workload(1)
    rack.start(vm)
    guest = rack.guest(make_fast_guest, vm)
    guest.start()
    wait_for(lambda: guest.reaches(FABRIC[4]), 5, "the guest reaches the fabric")
    captured, sender = wire(rack.fabric, "downlink"), wire(guest.namespace, "eth0")
    router_mac = rack.router_mac(guest.namespace)
    for source in ("10.65.0.9", vm.address[4]):
        sender.send(Ether(src=vm.mac, dst=router_mac) / IP(src=source, dst=FABRIC[4]) / ICMP(id=7))
    echoes = captured.until(lambda f: IP in f and ICMP in f and f[IP].src == vm.address[4])
    assert not [f for f in echoes if IP in f and f[IP].src == "10.65.0.9"]


def test_last_hop_is_told_to_the_sender(rack, wire):
    rack.start(Workload(1))
    wait_for(lambda: rack.fabric_reaches(ROUTER[4]), 5, "the router answers pings")
    line = wire(rack.fabric, "downlink")
    ether = Ether(src=rack.fabric.mac("downlink"), dst=rack.host.mac("uplink"))
    line.send(ether / IP(src=FABRIC[4], dst="10.65.0.1", ttl=1) / ICMP())
    answer = line.receive(lambda f: ICMP in f and icmptypes.get(f[ICMP].type) == "time-exceeded")
    assert answer[IP].dst == FABRIC[4]
    line.send(ether / IPv6(src=FABRIC[6], dst="fd00:65::1", hlim=1) / ICMPv6EchoRequest())
    answer = line.receive(lambda f: ICMPv6TimeExceeded in f)
    assert answer[IPv6].dst == FABRIC[6]


def test_removed_endpoint_is_unreachable_and_others_forward_on(rack, make_fast_guest):
    staying, leaving = Workload(1), Workload(2)
    rack.start(staying, leaving)
    guest = rack.guest(make_fast_guest, staying)
    guest.start()
    wait_for(lambda: rack.fabric_reaches(staying.address[4]), 5, "the fabric reaches the guest")
    pings = ["ping", "-i", "0.02", "-c", "50", "-W", "1", staying.address[4]]
    rack.router.remove(leaving.endpoint())
    output = rack.fabric.sh(*pings)
    rack.router.wait_no_route(f"{leaving.address[4]}/32")
    assert " 0% packet loss" in output
