"""What the standards ask of a session, seen by BIRD, FRR and GoBGP: AS numbers, limits, TTLs, collisions, the mesh.

SPDX-License-Identifier: Apache-2.0
"""

import concurrent.futures
import socket
import struct

import pytest
from peers import Bird, Frr, Gobgp, Neighbor
from process import wait_for
from reflector_lab import AS, CLIENTS, REFLECTOR, Lab
from scripted_speaker import AS_PATH, AS_TRANS, KEEPALIVE, NEXT_HOP, NOTIFICATION, OPTIONAL, TRANSITIVE
from scripted_speaker import OPEN as SAY_OPEN
from scripted_speaker import ScriptedSpeaker, attribute, message, nlri, update
from wire import inside

ONE, TWO = CLIENTS[:2]
ORIGIN, AS4_PATH = 1, 17
WIDE_AS, OTHER_WIDE_AS = 4200000001, 4200000002
OPEN = {"import": "all", "export": "all", "connect_retry": 1}


@pytest.fixture
def lab(network, directory, make_router, make_peer):
    lab = Lab(network, directory, make_router, make_peer)
    lab.configure(neighbors=[])
    return lab


KINDS = [Bird, Frr, Gobgp]
PAIRS = [(f"10.99.0.{number}", f"10.99.4.{number}") for number in range(1, 51)]  # ours, theirs
PEERS_AS = 65001
HOP = "10.99.9.9"  # on the link, and nobody's
ROUTE, NETWORKS = "10.70.0.0/16", ["10.78.1.0/24", "10.78.2.0/24", "10.78.3.0/24"]


def start_sessions(lab, kind, sessions, networks=(), asn=PEERS_AS, more=(), policy=OPEN):
    """The router and one daemon; a session for each pair of what we and what it says of it, `more` are its own."""
    pairs = PAIRS[: len(sessions)]
    lab.here.add_address("up0", *(f"{own}/8" for own, _ in pairs[1:]))
    lab.there.add_address("down0", *(f"{address}/8" for _, address in pairs))
    neighbors, theirs = lab.router.config["bgp"]["neighbors"], list(more)
    for (own, address), (options, its) in zip(pairs, sessions):
        neighbors.append({"address": address, "source": own, "as": asn, **policy, **options})
        theirs.append(Neighbor(own, AS, local=address, **its))
    peer = lab.make_peer(kind, lab.there, asn, ONE, theirs, networks)
    lab.router.launch()
    peer.start()
    lab.router.wait_ready()
    return peer


@pytest.fixture
def scripted(lab, cleanup):
    """A speaker on address TWO, which tells of ROUTE, and has a session with us or one of them."""

    def make(asn, router=REFLECTOR, wide=True):
        if router == REFLECTOR:
            lab.router.config["bgp"]["neighbors"].append({"address": TWO, "as": asn, **OPEN})
        speaker = ScriptedSpeaker(lab.there, TWO, router, asn, wide)
        cleanup.callback(speaker.close)
        return speaker

    return make


def sequence(form, *numbers):
    """An AS_SEQUENCE of numbers of two octets (H) or four (I)."""
    return struct.pack(f"!BB{len(numbers)}{form}", 2, len(numbers), *numbers)


def announce(speaker, as_path, *more):
    """Once its session is there; the path as octets, `more`: attributes."""
    wait_for(speaker.established, 20, f"the session of {speaker}")
    hop = socket.inet_aton(HOP)
    attributes = [(TRANSITIVE, ORIGIN, b"\0"), (TRANSITIVE, AS_PATH, as_path), (TRANSITIVE, NEXT_HOP, hop), *more]
    speaker.send(update(b"".join(attribute(*each) for each in attributes), nlri(ROUTE)))


@pytest.mark.parametrize("kind", KINDS)
def test_own_as_behind_a_switch(lab, scripted, kind):
    """RFC 4271 9.1.2: a host there has our AS, so its routes are loops, unless we allow it or the switch overrides it.

    BIRD 2 overrides nothing, GoBGP tells no neighbor of a path in which it is.
    """
    sessions, wanted = [], []
    if kind is not Gobgp:
        sessions += [({}, {}), ({"allow_own_as": 1}, {})]
        wanted += [(f"65001 {AS}", "refused"), (f"65001 {AS}", "accepted")]
    if kind is not Bird:
        sessions += [({}, {"as_override": True})]
        wanted += [("65001 65001", "accepted")]
    host = scripted(AS, ONE)
    host_there = Neighbor(TWO, AS, local=ONE, passive=True, multihop=True)
    switch = start_sessions(lab, kind, sessions, more=[host_there])
    announce(host, sequence("I", AS))

    def heard():
        tables = [lab.router.ask("bgp", "routes", "--received", address) for _, address in PAIRS[: len(sessions)]]
        return [(row["as_path"], row["state"]) for table in tables for row in table if row["prefix"] == ROUTE]

    lab.router.wait(lambda: heard() == wanted, 20, f"the switch tells {wanted}")
    assert switch.as_path(ROUTE) == str(AS), "what we say of it is a loop there"


