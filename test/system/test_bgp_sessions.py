"""vrouterd without a data plane: its sessions as config, resources and operators want them.

SPDX-License-Identifier: Apache-2.0
"""

import contextlib
import ipaddress
import re
import socket
import struct

import pytest
from peers import Bird, Frr, Gobgp, Neighbor
from process import wait_for
from reflector_lab import AS, CLIENTS, LISTENER, REFLECTOR, STRANGER, Lab, block
from resources import resource
from scripted_speaker import KEEPALIVE, ScriptedSpeaker, attribute, message, nlri, update
from wire import inside


@pytest.fixture
def lab(network, directory, make_router, make_peer):
    return Lab(network, directory, make_router, make_peer)


RACK = {"as": 65001, "import": "all", "export": "all", "as_override": True, "hold_time": 9, "connect_retry": 1}
GROUP = {"name": "racks", **RACK}
EXTERNAL = {"as": 65001}


CALLERS = [f"10.99.3.{number}" for number in range(1, 99)]


def announcement(sender, prefix, *more):
    """An UPDATE of one route; `more`: attributes."""
    hop = ipaddress.ip_address(sender).packed
    attributes = [(0x40, 1, b"\0"), (0x40, 2, struct.pack("!BBI", 2, 1, 65001)), (0x40, 3, hop), *more]
    return update(b"".join(attribute(*each) for each in attributes), nlri(prefix))


def test_whoever_calls_from_a_range_is_a_peer(lab, cleanup):
    """100 callers that nobody named, one password for all, and in their range a named peer with its own.

    98 are scripted: as many BIRDs would cost this machine more than the router does.
    """
    lab.there.add_address("down0", *[f"{address}/8" for address in CALLERS])
    lab.configure(
        groups=[GROUP],
        ranges=[{"prefix": "10.99.0.0/16", "group": "racks", "password": "sesame", "limit": 100}],
        neighbors=[{"address": LISTENER, "group": "racks", "password": "own"}],
    )
    lab.router.start()
    signed, named = ({**EXTERNAL, "text": f'password "{word}";'} for word in ("sesame", "own"))
    birds = lab.start_clients([*((address, signed) for address in CLIENTS[:2]), (LISTENER, named)])
    lab.wait_sessions(3)
    callers = {}
    for number, address in enumerate(CALLERS, start=1):
        caller = ScriptedSpeaker(lab.there, address, REFLECTOR, 65001, password="sesame")
        cleanup.callback(caller.close)
        lab.router.wait(caller.established, 20, f"the session of {caller}")
        callers[f"10.78.{number}.0/24"] = caller
        caller.send(announcement(address, f"10.78.{number}.0/24"))
    late = ScriptedSpeaker(lab.there, CLIENTS[2], REFLECTOR, 65001, password="sesame")
    cleanup.callback(late.close)
    late.connect()
    lab.router.wait_log("range 10.99.0.0/16 has its 100 peers")
    rows = lab.rows()
    assert len(rows) == 101
    assert [address for address, row in rows.items() if not row["dynamic"]] == [LISTENER]
    everything = {*callers, *(block(bird.address) for bird in birds)}

    def all_told():
        for caller in callers.values():
            caller.pump()
        return all(set(caller.table) == everything - {own} for own, caller in callers.items())

    lab.router.wait(all_told, 20, "every caller is told all but its own")
    for bird in birds:
        wait_for(lambda bird=bird: everything == set(bird.routes()), 20, f"{bird.address} has everything")
    for end in [*(bird.stop for bird in birds), *(caller.close for caller in callers.values())]:
        end()
    lab.router.wait(lambda: set(lab.rows()) == {LISTENER}, 10, "callers that are gone are forgotten")


