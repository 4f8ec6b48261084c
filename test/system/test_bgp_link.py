"""Sessions and the link below them: BFD, IPv4 routes over IPv6 next hops, next hops behind others.

SPDX-License-Identifier: Apache-2.0
"""

import signal

import pytest
from peers import Bfdd, Bird, Frr, Neighbor
from rack import FABRIC, ROUTER, Rack

OUTSIDE = "172.16.0.0/16"
TARGET = "172.16.0.1"
OWN_AS, OTHER_AS = 64512, 65000
BFD = {"transmit_ms": 200, "receive_ms": 200, "multiplier": 3}


@pytest.fixture
def rack(network, directory, make_router):
    return Rack(network, directory, make_router, routes=False)


def configure(rack, over, **options):
    rack.router.set_bgp(OWN_AS, ROUTER[4], [{"address": FABRIC[over], "as": OTHER_AS, **options}])


@pytest.mark.parametrize("kind", [Bird, Frr])
def test_ipv4_routes_lead_over_ipv6_next_hops(rack, make_peer, kind):
    """RFC 8950: the session and the next hop are IPv6, the packets IPv4."""
    rack.fabric.add_address("lo", f"{TARGET}/32")
    configure(rack, 6)
    session = Neighbor(ROUTER[6], OWN_AS, families=(4, 6))
    hops = {4: FABRIC[6], 6: FABRIC[6]} if kind is Bird else {6: FABRIC[6]}
    peer = make_peer(kind, rack.fabric, OTHER_AS, FABRIC[4], [session], [OUTSIDE], next_hops=hops)
    peer.start()
    guest = rack.veth_guest(rack.workload(1))
    rack.fabric.add_route(rack.workload(1).addresses[0], ROUTER[4])
    rack.start()
    rack.router.wait_route(OUTSIDE, FABRIC[6])
    guest.wait_reaches(TARGET)
    peer.wait_route(rack.workload(1).addresses[0])


@pytest.mark.parametrize("over", [4, 6], ids=["ipv4", "ipv6"])
@pytest.mark.parametrize("speaker", ["bird", "bfdd"])
def test_bfd_ends_the_session_of_a_dead_peer(rack, directory, cleanup, make_peer, speaker, over):
    """Long before the hold time, and only then: it comes back with the peer."""
    configure(rack, over, hold_time=90, bfd=BFD)
    session = Neighbor(ROUTER[over], OWN_AS, families=(4,), hold_time=90, bfd=speaker == "bird")
    peer = make_peer(Bird, rack.fabric, OTHER_AS, FABRIC[4], [session], [OUTSIDE], next_hops=FABRIC)
    peer.start()
    watched = peer
    if speaker == "bfdd":
        watched = Bfdd(rack.fabric, directory, [ROUTER[over]])
        cleanup.callback(watched.stop)
        watched.start()
    rack.start()
    rack.router.wait_route(OUTSIDE, FABRIC[4])
    rack.router.wait_log(f"bgp {FABRIC[over]}: BFD up", 30)
    watched.process.signal(signal.SIGSTOP)
    try:
        rack.router.wait_log("BFD down: nothing heard for the detection time", 20)
        rack.router.wait_log("BFD session down", 20)
    finally:
        watched.process.signal(signal.SIGCONT)
    rack.router.wait_route(OUTSIDE, FABRIC[4], 30)


FAR, MIDDLE = {4: "198.51.100.9", 6: "fd00:51::9"}, {4: "198.51.100.254", 6: "fd00:51::fe"}
FAR_NETWORKS = ["198.51.100.0/24", "fd00:51::/64"]


@pytest.fixture
def far(rack, network):
    """A host behind the fabric, two hops from the router: what happens on its link no interface of ours tells."""
    far = network.namespace("far")
    network.link(rack.fabric, "middle", far, "eth0")
    rack.fabric.write_sysctl("net/ipv6/conf/middle/keep_addr_on_down", 1)
    rack.router.config["host"]["routes"] = FAR_NETWORKS
    for family, prefix in zip((4, 6), FAR_NETWORKS):
        length = prefix.partition("/")[2]
        rack.fabric.add_address("middle", f"{MIDDLE[family]}/{length}")
        far.add_address("eth0", f"{FAR[family]}/{length}")
        far.add_route("default", MIDDLE[family])
        rack.router.add_route(prefix, FABRIC[family])
    return far