@pytest.mark.parametrize("kind", KINDS)
def test_we_override_the_as_of_racks(lab, scripted, kind):
    """Two racks of one AS hear of each other."""
    rack = scripted(PEERS_AS)
    lab.router.config["bgp"]["neighbors"][0]["as_override"] = True
    peer = start_sessions(lab, kind, [({"as_override": True}, {})], NETWORKS[:1])
    announce(rack, sequence("I", PEERS_AS))
    peer.process.wait_for(lambda: peer.as_path(ROUTE) == f"{AS} {AS}", 20, "it takes the other's route")

    def told():
        rack.pump()
        return rack.table.get(NETWORKS[0], {}).get(AS_PATH) == (TRANSITIVE, sequence("I", AS, AS).hex())

    wait_for(told, 20, "the other hears its route")


def test_speaker_of_two_octet_numbers(lab, scripted):
    """RFC 6793: AS4_PATH brings it the true path.

    GoBGP cannot leave that capability out.  FRR 8.4 can, with all others, but then reads no AS4_PATH and shows a
    path of `64512 0` for 64512 23456 23456.
    """
    new = scripted(WIDE_AS)
    old = start_sessions(lab, Bird, [({}, {"two_octets": True})])
    announce(new, sequence("I", WIDE_AS, OTHER_WIDE_AS))
    path = f"{AS} {WIDE_AS} {OTHER_WIDE_AS}"
    old.process.wait_for(lambda: old.as_path(ROUTE) == path, 20, "the old speaker hears the true path")


@pytest.mark.parametrize("kind", KINDS)
def test_speaker_of_four_octet_numbers(lab, scripted, kind):
    """RFC 6793: for one of two octets beyond us AS_TRANS takes the place of such numbers, both ways."""
    old = scripted(65002, wide=False)
    new = start_sessions(lab, kind, [({}, {})], NETWORKS[:1], asn=WIDE_AS)
    as4_path = (OPTIONAL | TRANSITIVE, AS4_PATH, sequence("I", 65002, OTHER_WIDE_AS))
    announce(old, sequence("H", 65002, AS_TRANS), as4_path)
    path = f"{AS} 65002 {OTHER_WIDE_AS}"
    new.process.wait_for(lambda: new.as_path(ROUTE) == path, 20, "the new speaker hears the true path")
    wait_for(lambda: old.pump() or NETWORKS[0] in old.table, 20, "the old speaker hears of the new one")
    told = old.table[NETWORKS[0]]
    assert told[AS_PATH] == (TRANSITIVE, sequence("H", AS, AS_TRANS).hex())
    assert told[AS4_PATH] == (OPTIONAL | TRANSITIVE, sequence("I", AS, WIDE_AS).hex())


WHY_CLOSED = {Bird: "Maximum number of prefixes", Frr: "Maximum Number of Prefixes", Gobgp: '"Subcode":1'}


@pytest.mark.parametrize("kind", KINDS)
def test_too_many_prefixes_close_the_session_for_a_while(lab, kind):
    limit = {"maximum_prefixes": 2, "maximum_prefixes_restart": 3}
    peer = start_sessions(lab, kind, [(limit, {})], NETWORKS)
    address = PAIRS[0][1]
    lab.wait_row(address, lambda row: "Maximum Number of Prefixes" in row["last_error"], "the limit is met")
    assert lab.router.ask("bgp", "routes", "--best") == [], "what it sent is gone"
    wait_for(lambda: WHY_CLOSED[kind] in peer.last_words(), 20, "the peer is told why")
    peer.withdraw(NETWORKS[0])
    lab.wait_sessions(1, 60)
    lab.wait_row(address, lambda row: row["ipv4"]["accepted"] == 2, "both prefixes are back")


