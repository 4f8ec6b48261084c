"""Graceful restart: what one side's absence costs the traffic, and for how long.

SPDX-License-Identifier: Apache-2.0
"""

import pathlib
import signal
import socket

import pytest
from peers import Bird, Frr, Gobgp, Neighbor
from process import PATIENCE, wait_for
from rack import FABRIC, ROUTER, Rack
from reflector_lab import CLIENTS, REFLECTOR, Lab, block
from resources import resource
from stream import Stream
from wire import inside

# Where every packet of a stream is counted, what else runs on a small machine would cost some.
alone = pytest.mark.alone

OUTSIDE = {4: "172.16.0.0/16", 6: "fd01::/32"}
TARGET = {4: "172.16.0.1", 6: "fd01::1"}
KINDS = [Bird, Frr, Gobgp]
OWN_AS, OTHER_AS = 64512, 65000
BFD = {"transmit_ms": 500, "receive_ms": 500, "multiplier": 5}
FAMILIES = (4, 6)


@pytest.fixture
def rack(network, directory, make_router):
    """Its fabric has addresses that only a learnt route leads to."""
    rack = Rack(network, directory, make_router, routes=False)
    rack.fabric.add_address("lo", "172.16.0.1/32", "fd01::1/128")
    return rack


def begin(rack, make_peer, kind, restart_time=20, long_lived=0, there=None, **options):
    """Router, guest and peer with a session, `there` more of its end; the way back to the guest is static."""
    neighbor = {"address": FABRIC[4], "as": OTHER_AS, "next_hop4": ROUTER[4], "next_hop6": ROUTER[6], "passive": True}
    rack.router.set_bgp(OWN_AS, ROUTER[4], [{**neighbor, **options}])
    times = {"restart_time": restart_time, "long_lived": long_lived}
    session = Neighbor(ROUTER[4], OWN_AS, families=FAMILIES, **times, **(there or {}))
    peer = make_peer(kind, rack.fabric, OTHER_AS, FABRIC[4], [session], OUTSIDE.values(), next_hops=FABRIC)
    peer.start()
    guest = rack.veth_guest(rack.workload(1))
    for family, prefix in zip(FAMILIES, rack.workload(1).addresses):
        rack.fabric.add_route(prefix, ROUTER[family])
    rack.start()
    for family in FAMILIES:
        rack.router.wait_route(OUTSIDE[family], FABRIC[family])
        guest.wait_reaches(TARGET[family])
    return peer, guest


def session(rack):
    return rack.router.show("bgp", FABRIC[4])[0]


def wait_back(rack, sessions=2):
    def back():
        now = session(rack)
        families = (now["ipv4"], now["ipv6"])
        return now["sessions"] == sessions and all(f["end_of_rib_received"] for f in families)

    wait_for(back, 30, "the peer is back and has said all")


def expect_nothing_lost(rack, *streams):
    """Where something is, says when in the stream, and what the router knows of it."""
    losses = [f"{len(s.lost)} of {s.sent}, {s.lost[0]} to {s.lost[-1]}" for s in streams if s.lost]
    assert not losses, (losses, rack.router.show("drops"), rack.router.show("ports"), rack.router.log[-4000:])


@alone
@pytest.mark.parametrize("kind", KINDS)
def test_no_packet_is_lost_while_the_peer_restarts(rack, make_peer, kind):
    peer, guest = begin(rack, make_peer, kind)
    with Stream(guest.namespace, rack.fabric, TARGET[4]) as stream:
        with Stream(guest.namespace, rack.fabric, TARGET[6]) as stream6:
            peer.process.kill()
            rack.router.wait(lambda: rack.router.bgp_state(FABRIC[4]) != "established", 5, "the peer is gone")
            assert set(OUTSIDE.values()) <= set(rack.router.routes()), "its routes are kept"
            stream.wait_more()
            peer.start(returning=True)
            wait_back(rack)
            stream.wait_more()
            stream6.wait_more()
    expect_nothing_lost(rack, stream, stream6)
    assert set(OUTSIDE.values()) <= set(rack.router.routes())