@pytest.mark.parametrize("kind", [Frr, Gobgp])
def test_caller_from_a_range_of_every_kind(lab, kind, cleanup):
    """It hears of the other caller and is heard of; once it is gone nobody knows of it."""
    lab.configure(groups=[GROUP], ranges=[{"prefix": "10.99.0.0/16", "group": "racks", "password": "sesame"}])
    lab.router.start()
    other = ScriptedSpeaker(lab.there, CLIENTS[1], REFLECTOR, 65001, password="sesame")
    cleanup.callback(other.close)
    lab.router.wait(other.established, 20, f"the session of {other}")
    other.send(announcement(other.own, "10.78.1.0/24"))
    session = Neighbor(REFLECTOR, AS, local=CLIENTS[0], password="sesame")
    peer = lab.make_peer(kind, lab.there, 65001, CLIENTS[0], [session], ["10.77.0.0/24"]).start()
    peer.wait_route("10.78.1.0/24")
    assert peer.as_path("10.78.1.0/24") == f"{AS} {AS}", "its own AS is overridden"
    wait_for(lambda: other.pump() or "10.77.0.0/24" in other.table, 20, "the other caller hears of its network")
    assert lab.rows()[CLIENTS[0]]["dynamic"]
    peer.withdraw("10.77.0.0/24")
    wait_for(lambda: other.pump() or "10.77.0.0/24" not in other.table, 20, "the other caller hears no more of it")
    peer.stop()
    lab.router.wait(lambda: set(lab.rows()) == {other.own}, 20, "who is gone is forgotten")


def test_wrong_password_and_strangers_stay_outside(lab):
    lab.configure(
        groups=[GROUP],
        ranges=[{"prefix": "10.99.0.0/16", "group": "racks", "password": "sesame"}],
        neighbors=[{"address": LISTENER, "group": "racks", "password": "own", "connect_retry": 1}],
    )
    lab.router.start()
    wrong, right, own = ({**EXTERNAL, "text": f'password "{word}";'} for word in ("wrong", "sesame", "own"))
    lab.start_clients([(CLIENTS[0], wrong), (CLIENTS[1], right), (LISTENER, own), (STRANGER, EXTERNAL)])
    lab.wait_sessions(2)
    lab.router.wait(lambda: lab.router.ask("bgp", "speaker")["strangers"] > 0, 10, "the stranger has tried")
    assert set(lab.rows()) == {CLIENTS[1], LISTENER}


@pytest.mark.parametrize("kind", [Bird, Frr, Gobgp])
def test_shutdown_tells_why_and_lasts(lab, kind):
    neighbor = {"address": CLIENTS[0], "as": 65001, "import": "all", "export": "all", "connect_retry": 1}
    lab.configure(neighbors=[neighbor])
    lab.router.start()
    peer = lab.make_peer(kind, lab.there, 65001, CLIENTS[0], [Neighbor(REFLECTOR, AS)], ["10.77.0.0/24"])
    peer.start()
    lab.wait_sessions(1)
    lab.router.ctl("bgp", "shutdown", CLIENTS[0], "new fans, back at six")
    lab.wait_row(CLIENTS[0], lambda row: row["shut_down"] and row["state"] == "idle", "the session is shut down")
    wait_for(lambda: "new fans, back at six" in peer.last_words(), 10, "the peer shows why")
    lab.router.ctl("bgp", "clear", "all")
    lab.wait_row(CLIENTS[0], lambda row: row["shut_down"] and row["state"] == "idle", "a clear opens nothing")
    lab.router.ctl("bgp", "enable", CLIENTS[0])
    lab.wait_sessions(1)


# What of ours each kind agrees to, beside 4-octet AS numbers and route refresh.
AGREED = {Bird: {"enhanced_route_refresh"}, Frr: {"enhanced_route_refresh", "extended_message"}, Gobgp: set()}