@pytest.mark.parametrize("kind", KINDS)
def test_without_policy_nothing_is_exchanged(lab, kind):
    """RFC 8212, for external peers."""
    lab.router.config["bgp"]["announce"] = [ROUTE]
    ends = {"restart_time": 20}  # GoBGP says End-of-RIB only then
    start_sessions(lab, kind, [({}, ends)], NETWORKS, policy={})
    address = PAIRS[0][1]
    lab.wait_row(address, lambda row: row["ipv4"]["end_of_rib_received"], "the peer has said all")
    row = lab.rows()[address]
    assert (row["ipv4"]["accepted"], row["ipv4"]["advertised"]) == (0, 0)
    unsaid = "none: eBGP needs a filter (RFC 8212)"
    assert (row["import_filter"], row["export_filter"]) == (unsaid, unsaid)


@pytest.mark.parametrize("kind", KINDS)
def test_ttl_security_on_both_sides(lab, kind):
    """RFC 5082: who does not send with TTL 255 is not heard."""
    secure = {"ttl_security": 1}
    start_sessions(lab, kind, [(secure, {}), (secure, {"ttl_security": True})])
    (_, careless), (_, careful) = PAIRS[:2]

    def unheard():
        names, values = (line.split() for line in lab.here.sh("cat", "/proc/net/netstat").splitlines()[:2])
        return int(values[names.index("TCPMinTTLDrop")])

    lab.router.wait(unheard, 20, "segments of who takes no part are dropped")
    lab.wait_row(careful, lambda row: row["state"] == "established", "who takes part is a peer")
    assert lab.rows()[careless]["sessions"] == 0


def calls(namespace, state="syn-sent"):
    """TCP connections of BGP in that state, at this end: by default the calls that nobody took yet."""
    ports = "( dport = :179 )" if state == "syn-sent" else "( sport = :179 or dport = :179 )"
    return len(namespace.sh("ss", "-Htn", "state", state, ports).splitlines())


class Gate:
    """The link of the lab: while it is shut nothing arrives, but waits in the queues of both ends."""

    SHUT, OPEN = "rate 8bit burst 80", "rate 1gbit burst 1mb"  # in octets; of a call there are fewer than 80

    def __init__(self, lab):
        self.ends = ((lab.here, "up0"), (lab.there, "down0"))

    def put(self, state):
        for namespace, device in self.ends:
            namespace.sh(*f"tc qdisc replace dev {device} root tbf limit 1mb {state}".split())

    def __enter__(self):
        self.put(self.SHUT)

    def __exit__(self, *_):
        self.put(self.OPEN)


def start_at_once(lab, peer):
    with concurrent.futures.ThreadPoolExecutor() as pool:
        both = [pool.submit(lab.router.ctl, "bgp", "clear", "all"), pool.submit(peer.restart_sessions)]
    assert not any(each.exception() for each in both)


def accepted(lab):
    """Calls of both sides that the other one took, since the lab exists."""

    def taken(namespace):
        names, values = (line.split() for line in namespace.sh("grep", "Tcp:", "/proc/net/snmp").splitlines())
        return int(values[names.index("PassiveOpens")])

    return taken(lab.here) + taken(lab.there)


COLLISIONS = 50


@pytest.mark.parametrize("kind", KINDS)
def test_calls_of_both_sides_end_in_one_connection(lab, kind):
    """RFC 4271 6.8: sessions start at both sides at once, again and again, until 50 have had two connections.

    BIRD's queue of calls is eight long, so not all collide.  GoBGP calls so late that ours are there before, and not
    for 20 seconds and more after a reset that nothing answers: with it sessions only start together.
    """
    number = COLLISIONS // 2 if kind is Gobgp else COLLISIONS
    timers = {"hold_time": 3}
    peer = start_sessions(lab, kind, [(timers, timers)] * number, NETWORKS[:1])
    lab.wait_sessions(number)
    for start in range(2, 10):
        if kind is Gobgp:
            start_at_once(lab, peer)
        else:
            with Gate(lab):
                start_at_once(lab, peer)
                for namespace in (lab.here, lab.there):
                    wait_for(lambda namespace=namespace: calls(namespace) == number, 20, "all have called")
        lab.wait_sessions(number)
        peer.process.wait_for(lambda: calls(lab.there, "established") == number, 20, "a connection each")
        if kind is Gobgp or accepted(lab) >= start * number + COLLISIONS:
            break
    else:
        pytest.fail("they do not collide")

    before = lab.rows()

    def lasts(row):
        return row["messages_received"] > before[row["address"]]["messages_received"] + 1

    lab.router.wait(lambda: all(map(lasts, lab.rows().values())), 20, "keepalives of every session")
    assert [row["sessions"] for row in lab.rows().values()] == [row["sessions"] for row in before.values()]
    assert calls(lab.there, "established") == number