@pytest.mark.parametrize("kind", KINDS)
def test_what_the_peer_does_not_say_again_goes(rack, make_peer, kind):
    peer, _ = begin(rack, make_peer, kind)
    peer.process.kill()
    peer.networks.remove(OUTSIDE[4])
    peer.start(returning=True)
    rack.router.wait_no_route(OUTSIDE[4], 30)
    wait_back(rack)
    assert OUTSIDE[6] in rack.router.routes()


def test_routes_of_a_peer_that_stays_away_go_in_time(rack, make_peer):
    """The peer asks for 20 seconds; the router grants fewer."""
    peer, _ = begin(rack, make_peer, Bird, stale_time=6 * PATIENCE)
    peer.process.kill()
    rack.router.wait(lambda: rack.router.bgp_state(FABRIC[4]) != "established", 20, "the peer is gone")
    assert set(OUTSIDE.values()) <= set(rack.router.routes())
    for prefix in OUTSIDE.values():
        rack.router.wait_no_route(prefix, 30)


@pytest.mark.parametrize("kind", [Bird, Gobgp])
def test_routes_of_one_family_alone_are_kept(rack, make_peer, kind):
    """FRR keeps to all families or none."""
    peer, _ = begin(rack, make_peer, kind, there={"restart_families": (4,)})
    peer.process.kill()
    rack.router.wait_no_route(OUTSIDE[6], 20)
    assert OUTSIDE[4] in rack.router.routes()
    peer.start(returning=True)
    rack.router.wait_route(OUTSIDE[6], FABRIC[6], 30)
    assert OUTSIDE[4] in rack.router.routes()


@pytest.mark.parametrize("kind", [Bird, Gobgp])
def test_routes_of_a_peer_that_goes_twice_go(rack, make_peer, kind):
    """It was back, but had said nothing yet: it waits for a third one, who does not come.  FRR waits for nobody."""
    peer, _ = begin(rack, make_peer, kind, restart_time=60)
    peer.process.kill()
    peer.neighbors.append(Neighbor("192.0.2.99", 65009, families=FAMILIES, restart_time=60))
    peer.start(returning=True)
    rack.router.wait(lambda: session(rack)["sessions"] == 2, 30, "the peer is back")
    assert not session(rack)["ipv4"]["end_of_rib_received"]
    assert set(OUTSIDE.values()) <= set(rack.router.routes()), "kept until it has said all"
    peer.process.kill()
    for prefix in OUTSIDE.values():
        rack.router.wait_no_route(prefix, 20)


def test_router_whose_data_plane_was_away_does_not_claim_to_have_forwarded(rack, make_peer):
    """RFC 4724 4.1: it comes back, but without the forwarding bit, and what FRR kept goes though nobody withdraws it.

    BIRD keeps nothing of a session that its hold time ends; RFC 8538 does.
    """
    own, other = rack.workload(1).addresses[0], rack.workload(2)
    rack.router.put(other.endpoint())
    peer, _ = begin(rack, make_peer, Frr, restart_time=60, graceful_restart="full", hold_time=3)
    for prefix in (own, other.addresses[0]):
        peer.wait_route(prefix, seconds=20)
    rack.router.kill()
    wait_for(lambda: not peer.established(ROUTER[4]), 20, "the router is away")
    assert {own, other.addresses[0]} <= set(peer.routes()), "kept while it is away"
    rack.router.remove(other.endpoint())
    rack.start()
    peer.wait_established(ROUTER[4], 30)
    assert "IPv4 Unicast(not preserved)" in peer.ask(f"show bgp neighbors {ROUTER[4]}")
    peer.wait_no_route(other.addresses[0])
    peer.wait_route(own, seconds=20)


