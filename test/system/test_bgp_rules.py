"""What the standards ask of a session, seen by BIRD and FRR: AS numbers, limits, TTLs, collisions, the mesh.

SPDX-License-Identifier: Apache-2.0
"""

import re

import pytest
from peers import Bird, Frr, Neighbor
from process import wait_for
from reflector_lab import AS, CLIENTS, REFLECTOR, Lab, block

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


def connections(lab):
    """Established ones, at the client's end."""
    lines = lab.there.sh("ss", "-Htn", "state", "established", "( sport = :179 or dport = :179 )").splitlines()
    return len(lines)


def test_calls_of_both_sides_end_in_one_connection(lab):
    """RFC 4271 6.8, with both sides starting anew at the same time, again and again."""
    lab.configure(neighbors=[{"address": ONE, "as": 65001, **OPEN}])
    lab.router.start()
    client = lab.start_clients([(ONE, {"as": 65001})])[0]
    for round_ in range(5):
        lab.wait_sessions(1)
        wait_for(lambda: "Established" in client.shown(), 20, f"round {round_}: the client has a session")
        wait_for(lambda: connections(lab) == 1, 20, f"round {round_}: there is one connection")
        lab.router.ctl("bgp", "clear", ONE)
        client.order("restart", "reflector")


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