def messages(connection, last):
    """Kind and body of what comes, up to one of kind `last`; octet for octet, as nothing more may be taken."""
    found = []
    while not found or found[-1][0] != last:
        head = connection.recv(19, socket.MSG_WAITALL)
        assert len(head) == 19, f"the connection ends after {found}"
        length, kind = struct.unpack("!HB", head[16:])
        found.append((kind, connection.recv(length - 19, socket.MSG_WAITALL) if length > 19 else b""))
    return found


@pytest.mark.parametrize("identifier, survivor", [("10.0.0.1", "ours"), ("192.0.2.9", "theirs")])
@pytest.mark.parametrize("first, second", [("ours", "theirs"), ("theirs", "ours")])
def test_call_of_the_higher_identifier_survives(lab, cleanup, identifier, survivor, first, second):
    """RFC 4271 6.8: both calls are there before a word is said; whichever OPEN is heard first, the same one lives."""
    lab.configure(neighbors=[{"address": ONE, "as": 65001, **OPEN}])
    with inside(lab.there):
        listener = socket.create_server((ONE, 179))
    cleanup.callback(listener.close)
    listener.settimeout(30)
    lab.router.start()
    calls = {"ours": listener.accept()[0]}
    with inside(lab.there):
        calls["theirs"] = socket.create_connection((REFLECTOR, 179), 30, (ONE, 0))
    for connection in calls.values():
        cleanup.callback(connection.close)
        connection.settimeout(30)
    opening = struct.pack("!BHH4sB", 4, 65001, 90, socket.inet_aton(identifier), 0)
    calls[first].sendall(message(SAY_OPEN, opening))
    messages(calls[first], KEEPALIVE)
    calls[second].sendall(message(SAY_OPEN, opening))
    loser = calls["theirs" if survivor == "ours" else "ours"]
    assert messages(loser, NOTIFICATION)[-1][1][:2] == bytes([6, 7]), "Cease, Connection Collision Resolution"
    calls[survivor].sendall(message(KEEPALIVE))
    lab.wait_sessions(1)
    assert lab.rows()[ONE]["sessions"] == 1


@pytest.fixture
def mesh(network, make_router, make_peer):
    """Two of ours, BIRD and FRR on one link, each with a session to each of the others: (name, speaker) by address."""
    switch = network.namespace("switch")
    switch.sh("ip", "link", "add", "bridge", "type", "bridge")
    switch.sh("ip", "link", "set", "bridge", "up")
    addresses = {kind: f"10.9.0.{number}" for number, kind in enumerate(("ours", "also", "bird", "frr"), start=1)}
    speakers = {}
    for name, address in addresses.items():
        space = network.namespace(name)
        network.link(space, "eth0", switch, f"to-{name}")
        switch.sh("ip", "link", "set", f"to-{name}", "master", "bridge")
        space.add_address("eth0", f"{address}/24")
        others = [other for other in addresses.values() if other != address]
        own = f"172.16.{address[-1]}.0/24"
        if name in ("ours", "also"):
            speaker = make_router(space, name, dataplane="none")
            for key in ("eal", "workers", "ports", "workloads", "datastore"):
                speaker.config.pop(key)
            neighbors = [{"address": other, "as": AS, **OPEN, "next_hop4": address} for other in others]
            speaker.config["bgp"] = {"as": AS, "router_id": address, "announce": [own], "neighbors": neighbors}
        else:
            kind = Bird if name == "bird" else Frr
            sessions = [Neighbor(other, AS) for other in others]
            speaker = make_peer(kind, space, AS, address, sessions, [own], next_hops={4: address})
        speakers[address] = (name, speaker)
    for _, speaker in speakers.values():
        speaker.start()
    return speakers


def test_full_mesh_passes_nothing_on(mesh):
    """Every route comes from its speaker, with that one's address, and from nobody else."""
    routes = {f"172.16.{address[-1]}.0/24": address for address in mesh}
    for own, (name, speaker) in mesh.items():
        for prefix, hop in routes.items():
            if hop != own and name in ("bird", "frr"):
                speaker.wait_route(prefix, hop, 30)
    for own, (name, router) in mesh.items():
        if name in ("bird", "frr"):
            continue
        wanted = {(prefix, hop, hop) for prefix, hop in routes.items() if hop != own}

        def learnt(router=router):
            rows = router.ask("bgp", "routes")
            return {(row["prefix"], row["neighbor"], row["next_hop"]) for row in rows if row["neighbor"]}

        router.wait(lambda wanted=wanted, learnt=learnt: learnt() == wanted, 30, "each route from its speaker only")