@alone
@pytest.mark.parametrize("kind", KINDS)
def test_no_packet_is_lost_while_our_own_control_part_restarts(rack, make_peer, kind):
    """BIRD's routes are the way back to the guest, and it watches us by BFD; FRR's are only looked at.

    A neighbor that is not there is not waited for, or the second restart would be refused for a minute.
    """
    installs = kind is Bird
    neighbor = {"address": FABRIC[4], "as": "external", "next_hop4": ROUTER[4], "graceful_restart": "full"}
    if installs:
        neighbor["bfd"] = BFD
    absent = {"address": "192.0.2.99", "as": "external", "graceful_restart": "full"}
    rack.router.set_bgp(OWN_AS, ROUTER[4], [neighbor, absent])
    session_there = Neighbor(ROUTER[4], OWN_AS, restart_time=60, bfd=installs)
    peer = make_peer(kind, rack.fabric, OTHER_AS, FABRIC[4], [session_there], [OUTSIDE[4]], install=installs)
    peer.start()
    workload = rack.workload(1)
    own, guest = workload.addresses[0], rack.veth_guest(workload)
    if not installs:
        rack.fabric.add_route(own, ROUTER[4])
    rack.start()
    rack.router.wait_route(OUTSIDE[4], FABRIC[4])
    peer.wait_route(own, seconds=20)
    if installs:
        rack.router.wait(lambda: rack.fabric.routes().get(workload.address[4]), 20, "the fabric follows it")
    guest.wait_reaches(TARGET[4])
    if installs:
        rack.router.wait_log(f"bgp {FABRIC[4]}: BFD up", 30)
    before = session(rack)["bfd"]["local_discriminator"] if installs else 0
    with Stream(guest.namespace, rack.fabric, TARGET[4]) as out:
        with Stream(rack.fabric, guest.namespace, workload.address[4]) as back:
            for _ in range(2):
                rack.router.ctl("bgp", "restart")
                assert own in peer.routes(), "kept by the peer"
                assert OUTSIDE[4] in rack.router.routes(), "kept here"
                rack.router.wait(lambda: session(rack)["ipv4"]["end_of_rib_received"], 30, "the peer has said all")
                out.wait_more()
                back.wait_more()
    assert out.lost == [] and back.lost == []
    assert session(rack)["remote_asn"] == OTHER_AS
    if installs:
        bfd = session(rack)["bfd"]
        assert (bfd["local_discriminator"], bfd["ups"]) == (before, 1), "one session of BFD all the time"
    assert own in peer.routes() and OUTSIDE[4] in rack.router.routes()
    peer.networks.remove(OUTSIDE[4])
    peer.stop()
    peer.start()
    rack.router.wait_no_route(OUTSIDE[4], 30)


@alone
def test_no_packet_is_lost_where_a_resource_says_so(rack, make_peer):
    """`maxRestartTime` of a BGPPeer: BIRD, whose routes are the way back to the guest, keeps ours meanwhile."""
    spec = {"peerIP": FABRIC[4], "asNumber": OTHER_AS, "maxRestartTime": "1m"}
    rack.router.set_bgp(OWN_AS, ROUTER[4], {})
    rack.router.put(resource("BGPPeer", "fabric", spec))
    there = Neighbor(ROUTER[4], OWN_AS, restart_time=60)
    peer = make_peer(Bird, rack.fabric, OTHER_AS, FABRIC[4], [there], [OUTSIDE[4]], install=True).start()
    workload = rack.workload(1)
    own, guest = workload.addresses[0], rack.veth_guest(workload)
    rack.start()
    rack.router.wait_route(OUTSIDE[4], FABRIC[4])
    rack.router.wait(lambda: rack.fabric.routes().get(workload.address[4]), 20, "the fabric follows it")
    guest.wait_reaches(TARGET[4])
    assert not rack.router.ask("get", "bgppeer", "fabric")[0]["problem"]
    assert rack.router.ask("bgp", "graceful-restart")[0]["restart"]["our_time_seconds"] == 60
    with Stream(guest.namespace, rack.fabric, TARGET[4]) as out:
        with Stream(rack.fabric, guest.namespace, workload.address[4]) as back:
            rack.router.ctl("bgp", "restart")
            assert own in peer.routes(), "kept by the peer"
            assert OUTSIDE[4] in rack.router.routes(), "kept here"
            rack.router.wait(lambda: session(rack)["ipv4"]["end_of_rib_received"], 30, "the peer has said all")
            out.wait_more()
            back.wait_more()
    expect_nothing_lost(rack, out, back)
    assert own in peer.routes() and OUTSIDE[4] in rack.router.routes()
    rack.router.put(resource("BGPPeer", "fabric", {**spec, "maxRestartTime": "2h"}))
    told = "maxRestartTime: 4095 s is the most that there is"
    rack.router.wait(lambda: rack.router.ask("get", "bgppeer", "fabric")[0].get("problem") == told, 10, told)


