"""What the fabric and guests may send without disturbing anything: a counter rises, all else goes on.

SPDX-License-Identifier: Apache-2.0
"""

import random

import pytest
from process import wait_for
from rack import FABRIC, ROUTER
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import (
    ICMPv6EchoRequest,
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6ND_RA,
    ICMPv6TimeExceeded,
    IPv6,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
)
from scapy.layers.l2 import ARP, Dot1Q, Ether, LLC, SNAP
from scapy.packet import Raw
from stream import Stream

# Counts every packet of a stream: what else runs on a small machine would cost some.
pytestmark = pytest.mark.alone

BROADCAST = "ff:ff:ff:ff:ff:ff"
STRANGER = "02:00:00:00:99:99"


class Place:
    """Where frames are sent from: addresses of both ends, and the link's."""

    def __init__(self, source_mac, router_mac, source, target):
        self.source_mac, self.router_mac = source_mac, router_mac
        self.source, self.target = source, target

    def ether(self, **fields):
        return Ether(**{"src": self.source_mac, "dst": self.router_mac, **fields})

    def ip(self, **fields):
        return self.ether() / IP(**{"src": self.source[4], "dst": self.target[4], **fields})

    def ip6(self, **fields):
        return self.ether() / IPv6(**{"src": self.source[6], "dst": self.target[6], **fields})


def cut(frame, length):
    """The first bytes of a frame after its Ethernet header."""
    return bytes(frame)[: 14 + length]


