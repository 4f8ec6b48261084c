"""Sessions and the link below them: BFD, IPv4 routes over IPv6 next hops, next hops behind others.

SPDX-License-Identifier: Apache-2.0
"""

import signal

import pytest
from network import link_local
from peers import Bird, Frr, Gobgp, Neighbor
from rack import FABRIC, ROUTER, Rack
from zebra import Bfdd

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


FAMILIES = (4, 6)
OUTSIDE6, TARGET6 = "fd01::/32", "fd01::1"


def told_pair(router, peer, prefix):
    """The next hop of an IPv6 route told to the peer: the global address and, if there is one, the link-local."""
    row = next((row for row in router.ask("bgp", "routes", "--advertised", peer) if row["prefix"] == prefix), {})
    return [row[key] for key in ("next_hop", "next_hop_link_local") if row.get(key)]


@pytest.mark.parametrize("over", FAMILIES, ids=["ipv4", "ipv6"])
@pytest.mark.parametrize("kind", [Bird, Frr, Gobgp])
def test_next_hop_has_its_link_local_address_beside_it(rack, make_peer, kind, over):
    """RFC 2545 3.  FRR leads packets there, BIRD to the global one; GoBGP keeps that only."""
    rack.fabric.add_address("lo", f"{TARGET6}/128")
    configure(rack, over, next_hop6=ROUTER[6])
    session = Neighbor(ROUTER[over], OWN_AS, families=FAMILIES)
    hops = {6: FABRIC[6]} if kind is Frr else FABRIC
    peer = make_peer(kind, rack.fabric, OTHER_AS, FABRIC[4], [session], [OUTSIDE6], next_hops=hops, install=True)
    peer.start()
    workload = rack.workload(1)
    own, guest = workload.addresses[1], rack.veth_guest(workload)
    pair = [ROUTER[6], link_local(rack.host.mac("uplink"))]
    rack.start()
    rack.router.wait_route(OUTSIDE6, FABRIC[6], 20)
    peer.wait_route(own, ROUTER[6], 20)
    assert told_pair(rack.router, FABRIC[over], own) == pair
    assert " ".join(pair) in rack.router.ctl("bgp", "routes", "--advertised", FABRIC[over])
    if kind is Gobgp:
        rack.fabric.add_route(own, ROUTER[6])
    else:
        assert peer.next_hops_of(own) == pair
        followed = pair[kind is Frr]
        rack.router.wait(lambda: rack.fabric.routes(6).get(workload.address[6]) == [followed], 20, "the fabric follows")
    guest.wait_reaches(TARGET6, 20)
    assert peer.established(ROUTER[over])


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


def test_next_hop_is_global_alone_over_several_hops(rack, far, make_peer):
    neighbor = {"address": FAR[6], "as": OTHER_AS, "ttl": 64, "next_hop6": ROUTER[6]}
    rack.router.set_bgp(OWN_AS, ROUTER[4], [neighbor])
    session = Neighbor(ROUTER[6], OWN_AS, families=(6,), multihop=True)
    session.local = FAR[6]
    peer = make_peer(Bird, far, OTHER_AS, FAR[4], [session]).start()
    own = rack.workload(1).addresses[1]
    rack.veth_guest(rack.workload(1))
    rack.start()
    rack.router.wait(lambda: told_pair(rack.router, FAR[6], own) == [ROUTER[6]], 30, "the peer is told")
    peer.process.wait_for(lambda: peer.next_hops_of(own) == [ROUTER[6]], 20, "the peer has it")


@pytest.mark.parametrize("kind", [Bird, Frr])
def test_reflector_keeps_the_pair_on_one_link(network, make_router, make_peer, kind):
    """No data plane, all three on one link: its own routes have its own pair, those of a client the client's."""
    wire, *spaces = (network.namespace(name) for name in ("wire", "reflector", "announcer", "learner"))
    wire.sh("ip", "link", "add", "br0", "type", "bridge")
    wire.sh("ip", "link", "set", "br0", "up")
    for number, space in enumerate(spaces, start=1):
        network.link(wire, f"port{number}", space, "eth0")
        wire.sh("ip", "link", "set", f"port{number}", "master", "br0")
        space.add_address("eth0", f"fd00:9::{number}/64")
    here, there, learner_there = spaces
    pairs = [[f"fd00:9::{number}", link_local(space.mac("eth0"))] for number, space in enumerate(spaces, start=1)]
    router = make_router(here, "reflector", dataplane="none")
    for key in ("eal", "workers", "ports", "workloads", "datastore"):
        router.config.pop(key)
    client = {"as": OWN_AS, "export": "all", "route_reflector_client": True}
    clients = [{"address": address, **client} for address, _ in pairs[1:]]
    router.set_bgp(OWN_AS, "10.0.0.1", clients)
    router.config["bgp"]["announce"] = ["fd00:66::/48"]
    session = Neighbor(pairs[0][0], OWN_AS)
    make_peer(Bird, there, OWN_AS, "10.0.0.2", [session], [OUTSIDE6]).start()
    learner = make_peer(kind, learner_there, OWN_AS, "10.0.0.3", [session]).start()
    router.start()
    for prefix, pair in (("fd00:66::/48", pairs[0]), (OUTSIDE6, pairs[1])):
        learner.wait_route(prefix, pair[0], 30)
        assert learner.next_hops_of(prefix) == pair
        assert told_pair(router, pairs[2][0], prefix) == pair
    # One that changes, goes and comes back is told to whom it was told before; sessions stay.
    for own in ("fe80::77", None, "fe80::78"):
        here.sh("ip", "-6", "address", "flush", "dev", "eth0", "scope", "link")
        if own:
            here.sh("ip", "address", "add", f"{own}/64", "dev", "eth0", "nodad")
        pair = [address for address in (pairs[0][0], own) if address]
        router.wait(lambda: told_pair(router, pairs[2][0], "fd00:66::/48") == pair, 20, f"{pair} is told")
        learner.process.wait_for(lambda: learner.next_hops_of("fd00:66::/48") == pair, 20, f"{pair} is heard")
    assert [row["sessions"] for row in router.show("bgp")] == [1, 1]


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