def is_marked(communities):
    return "llgr-stale" in communities


def test_routes_of_a_peer_long_gone_are_the_last_resort(rack, make_peer):
    """RFC 9494: after the restart time they are marked, but lead there still, until the peer is back."""
    peer, guest = begin(rack, make_peer, Bird, restart_time=2, long_lived=600, long_lived_time=600)
    peer.process.kill()

    def marked(wanted):
        rows = [row for row in rack.router.ask("bgp", "routes") if row["prefix"] == OUTSIDE[4]]
        return bool(rows) and all(is_marked(row.get("communities", [])) == wanted for row in rows)

    rack.router.wait(lambda: marked(True), 40, "the route is marked")
    guest.wait_reaches(TARGET[4])
    shown = rack.router.ask("bgp", "graceful-restart")[0]["restart"]
    assert shown["long_lived_seconds"] == 600 and shown["forgotten_within_seconds"] > 0
    peer.start(returning=True)
    wait_back(rack)
    rack.router.wait(lambda: marked(False), 20, "the route is good again")
    guest.wait_reaches(TARGET[4])


LEARNT = ["172.16.0.0/16", "172.17.0.0/16"]


def start_reflector(network, make_router, make_peer, config=(), long_lived=0, learner=Bird, announcer=(Bird, 60)):
    """vrouterd without a data plane between two peers, one of which announces routes: (router, announcer, learner).

    `announcer`: what it is, and its restart time.
    """
    here, *spaces = (network.namespace(name) for name in ("reflector", "announcer", "learner"))
    router = make_router(here, "reflector", dataplane="none")
    for key in ("eal", "workers", "ports", "workloads", "datastore"):
        router.config.pop(key)
    router.set_bgp(OWN_AS, "10.0.0.1", [])
    peers = []
    for number, (space, networks) in enumerate(zip(spaces, (LEARNT, [])), start=1):
        own, address, asn = f"10.{number}.0.1", f"10.{number}.0.2", OTHER_AS + number
        network.link(here, f"down{number}", space, "up")
        here.add_address(f"down{number}", f"{own}/24")
        space.add_address("up", f"{address}/24")
        router.config["bgp"]["neighbors"].append({
            "address": address, "as": asn, "import": "all", "export": "all", "graceful_restart": "full",
            "next_hop": "self", "hold_time": 9, "connect_retry": 1, **dict(config),
        })  # fmt: skip
        kind, restart_time = (learner, 60) if number == 2 else announcer
        session = Neighbor(own, OWN_AS, restart_time=restart_time, long_lived=long_lived)
        peers.append(make_peer(kind, space, asn, address, [session], networks).start())
    router.start()
    for prefix in LEARNT:
        peers[1].wait_route(prefix, "10.2.0.1", 30)
    return router, *peers


def test_reflector_that_stays_away_long_is_the_last_resort(network, make_router, make_peer):
    """RFC 9494 with BIRD as the one that keeps."""
    config = {"restart_time": 2, "long_lived_time": 600}
    router, _, learner = start_reflector(network, make_router, make_peer, config, long_lived=600)

    def marked():
        return "(65535,6)" in learner.ask("show", "route", LEARNT[0], "all").replace(" ", "")

    assert not marked()
    router.kill()
    learner.process.wait_for(marked, 40, "the route is marked")
    router.start()
    learner.process.wait_for(lambda: not marked() and LEARNT[0] in learner.routes(), 40, "it is good again")


