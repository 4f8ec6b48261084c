"""What the standards ask of a session, seen by BIRD and FRR: AS numbers, limits, TTLs, collisions, the mesh.

SPDX-License-Identifier: Apache-2.0
"""

import concurrent.futures
import re
import socket
import struct

import pytest
from peers import Bird, Frr, Gobgp, Neighbor
from process import wait_for
from reflector_lab import AS, CLIENTS, REFLECTOR, Lab, block
from scripted_speaker import KEEPALIVE, NOTIFICATION, message
from scripted_speaker import OPEN as SAY_OPEN
from wire import inside

ONE, TWO = CLIENTS[:2]
WIDE_AS, OTHER_WIDE_AS = 4200000001, 4200000002
OPEN = {"import": "all", "export": "all", "connect_retry": 1}


@pytest.fixture
def lab(network, directory, make_router, make_peer):
    return Lab(network, directory, make_router, make_peer)


@pytest.mark.parametrize("allowed", [0, 1])
def test_own_as_in_a_path(lab, allowed):
    """RFC 4271 9.1.2: a loop, unless the operator allows it."""
    lab.configure(neighbors=[{"address": ONE, "as": 65001, **OPEN, "allow_own_as": allowed}])
    lab.router.start()
    lab.start_clients([(ONE, {"as": 65001, "change": f"bgp_path.prepend({AS});"})])
    lab.wait_row(ONE, lambda row: row["ipv4"]["end_of_rib_received"], "the client has said all")
    received = lab.router.ask("bgp", "routes", "--received", ONE)
    assert [row["as_path"] for row in received] == [f"65001 {AS}"]
    assert received[0]["state"] == ("accepted" if allowed else "refused")
    assert len(lab.router.ask("bgp", "routes", "--best")) == allowed


def test_speaker_of_two_octet_numbers(lab):
    """RFC 6793: AS_TRANS crosses that session, and AS4_PATH brings the true path, both ways."""
    lab.configure(neighbors=[{"address": ONE, "as": 65001, **OPEN}, {"address": TWO, "as": WIDE_AS, **OPEN}])
    lab.router.start()
    old_options = {"as": 65001, "text": "enable as4 off;", "change": f"bgp_path.prepend({OTHER_WIDE_AS});"}
    old, new = lab.start_clients([(ONE, old_options), (TWO, {"as": WIDE_AS})])
    lab.wait_sessions(2)

    def path(client, prefix):
        found = re.search(r"BGP.as_path: (.*)", client.ask("show", "route", prefix, "all"))
        return found and found.group(1).strip()

    wait_for(lambda: path(old, block(TWO)) == f"{AS} {WIDE_AS}", 20, "the old speaker hears the true path")
    wait_for(lambda: path(new, block(ONE)) == f"{AS} 65001 {OTHER_WIDE_AS}", 20, "so do those beyond it")


def test_too_many_prefixes_close_the_session_for_a_while(lab):
    limit = {"maximum_prefixes": 2, "maximum_prefixes_restart": 3}
    lab.configure(neighbors=[{"address": ONE, "as": 65001, **OPEN, **limit}])
    lab.router.start()
    client = lab.clients([(ONE, {"as": 65001})])[0]
    client.networks += ["10.78.1.0/24", "10.78.2.0/24"]
    client.start()
    lab.wait_row(ONE, lambda row: "Maximum Number of Prefixes" in row["last_error"], "the limit is met")
    assert lab.router.ask("bgp", "routes", "--best") == [], "what it sent is gone"
    wait_for(lambda: "Maximum number of prefixes" in client.shown(), 20, "the client is told why")
    client.networks.pop()
    client.reconfigure()
    lab.wait_sessions(1, 60)
    lab.wait_row(ONE, lambda row: row["ipv4"]["accepted"] == 2, "both prefixes are back")


def test_ttl_security_on_both_sides(lab):
    """RFC 5082: who does not send with TTL 255 is not heard."""
    secure = {**OPEN, "ttl_security": 1}
    lab.configure(neighbors=[{"address": ONE, "as": 65001, **secure}, {"address": TWO, "as": 65001, **secure}])
    lab.router.start()
    first, second = lab.clients([(ONE, {"as": 65001}), (TWO, {"as": 65001, "text": "ttl security on;"})])
    first.start()
    wait_for(lambda: "Connect" in first.shown() or "OpenSent" in first.shown(), 20, "the first client has tried")
    second.start()
    lab.wait_sessions(1)
    lab.wait_row(TWO, lambda row: row["state"] == "established", "who takes part is a peer")
    assert lab.rows()[ONE]["sessions"] == 0


PAIRS = [(f"10.99.0.{number}", client) for number, client in enumerate(CLIENTS[:10], start=1)]  # ours, theirs


def connections(lab):
    """Established ones, at the peer's end."""
    lines = lab.there.sh("ss", "-Htn", "state", "established", "( sport = :179 or dport = :179 )").splitlines()
    return len(lines)


@pytest.mark.parametrize("kind, rounds", [(Bird, 5), (Frr, 5), (Gobgp, 2)])  # GoBGP waits five seconds in each
def test_calls_of_both_sides_end_in_one_connection(lab, kind, rounds):
    """RFC 4271 6.8: ten sessions between two processes, which both start anew at the same time, again and again."""
    lab.here.add_address("up0", *[f"{ours}/8" for ours, _ in PAIRS[1:]])
    timers = {"hold_time": 3, "connect_retry": 1}
    lab.configure(neighbors=[{"address": a, "source": o, "as": 65001, **OPEN, **timers} for o, a in PAIRS])
    sessions = [Neighbor(ours, AS, local=client, hold_time=3) for ours, client in PAIRS]
    peer = lab.make_peer(kind, lab.there, 65001, ONE, sessions, [block(ONE)])
    lab.router.launch()
    peer.start()
    lab.router.wait_ready()
    for round_ in range(rounds):
        if round_ > 0:
            with concurrent.futures.ThreadPoolExecutor() as pool:
                both = [pool.submit(lab.router.ctl, "bgp", "clear", "all"), pool.submit(peer.restart_sessions)]
            assert not any(each.exception() for each in both)
        lab.wait_sessions(len(PAIRS))
        peer.process.wait_for(lambda: connections(lab) == len(PAIRS), 20, f"round {round_}: a connection each")

    before = lab.rows()

    def lasts(row):
        return row["messages_received"] > before[row["address"]]["messages_received"] + 1

    lab.router.wait(lambda: all(map(lasts, lab.rows().values())), 20, "keepalives of every session")
    assert [row["sessions"] for row in lab.rows().values()] == [row["sessions"] for row in before.values()]
    assert connections(lab) == len(PAIRS)


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