# name: (frame, the reason that counts it).  No reason: answered, ignored or forwarded, as it may be.
MALFORMED = {
    "sent by a group address": (lambda p: p.ether(src="03:00:00:00:00:01") / p.ip()[IP] / UDP(), None),
    "to another station": (lambda p: p.ether(dst=STRANGER) / p.ip()[IP] / UDP(), "other_mac"),
    "unknown ethertype": (lambda p: p.ether(type=0x88B5) / b"x", "unknown_ethertype"),
    "spanning tree": (lambda p: p.ether(type=38) / LLC() / b"stp", "unknown_ethertype"),
    "snap": (lambda p: p.ether(type=40) / LLC() / SNAP() / b"x", "unknown_ethertype"),
    "VLAN tag": (lambda p: p.ether() / Dot1Q(vlan=7) / p.ip()[IP] / UDP(), "unknown_ethertype"),
    "IPv4 without a header": (lambda p: cut(p.ip() / UDP(), 0), "malformed_ip"),
    "IPv4 header cut": (lambda p: cut(p.ip() / UDP(), 19), "malformed_ip"),
    "IPv4 of version 5": (lambda p: p.ip(version=5) / UDP(), "malformed_ip"),
    "IPv4 header of 16 bytes": (lambda p: p.ip(ihl=4) / UDP(), "malformed_ip"),
    "IPv4 header longer than the packet": (lambda p: p.ip(ihl=15, len=28) / UDP(), "malformed_ip"),
    "IPv4 length beyond the frame": (lambda p: p.ip(len=1400) / UDP(), "malformed_ip"),
    "IPv4 length below the header": (lambda p: p.ip(len=19) / UDP(), "malformed_ip"),
    "IPv4 checksum": (lambda p: p.ip(chksum=1) / UDP(), "bad_checksum"),
    "IPv4 from loopback": (lambda p: p.ip(src="127.0.0.1") / UDP(), "martian_address"),
    "IPv4 to loopback": (lambda p: p.ip(dst="127.0.0.1") / UDP(), "martian_address"),
    "IPv4 from a group": (lambda p: p.ip(src="224.0.0.9") / UDP(), "martian_address"),
    "IPv4 to nowhere": (lambda p: p.ip(dst="0.0.0.0") / UDP(), "martian_address"),
    "IPv4 to a group": (lambda p: p.ip(dst="224.0.1.9") / UDP(), "multicast"),
    "IPv4 to all": (lambda p: p.ip(dst="255.255.255.255") / UDP(), "multicast"),
    "IPv6 header cut": (lambda p: cut(p.ip6() / UDP(), 39), "malformed_ip"),
    "IPv6 of version 4": (lambda p: p.ip6(version=4) / UDP(), "malformed_ip"),
    "IPv6 length beyond the frame": (lambda p: p.ip6(plen=1400) / UDP(), "malformed_ip"),
    "IPv6 from loopback": (lambda p: p.ip6(src="::1") / UDP(), "martian_address"),
    "IPv6 from a group": (lambda p: p.ip6(src="ff02::1") / UDP(), "martian_address"),
    "IPv6 to nowhere": (lambda p: p.ip6(dst="::") / UDP(), "martian_address"),
    "IPv6 to a group": (lambda p: p.ip6(dst="ff05::9") / UDP(), "multicast"),
    "IPv6 extension header cut": (lambda p: p.ip6(nh=0) / b"\x11\x09\0\0\0\0\0\0", {"malformed_ip", "malformed_l4"}),
    "IPv6 chain of headers without end": (
        lambda p: p.ip6(nh=0) / Raw(b"\0\0\1\4\0\0\0\0" * 150),
        {"malformed_ip", "malformed_l4"},
    ),
    "TCP header cut": (lambda p: p.ip(proto=6) / b"\0\x50\0\x50", "malformed_l4"),
    "TCP header of 16 bytes": (lambda p: p.ip() / TCP(dataofs=4), "malformed_l4"),
    "TCP options beyond the packet": (lambda p: p.ip() / TCP(dataofs=15), "malformed_l4"),
    "UDP header cut": (lambda p: p.ip6(nh=17) / b"\0\x50", "malformed_l4"),
    "UDP length of 7": (lambda p: p.ip() / UDP(len=7), "malformed_l4"),
    "UDP length beyond the packet": (lambda p: p.ip6() / UDP(len=999), "malformed_l4"),
    "ICMP header cut": (lambda p: p.ip(proto=1) / b"\x08", "malformed_l4"),
    # Of IPv4 fragments this driver sees nothing: net_af_packet has the kernel put them together.
    "IPv6 fragment over a TCP header": (
        lambda p: p.ip6() / IPv6ExtHdrFragment(id=78, nh=6, offset=1) / (b"\0" * 24),
        "fragment_overlap",
    ),
    "IPv6 fragment without its first": (
        lambda p: p.ip6() / IPv6ExtHdrFragment(id=77, nh=17, offset=90) / (b"\0" * 24),
        "fragment_orphan",
    ),
    "SYN-ACK of no connection": (lambda p: p.ip() / TCP(flags="SA", sport=80, dport=999), "flow_invalid"),
    "RST of no connection": (lambda p: p.ip6() / TCP(flags="R", sport=80, dport=999), "flow_invalid"),
    "ICMP error about no connection": (
        lambda p: p.ip() / ICMP(type=11) / IP(src=p.target[4], dst=p.source[4]) / UDP(sport=7, dport=7),
        "flow_invalid",
    ),
    "ICMPv6 error about no connection": (
        lambda p: p.ip6() / ICMPv6TimeExceeded() / IPv6(src=p.target[6], dst=p.source[6]) / UDP(sport=7, dport=7),
        "flow_invalid",
    ),
    "ICMP error about nothing": (lambda p: p.ip() / ICMP(type=3, code=4), {"flow_invalid", "malformed_l4"}),
    "TTL of 1": (lambda p: p.ip(ttl=1) / UDP(), "hop_limit"),
    "hop limit of 1": (lambda p: p.ip6(hlim=1) / UDP(), "hop_limit"),
    "hop limit of 0": (lambda p: p.ip6(hlim=0) / UDP(), "hop_limit"),
    "routing header": (lambda p: p.ip6() / IPv6ExtHdrRouting(type=0, addresses=["fd00::9"] * 3) / UDP(), None),
    "hop-by-hop option": (lambda p: p.ip6() / IPv6ExtHdrHopByHop() / UDP(), None),
    "IPv4 options": (lambda p: p.ip(options=b"\x94\x04\0\0") / UDP(), None),
    "source route": (lambda p: p.ip(options=b"\x83\x07\x04\x0a\x0b\x0c\x0d\0") / UDP(), None),
    "empty packet": (lambda p: p.ip(proto=253), None),
    "ARP cut": (lambda p: cut(p.ether(dst=BROADCAST) / ARP(), 20), None),
    "ARP of another hardware": (lambda p: p.ether(dst=BROADCAST) / ARP(hwtype=6), None),
    "ARP operation 99": (lambda p: p.ether() / ARP(op=99, pdst=p.target[4]), None),
    "ARP by a group address": (lambda p: p.ether() / ARP(op=2, hwsrc="ff:ff:ff:ff:ff:ff", psrc=p.source[4]), None),
    "ARP about the router's own address": (
        lambda p: p.ether(dst=BROADCAST) / ARP(op=2, hwsrc=p.source_mac, psrc=ROUTER[4]),
        None,
    ),
    "solicitation from far away": (
        lambda p: p.ip6(dst="ff02::1:ff00:1", hlim=64) / ICMPv6ND_NS(tgt="fe80::1"),
        None,
    ),
    "solicitation with an option of length 0": (
        lambda p: p.ip6(dst="ff02::1:ff00:1", hlim=255) / ICMPv6ND_NS(tgt="fe80::1") / b"\1\0\2\0\0\0\0\1",
        None,
    ),
    "advertisement for the router's own address": (
        lambda p: p.ip6(dst="ff02::1", hlim=255) / ICMPv6ND_NA(tgt=ROUTER[6]) / b"\2\1\2\0\0\0\0\1",
        None,
    ),
    "router advertisement": (lambda p: p.ip6(dst="ff02::1", hlim=255) / ICMPv6ND_RA(), None),
    "echo to all": (lambda p: p.ip6(dst="ff02::1", hlim=255) / ICMPv6EchoRequest(), None),
}