@pytest.mark.parametrize("kind", KINDS)
def test_reflector_that_stays_away_too_long_is_forgotten(network, make_router, make_peer, kind):
    """What it told goes with its restart time, and is there again with it."""
    router, _, learner = start_reflector(network, make_router, make_peer, {"restart_time": 2}, learner=kind)
    router.kill()
    for prefix in LEARNT:
        learner.wait_no_route(prefix)
    router.start()
    for prefix in LEARNT:
        learner.wait_route(prefix, "10.2.0.1", 30)


@alone
@pytest.mark.parametrize(
    "end, kind",
    [(signal.SIGUSR2, Bird), *((signal.SIGKILL, kind) for kind in KINDS)],
    ids=["told to come back", *(f"killed, {kind.__name__}" for kind in KINDS)],
)
def test_reflector_that_restarts_costs_nobody_a_route(network, make_router, make_peer, end, kind):
    """What it passed on stays while it is away, and what changed meanwhile is put right."""
    router, announcer, learner = start_reflector(network, make_router, make_peer, learner=kind)
    router.process.signal(end)
    router.process.child.wait(10 * PATIENCE)
    announcer.networks.remove(LEARNT[1])
    announcer.reconfigure()
    assert set(LEARNT) <= set(learner.routes()), "kept while it is away"
    router.start()

    def settled():
        routes = learner.routes()
        assert LEARNT[0] in routes, "never gone"
        return LEARNT[1] not in routes

    wait_for(settled, 40, "the learner has heard all")
    assert LEARNT[0] in learner.routes()


def test_reflector_that_restarts_does_not_wait_for_who_does_not(network, make_router, make_peer):
    """A GoBGP without graceful restart says no End-of-RIB: what the other peer kept is put right all the same."""
    router, announcer, learner = start_reflector(network, make_router, make_peer, announcer=(Gobgp, 0))
    router.kill()
    wait_for(lambda: "Established" not in learner.last_words(), 20, "the reflector is away")
    announcer.withdraw(LEARNT[1])
    assert set(LEARNT) <= set(learner.routes()), "kept while it is away"
    router.start()

    def settled():
        routes = learner.routes()
        assert LEARNT[0] in routes, "never gone"
        return LEARNT[1] not in routes

    wait_for(settled, 30, "the learner has heard all")


@pytest.fixture
def clients(network, directory, make_router, make_peer):
    """A reflector that announces a route, and a BGPPeer that asks its client to keep it."""
    lab = Lab(network, directory, make_router, make_peer)
    lab.router.config["bgp"] = {"announce": [OUTSIDE[4]]}
    node = {"ipv4Address": f"{REFLECTOR}/8", "asNumber": OWN_AS, "routeReflectorClusterID": "224.0.0.1"}
    lab.router.put(resource("Node", "reflector", {"bgp": node}))
    peer = resource("BGPPeer", "client", {"peerIP": CLIENTS[0], "asNumber": OWN_AS, "maxRestartTime": "1m"})
    return lab, peer


def start_client(lab):
    return lab.start_clients([(CLIENTS[0], {"text": "direct; graceful restart on;"})])[0]


def test_reflector_whose_clients_are_resources_returns(clients):
    """Which clients keep what it told, the datastore tells only after the start."""
    lab, peer = clients
    lab.router.put(peer)
    lab.router.start()
    client = start_client(lab)
    client.wait_route(OUTSIDE[4], seconds=20)
    lab.router.kill()
    client.process.wait_for(lambda: "Established" not in client.shown(), 20, "the reflector is away")
    assert OUTSIDE[4] in client.routes(), "kept while it is away"
    lab.router.start()

    def back():
        assert OUTSIDE[4] in client.routes(), "never gone"
        return "Established" in client.shown()

    wait_for(back, 40, "the reflector is back")
    assert "AF preserved: ipv4" in client.shown(), "what it told need not be forgotten"


def test_client_that_is_told_later_meets_no_return(clients):
    lab, peer = clients
    lab.router.start()
    lab.router.ctl("wait-ready", "--datastore")
    lab.router.put(peer)
    client = start_client(lab)
    client.wait_route(OUTSIDE[4], seconds=20)
    assert "Graceful restart" in client.shown()
    assert "AF preserved: ipv4" not in client.shown() and "Restart recovering" not in client.shown()