@pytest.mark.parametrize("over", [4, 6], ids=["ipv4", "ipv6"])
@pytest.mark.parametrize("speaker", ["bird", "bfdd"])
def test_bfd_follows_a_path_of_several_hops(rack, far, directory, cleanup, make_peer, speaker, over):
    """RFC 5883: a link behind the fabric is cut; the session ends long before the hold time, and comes back."""
    neighbor = {"address": FAR[over], "as": OTHER_AS, "ttl": 64, "hold_time": 90, "bfd": {**BFD, "multihop": True}}
    rack.router.set_bgp(OWN_AS, ROUTER[4], [neighbor])
    session = Neighbor(ROUTER[over], OWN_AS, families=(4,), hold_time=90, multihop=True)
    session.bfd, session.local = speaker == "bird", FAR[over]
    make_peer(Bird, far, OTHER_AS, FAR[4], [session], [OUTSIDE], next_hops=FAR).start()
    if speaker == "bfdd":
        bfdd = Bfdd(far, directory, [f"{ROUTER[over]} multihop local-address {FAR[over]}"])
        cleanup.callback(bfdd.stop)
        bfdd.start()
    rack.start()
    rack.router.wait_route(OUTSIDE, FAR[4], 30)
    rack.router.wait_log(f"bgp {FAR[over]}: BFD up", 30)
    rack.fabric.sh("ip", "link", "set", "middle", "down")
    rack.router.wait_log("BFD down: nothing heard for the detection time", 20)
    rack.router.wait_log("BFD session down", 20)
    rack.router.wait_no_route(OUTSIDE)
    rack.fabric.sh("ip", "link", "set", "middle", "up")
    rack.router.wait_route(OUTSIDE, FAR[4], 30)
    rack.router.wait(lambda: rack.router.show("bgp", FAR[over])[0]["bfd"]["ups"] == 2, 30, "BFD is up again")


TORS, REFLECTOR, LOOPBACK = ("192.0.2.253", "192.0.2.252"), "192.0.2.251", "10.255.0.9"


class Speaker(Bird):
    """BIRD on one address beside others; it tells the router of one network over `next_hop`."""

    def __init__(self, namespace, directory, address, asn, network, next_hop):
        own = directory / address
        own.mkdir()
        super().__init__(namespace, own, asn, address, [], [network])
        self.next_hop = next_hop

    def configuration(self):
        routes = " ".join(f"route {network} blackhole;" for network in self.networks)
        return f"""router id {self.router_id};
            protocol device {{ }}
            protocol static own {{ ipv4; {routes} }}
            protocol bgp session {{
              local {self.router_id} as {self.asn}; neighbor {ROUTER[4]} as {OWN_AS}; direct; strict bind;
              hold time 9; connect retry time 1; connect delay time 0; error wait time 1, 2;
              ipv4 {{ import none; export all; next hop address {self.next_hop}; }};
            }}
            """


def test_next_hop_behind_two_tors_follows_them(rack, make_peer):
    """A reflected route's next hop is a loopback that BGP itself tells of, over both ToRs."""
    rack.fabric.add_address("down1", *(f"{address}/24" for address in (*TORS, REFLECTOR)))
    rack.fabric.add_address("lo", f"{TARGET}/32")
    loopback = f"{LOOPBACK}/32"
    tors = [(tor, OTHER_AS + number) for number, tor in enumerate(TORS)]
    rack.router.set_bgp(OWN_AS, ROUTER[4], dict(tors) | {REFLECTOR: OWN_AS})
    make_peer(Speaker, rack.fabric, REFLECTOR, OWN_AS, OUTSIDE, LOOPBACK).start()
    speakers = [make_peer(Speaker, rack.fabric, tor, asn, loopback, tor).start() for tor, asn in tors]
    guest = rack.veth_guest(rack.workload(1))
    rack.fabric.add_route(rack.workload(1).addresses[0], ROUTER[4])
    rack.start()

    def tell(*which):
        for speaker in speakers:
            speaker.networks = [loopback] if speaker.router_id in which else []
            speaker.reconfigure()

    def leads_over(*which):
        rack.router.wait(lambda: rack.router.routes().get(loopback) == set(which), 20, f"a way over {which}")
        rack.router.wait_route(OUTSIDE, LOOPBACK)
        guest.wait_reaches(TARGET)

    leads_over(*TORS)
    tell(TORS[1])
    leads_over(TORS[1])
    tell()
    rack.router.wait_no_route(OUTSIDE)
    tell(*TORS)
    leads_over(*TORS)
