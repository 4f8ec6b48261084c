"""What guests, the fabric and BGP peers may send without disturbing anything.

SPDX-License-Identifier: Apache-2.0
"""

import random
import socket

import pytest
from process import wait_for
from rack import FABRIC, ROUTER, Rack, Workload
from scapy.layers.inet import ICMP, IP, TCP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import ARP, Ether
from wire import inside

FRAMES = 2000


@pytest.fixture
def rack(network, make_router):
    return Rack(network, make_router)


def damaged_frames(source, destination, target4, target6):
    """Real packets with random bytes changed and random lengths, the same in each run."""
    chance = random.Random(7)
    ether = Ether(src=source, dst=destination)
    seeds = [
        ether / IP(dst=target4) / ICMP(),
        ether / IP(dst=target4) / TCP(dport=80),
        ether / IPv6(dst=target6) / TCP(dport=80),
        ether / ARP(pdst=target4),
    ]
    for _ in range(FRAMES):
        frame = bytearray(bytes(chance.choice(seeds)))
        for _ in range(chance.randrange(1, 6)):
            frame[chance.randrange(12, len(frame))] = chance.randrange(256)
        yield bytes(frame[: chance.randrange(14, len(frame) + 1)])


def test_malformed_frames_from_the_fabric(rack, wire):
    rack.start(Workload(1))
    wait_for(lambda: rack.fabric_reaches(ROUTER[4]), 5, "the router answers pings")
    line = wire(rack.fabric, "downlink")
    frames = damaged_frames(rack.fabric.mac("downlink"), rack.host.mac("uplink"), "10.65.0.1", "fd00:65::1")
    line.send(*frames)
    wait_for(lambda: rack.fabric_reaches(ROUTER[4]), 5, "the router answers pings")
    assert sum(rack.router.drops().values()) > FRAMES / 10
    rack.router.check_running()


def test_malformed_frames_from_a_guest(rack, wire, make_fast_guest):
    vm = Workload(1)
    rack.start(vm)
    guest = rack.guest(make_fast_guest, vm)
    guest.start()
    wait_for(lambda: guest.reaches(FABRIC[4]), 5, "the guest reaches the fabric")
    line = wire(guest.namespace, "eth0")
    line.send(*damaged_frames(vm.mac, rack.router_mac(guest.namespace), FABRIC[4], FABRIC[6]))
    wait_for(lambda: guest.reaches(FABRIC[4]), 5, "the guest reaches the fabric")
    rack.router.check_running()


def test_guest_resets_its_rings_and_vanishes(rack, make_guest):
    staying, leaving = Workload(1), Workload(2)
    rack.start(staying, leaving)
    guests = [rack.guest(make_guest, vm) for vm in (staying, leaving)]
    for guest in guests:
        guest.launch()
    for guest in guests:
        guest.wait_booted()
    guests[0].wait_reaches(leaving.address[4])
    guests[1].run(f"ping -i 0.01 {FABRIC[4]} >/dev/null 2>&1 &")
    guests[1].restart_network_driver()
    guests[0].wait_reaches(leaving.address[4])
    guests[1].kill()
    assert guests[0].reaches(FABRIC[4])
    guests[1].start()
    guests[0].wait_reaches(leaving.address[4])


@pytest.mark.parametrize(
    "garbage",
    [b"GET / HTTP/1.1\r\n\r\n", b"\xff" * 16 + b"\x00\x13\x09", b"\x00" * 4096],
    ids=["http", "unknown message type", "zeros"],
)
def test_garbage_on_the_bgp_port(rack, garbage):
    rack.router.set_bgp(64512, ROUTER[4], [{"address": FABRIC[4], "as": 65000, "passive": True}])
    rack.start()
    wait_for(lambda: rack.fabric_reaches(ROUTER[4]), 5, "the router answers pings")
    with inside(rack.fabric):
        connection = socket.create_connection((ROUTER[4], 179), 5)
    connection.settimeout(10)
    connection.sendall(garbage)
    while True:  # the router must close; what it says before is its business
        try:
            if not connection.recv(4096):
                break
        except ConnectionResetError:
            break
    connection.close()
    assert rack.router.answers()
    rack.router.check_running()


def test_config_directory_disappears(rack):
    rack.start(Workload(1))
    wait_for(lambda: rack.fabric_reaches(ROUTER[4]), 5, "the router answers pings")
    for file in rack.router.resources.iterdir():
        file.unlink()
    rack.router.resources.rmdir()
    assert rack.fabric_reaches(ROUTER[4])
    rack.router.check_running()