def test_restart_of_many_calls_nobody_who_was_shut_down(network, directory, make_router, make_peer):
    """Peers are made again in slices.  Of these only the first one listens."""
    lab = Lab(network, directory, make_router, make_peer)
    addresses = [f"10.20.0.{number}" for number in range(1, 251)]
    lab.there.add_address("down0", *(f"{address}/8" for address in addresses))
    lab.configure(neighbors=[{"address": address, "as": 65001, "connect_retry": 1} for address in addresses])
    with inside(lab.there), socket.create_server((addresses[0], 179)) as listening:
        listening.settimeout(PATIENCE * 10)
        lab.router.start()
        listening.accept()[0].close()
        lab.router.ctl("bgp", "shutdown", addresses[0])
        listening.setblocking(False)
        while True:  # who called before that
            try:
                listening.accept()[0].close()
            except BlockingIOError:
                break
        assert lab.router.ask("bgp", "restart")["count"] == len(addresses)
        listening.settimeout(1)
        with pytest.raises(TimeoutError):
            listening.accept()
    assert lab.rows()[addresses[0]]["shut_down"]


@pytest.mark.parametrize("restart", ["on", "off"], ids=["graceful clients", "plain clients"])
def test_reflector_waits_for_those_who_called(network, directory, make_router, make_peer, restart):
    """Clients of a range: told at the start, after `bgp restart` and after a crash, long before the restart time is over."""
    lab = Lab(network, directory, make_router, make_peer)
    clients = {"prefix": "10.99.0.0/16", "as": "internal", "graceful_restart": "full", "route_reflector_client": True}
    lab.configure(ranges=[clients])
    lab.router.config.pop("datastore")
    lab.router.start()
    one, _ = lab.start_clients([(address, {"text": f"graceful restart {restart};"}) for address in CLIENTS[:2]])

    def passes_on(network):
        """Of this the speaker that was there before cannot have told."""
        one.networks.append(network)
        one.reconfigure()
        lab.wait_sessions(2)
        told = {block(CLIENTS[0]), *one.networks}
        lab.router.wait(lambda: told <= lab.told(CLIENTS[1]), 8, f"the other client is told {network}")

    passes_on("10.78.1.0/24")
    lab.router.ctl("bgp", "restart")
    passes_on("10.78.2.0/24")
    lab.router.kill()
    lab.router.start()
    passes_on("10.78.3.0/24")


def test_reflector_waits_after_a_crash_for_who_calls_late(network, directory, make_router, make_peer):
    """Longer than for nobody new: a file says who was there.  At the first start nobody was."""
    lab = Lab(network, directory, make_router, make_peer)
    clients = {"prefix": "10.99.0.0/16", "as": "internal", "graceful_restart": "full", "route_reflector_client": True}
    lab.configure(ranges=[clients], announce=[OUTSIDE[4]])
    lab.router.config.pop("datastore")
    lab.router.start()
    late = {"text": "graceful restart on; connect delay time 14;"}
    one, _ = lab.start_clients([(CLIENTS[0], {"text": "direct; graceful restart on;"}), (CLIENTS[1], late)])
    one.wait_route(OUTSIDE[4], seconds=10)
    assert CLIENTS[1] not in lab.rows(), "told before the other one has called"
    lab.wait_sessions(2)
    remembered = pathlib.Path(f"{lab.router.control_socket}.callers")

    def knows_both():
        return remembered.exists() and all(address.encode() in remembered.read_bytes() for address in CLIENTS[:2])

    lab.router.wait(knows_both, 20, "the file names both")
    lab.router.kill()
    lab.router.start()
    assert set(CLIENTS[:2]) <= set(lab.rows()), "both are waited for"

    def told():
        routes = lab.told(CLIENTS[0])
        assert not routes or block(CLIENTS[1]) in routes, "nothing before the late one has said all"
        return routes

    lab.router.wait(told, 60, "all is told")
    assert OUTSIDE[4] in one.routes()
    assert lab.router.stop() == 0
    assert not remembered.exists(), "who goes with a word is kept by nobody"