FROM_GUEST = {
    "another's IPv4 address": (lambda p: p.ip(src="10.65.1.9") / UDP(), "spoofed_address"),
    "another's IPv6 address": (lambda p: p.ip6(src="fd00:65:1::9") / UDP(), "spoofed_address"),
    "another's MAC address": (lambda p: p.ether(src=STRANGER) / p.ip()[IP] / UDP(), "spoofed_mac"),
    "VXLAN": (lambda p: p.ip() / UDP(dport=4789) / b"vxlan", "tunnel_denied"),
    "IP in IP": (lambda p: p.ip(proto=4) / IP() / UDP(), "tunnel_denied"),
    "ARP for another": (
        lambda p: p.ether(dst=BROADCAST) / ARP(op=2, hwsrc=STRANGER, psrc="10.65.1.9"),
        None,
    ),
}

@pytest.fixture
def street(rack, wire):
    """(rack, guest, from the fabric, from the guest): both sides as (Wire, Place)."""
    workload = rack.workload(1)
    guest = rack.veth_guest(workload)
    bystander = rack.veth_guest(rack.workload(2))
    rack.start()
    for family in (4, 6):
        guest.wait_reaches(FABRIC[family])
    mac = rack.fabric.mac(rack.downlink)
    fabric = Place(mac, rack.host.mac("uplink"), FABRIC, workload.address)
    inside = Place(workload.mac, rack.router_mac(guest.namespace), workload.address, FABRIC)
    stream = Stream(bystander.namespace, rack.fabric, FABRIC[4])
    return {
        "fabric": (wire(rack.fabric, rack.downlink), fabric),
        "guest": (wire(guest.namespace, "eth0"), inside),
        "stream": stream,
    }


def settled_drops(router, line, place):
    """The counters after everything that was sent before."""
    fence = "unknown_ethertype"
    before = router.drops().get(fence, 0)
    line.send(place.ether(type=0x88B6) / b"fence")
    wait_for(lambda: router.drops().get(fence, 0) > before, 5, "the last frame is counted")
    return router.drops()