@pytest.mark.parametrize("kind", AGREED)
def test_neighbor_tells_what_holds_and_what_was_said(lab, kind):
    offers = {"add_path": "receive", "extended_messages": True, "graceful_restart": "full"}
    neighbor = {"address": CLIENTS[0], "as": 65001, "import": "all", "export": "all", "connect_retry": 1}
    lab.configure(neighbors=[{**neighbor, **offers, "restart_time": 33, "stale_time": 20}])
    lab.router.start()
    session = Neighbor(REFLECTOR, AS, families=(4,), add_path=True, restart_time=60)
    lab.make_peer(kind, lab.there, 65001, CLIENTS[0], [session], ["10.77.0.0/24"]).start()
    lab.wait_row(CLIENTS[0], lambda row: row["ipv4"]["end_of_rib_received"], "the peer has said all")
    row = lab.router.ask("bgp", "neighbor", CLIENTS[0])[0]
    assert {name for name, holds in row["agreed"].items() if holds} == {"four_octet_as", "route_refresh", *AGREED[kind]}
    ipv4, ipv6 = row["ipv4"], row["ipv6"]
    assert (ipv4["add_path_receive"], ipv4["add_path_send"]) == (True, False)
    assert (ipv4["restart_seconds"], ipv4["our_restart_seconds"]) == (20, 33)
    assert (ipv6["negotiated"], ipv6["our_restart_seconds"]) == (False, 0)
    lab.router.ctl("bgp", "clear", CLIENTS[0], "--soft", "in")
    lab.router.ctl("bgp", "clear", CLIENTS[0])

    def said():
        row = lab.router.ask("bgp", "neighbor", CLIENTS[0])[0]
        sent, received = row["messages_sent_by_type"], row["messages_received_by_type"]
        assert sum(received.values()) == row["messages_received"]
        return sent["route_refresh"] == 1 and sent["notification"] and received["open"] > 1

    lab.router.wait(said, 20, "messages are counted by type")
    lab.wait_sessions(1)
    lines = lab.router.ctl("bgp", "neighbor", CLIENTS[0]).splitlines()
    wanted = {"messages sent by type route refresh: 1", "agreed four octet as: yes", "ipv4 restart seconds: 20"}
    assert wanted <= set(lines)


def test_datastore_without_peers_has_said_all(lab):
    """No peer is waited for then: a stranger is told so (RFC 4486 3), and a start need not wait (RFC 4724 4.1)."""
    lab.configure(neighbors=[{"address": CLIENTS[0], "as": 65001}])
    lab.router.start()
    lab.router.ctl("wait-ready", "--datastore")
    with inside(lab.there):
        connection = socket.create_connection((REFLECTOR, 179), 10, (STRANGER, 0))
    with connection:
        assert connection.recv(100)[18:] == bytes([3, 6, 5]), "NOTIFICATION, Cease, Connection Rejected"


def test_filters_communities_and_reasons(lab):
    """Rules of the config change routes on their way in and out."""
    rules = [
        {"action": "reject", "communities": ["65001:666"]},
        {"action": "accept", "prefixes": ["10.77.0.0/16 le 24"], "add_communities": ["64512:7", "64512:1:2"]},
    ]
    lab.configure(
        filters=[{"name": "racks", "rules": rules, "otherwise": "none"}],
        announce=[{"prefix": "10.66.0.0/16", "communities": ["64512:300"]}],
        neighbors=[
            {"address": CLIENTS[0], "as": 65001, "import": "racks", "export": "all", "connect_retry": 1},
            {"address": CLIENTS[1], "as": 65002, "import": "racks", "export": "all", "connect_retry": 1},
        ],
    )
    lab.router.start()
    clients = lab.start_clients([(CLIENTS[0], {"as": 65001}), (CLIENTS[1], {"as": 65002})])
    lab.wait_sessions(2)
    wait_for(lambda: "64512:7" in lab.router.ctl("bgp", "routes", block(CLIENTS[0])), 10, "the filter's community")
    rows = lab.router.ask("bgp", "routes", block(CLIENTS[0]))
    assert rows[0]["communities"] == ["64512:7", "64512:1:2"]
    received = lab.router.ask("bgp", "routes", "--received", CLIENTS[0])
    assert [(row["state"], row["communities"]) for row in received] == [("accepted", [])]
    inside_it = block(CLIENTS[0]).replace(".0/24", ".9")
    assert lab.router.ask("bgp", "routes", inside_it, "--received", CLIENTS[0]) == received
    assert lab.router.ask("bgp", "routes", "10.66.0.9", "--received", CLIENTS[0]) == []

    def heard():
        return clients[0].ask("show", "route", "10.66.0.0/16", "all")

    wait_for(lambda: "(64512,300)" in heard(), 10, "what we announce has its own")


