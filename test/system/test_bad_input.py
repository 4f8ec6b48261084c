"""What guests, the fabric and BGP peers may send without disturbing anything.

SPDX-License-Identifier: Apache-2.0
"""

import random

from process import wait_for
from rack import FABRIC, ROUTER, Workload
from scapy.layers.inet import ICMP, IP, TCP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import ARP, Ether

FRAMES = 2000


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
    line = wire(rack.fabric, rack.downlink)
    frames = damaged_frames(rack.fabric.mac(rack.downlink), rack.host.mac("uplink"), "10.65.1.1", "fd00:65:1::1")
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