def check_counted(router, line, place, table):
    """Each frame of the table raises the counter of its reason, and no other."""
    wrong = []
    for name, (build, reasons) in table.items():
        reasons = {reasons} if isinstance(reasons, str) else reasons
        before = settled_drops(router, line, place)
        line.send(build(place))
        if not reasons:
            continue
        risen = set()

        def counted():
            risen.update(reason for reason, count in router.drops().items() if count > before.get(reason, 0))
            return risen

        try:
            wait_for(counted, 1, name)
        except AssertionError:
            pass
        if not risen or not risen <= reasons:
            wrong.append(f"{name}: counted as {risen or 'nothing'}, wanted {reasons}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("side", ["fabric", "guest"])
def test_malformed_frames_are_counted_and_disturb_nobody(rack, street, side):
    line, place = street[side]
    table = dict(MALFORMED)
    if side == "guest":
        table.update(FROM_GUEST)
    with street["stream"] as stream:
        check_counted(rack.router, line, place, table)
        stream.wait_more()
    assert not stream.lost
    for family in (4, 6):
        wait_for(lambda: rack.fabric_reaches(rack.workload(1).address[family]), 5, "the guest is reached")
        wait_for(lambda: rack.fabric_reaches(ROUTER[family]), 5, "the router answers pings")


def damaged(place, count):
    """Real packets with random bytes changed and random lengths, the same in each run."""
    chance = random.Random(7)
    seeds = [
        place.ip() / ICMP(),
        place.ip() / TCP(dport=80),
        place.ip6() / TCP(dport=80),
        place.ip6() / IPv6ExtHdrFragment() / UDP(),
        place.ip6(dst="ff02::1:ff00:1", hlim=255) / ICMPv6ND_NS(tgt="fe80::1") / b"\1\1\2\0\0\0\0\1",
        place.ether() / ARP(pdst=place.target[4]),
    ]
    seeds = [bytes(seed) for seed in seeds]
    for _ in range(count):
        frame = bytearray(chance.choice(seeds))
        for _ in range(chance.randrange(1, 6)):
            frame[chance.randrange(12, len(frame))] = chance.randrange(256)
        yield bytes(frame[: chance.randrange(14, len(frame) + 1)])


@pytest.mark.parametrize("side", ["fabric", "guest"])
def test_damaged_frames_disturb_nobody(rack, street, side):
    line, place = street[side]
    with street["stream"] as stream:
        frames = damaged(place, 3000)
        while chunk := [frame for frame, _ in zip(frames, range(100))]:
            line.send(*chunk)
            stream.wait_more(5)
    assert not stream.lost
    assert sum(rack.router.drops().values()) > 500
    for family in (4, 6):
        wait_for(lambda: rack.fabric_reaches(rack.workload(1).address[family]), 5, "the guest is reached")


def test_flood_of_questions_leaves_the_others_their_packets(rack, street):
    """ARP, ND, echoes and expired packets to the control thread, more than it answers."""
    line, place = street["guest"]
    burst = [
        place.ether(dst=BROADCAST) / ARP(hwsrc=place.source_mac, psrc=place.source[4], pdst="10.65.1.200"),
        place.ip(ttl=1) / UDP(),
        place.ip6(hlim=1) / UDP(),
        place.ip6(dst="ff02::1:ff00:1", hlim=255) / ICMPv6ND_NS(tgt="fe80::1") / b"\1\1\2\0\0\0\0\1",
        *(place.ip(dst=f"192.0.2.{host}") / UDP() for host in range(20, 60)),
    ]
    burst = [bytes(frame) for frame in burst]
    with street["stream"] as stream:
        for _ in range(100):
            line.send(*burst)
        stream.wait_more(20)
        assert rack.router.answers()
    assert not stream.lost
    assert rack.fabric_reaches(ROUTER[4], 3)