NODE = "reflector"


def node(name, address, **bgp):
    return resource("Node", name, {"bgp": {"ipv4Address": f"{address}/8", **bgp}}, labels={"kind": name})


def test_calicos_resources_alone(lab):
    """No neighbour in the config: AS, router id, peers and filters are Calico's objects."""
    lab.router.config["bgp"] = {"announce": ["10.66.0.0/16"]}
    lab.router.put(
        node(NODE, REFLECTOR),
        node("one", CLIENTS[0], asNumber=65001),
        node("two", CLIENTS[1], asNumber=65001),
        resource("BGPConfiguration", "default", {"asNumber": AS, "serviceClusterIPs": [{"cidr": "10.96.0.0/12"}]}),
    )
    lab.router.start()
    lab.start_clients([(address, EXTERNAL) for address in CLIENTS[:2]])
    lab.wait_sessions(2)
    lab.wait_row(CLIENTS[0], lambda row: row["ipv4"]["advertised"] == 1, "what the config announces is told")
    problem = lab.router.ask("get", "bgpconfiguration", "default")[0]["problem"]
    assert problem == "serviceClusterIPs has no effect on this router"

    # A filter comes, changes and goes; the sessions stay.
    lab.router.put(resource("BGPPeer", "one", {"peerSelector": "kind == 'one'", "filters": ["quiet"]}))
    lab.wait_row(CLIENTS[0], lambda row: row["ipv4"]["advertised"] == 0, "nothing passes a filter that is missing")
    assert "BGPFilter 'quiet' is missing" in lab.router.ask("get", "bgppeer", "one")[0]["problem"]
    rule = {"action": "Reject", "cidr": "10.66.0.0/16", "matchOperator": "NotEqual"}
    lab.router.put(resource("BGPFilter", "quiet", {"exportV4": [rule]}))
    lab.wait_row(CLIENTS[0], lambda row: row["ipv4"]["advertised"] == 1, "what the filter lets pass is told")
    lab.router.put(resource("BGPFilter", "quiet", {"exportV4": [{**rule, "matchOperator": "Equal"}]}))
    lab.wait_row(CLIENTS[0], lambda row: row["ipv4"]["advertised"] == 0, "what it rejects is withdrawn")
    assert {row["sessions"] for row in lab.rows().values()} == {1}, "no session was reset"


def test_reflector_of_calico_tells_every_path(lab):
    """To what two nodes have: they and Calico's own speaker say "add paths on" (RFC 7911)."""
    shared, others = "10.88.0.1/32", {"one": CLIENTS[0], "two": CLIENTS[1], "three": CLIENTS[2]}
    lab.router.config["bgp"] = {}
    lab.router.put(
        node(NODE, REFLECTOR, routeReflectorClusterID="1.0.0.1"),
        *(node(name, address) for name, address in others.items()),
        resource("BGPConfiguration", "default", {"asNumber": AS, "nodeToNodeMeshEnabled": False}),
        resource("BGPPeer", "clients", {"node": NODE, "peerSelector": f"kind != '{NODE}'"}),
    )
    lab.router.start()
    clients = lab.clients([(address, {"channel": "add paths on;"}) for address in others.values()])
    for client in clients[:2]:
        client.networks.append(shared)
    for client in clients:
        client.start()
    lab.wait_sessions(3)

    def hops():
        return set(re.findall(r"BGP.next_hop: (\S+)", clients[2].ask("show", "route", shared, "all")))

    wait_for(lambda: hops() == {CLIENTS[0], CLIENTS[1]}, 20, "both paths are told")


def test_password_of_a_peer_is_a_file(lab):
    secrets = lab.directory / "secrets"
    (secrets / "bgp").mkdir(parents=True)
    lab.router.config["bgp"] = {"secrets": str(secrets)}
    reference = {"secretKeyRef": {"name": "bgp", "key": "rack"}}
    peer = resource("BGPPeer", "one", {"peerIP": CLIENTS[0], "asNumber": AS, "password": reference})
    lab.router.put(node(NODE, REFLECTOR), resource("BGPConfiguration", "default", {"asNumber": AS}), peer)
    lab.router.start()
    lab.router.wait(
        lambda: "no session without the password" in lab.router.ask("get", "bgppeer", "one")[0]["problem"],
        5,
        "the object says what is missing",
    )
    assert lab.rows() == {}
    (secrets / "bgp" / "rack").touch(mode=0o600)
    (secrets / "bgp" / "rack").write_text("sesame\n")
    lab.start_clients([(CLIENTS[0], {"text": 'password "sesame";'})])
    lab.wait_sessions(1)
    assert not re.search("sesame", lab.router.log), "passwords are not logged"


ROUTES = 1000


def large_announcement(sender, number):
    """A kilobyte of attributes that no other route has."""
    communities = b"".join(struct.pack("!HH", number, n) for n in range(256))
    return announcement(sender, f"10.{number >> 8}.{number & 255}.0/24", (0xC0, 8, communities))


def test_peer_that_reads_nothing_is_given_up(lab, cleanup):
    """RFC 9687: it sends KEEPALIVEs in time, but its window is shut; the others are served meanwhile."""
    open_ = {"as": 65001, "import": "all", "export": "all", "as_override": True, "passive": True}
    deaf, telling, hearing = (
        ScriptedSpeaker(lab.there, CLIENTS[0], REFLECTOR, 65001, hold_time=3, receive_buffer=4096),
        ScriptedSpeaker(lab.there, CLIENTS[1], REFLECTOR, 65001),
        ScriptedSpeaker(lab.there, CLIENTS[2], REFLECTOR, 65001),
    )
    for speaker in (deaf, telling, hearing):
        cleanup.callback(speaker.close)
    lab.here.write_sysctl("net/ipv4/tcp_wmem", "4096 16384 65536")
    neighbors = [{"address": speaker.own, **open_} for speaker in (deaf, telling, hearing)]
    lab.configure(neighbors=[{**neighbors[0], "send_hold_time": 8}, *neighbors[1:]])
    lab.router.start()
    for speaker in (deaf, telling, hearing):
        lab.router.wait(speaker.established, 20, f"the session of {speaker}")

    def error():
        with contextlib.suppress(OSError):
            deaf.socket.send(message(KEEPALIVE))
        hearing.pump()
        return lab.rows()[deaf.own]["last_error"]

    for number in range(ROUTES):
        telling.send(large_announcement(telling.own, number))
    lab.router.wait(lambda: error() or len(hearing.table) == ROUTES, 20, "all is told to who listens")
    assert error() == "", "the other one is still waited for"
    lab.router.wait(lambda: "send hold timer expired" in error(), 30, "it is given up")
    assert [row["sessions"] for row in lab.rows().values()] == [1, 1, 1]
    assert [row["state"] == "established" for row in lab.rows().values()] == [False, True, True]


def test_dead_way_without_hold_time_is_noticed(lab, cleanup):
    """Neither timer of such a session runs: what is told and not acknowledged ends the connection."""
    open_ = {"as": 65001, "import": "all", "export": "all", "as_override": True, "passive": True, "hold_time": 0}
    telling, gone = (ScriptedSpeaker(lab.there, address, REFLECTOR, 65001) for address in CLIENTS[:2])
    for speaker in (telling, gone):
        cleanup.callback(speaker.close)
    lab.configure(neighbors=[{"address": speaker.own, "send_hold_time": 6, **open_} for speaker in (telling, gone)])
    lab.router.start()
    for speaker in (telling, gone):
        lab.router.wait(speaker.established, 20, f"the session of {speaker}")
    lab.there.sh("ip", "address", "delete", f"{gone.own}/8", "dev", "down0")
    telling.send(announcement(telling.own, "10.70.0.0/16"))
    lab.wait_row(gone.own, lambda row: "timed out" in row["last_error"], "TCP gives it up", 40)
    assert lab.rows()[telling.own]["state"] == "established"
