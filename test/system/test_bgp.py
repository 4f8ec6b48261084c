"""The router as a BGP speaker beside BIRD, FRR and GoBGP.

SPDX-License-Identifier: Apache-2.0
"""

import socket
import struct

import pytest
from namespace_guest import VethGuest, opens
from peers import Bird, Frr, Gobgp, Neighbor
from process import wait_for
from rack import FABRIC, GATEWAYS, ROUTER, Rack
from resources import resource
from scripted_speaker import TCP_MD5SIG, md5_key
from wire import inside

OUTSIDE = {4: "172.16.0.0/16", 6: "fd01::/32"}
LATER = {4: "172.17.0.0/16", 6: "fd02::/32"}
KINDS = [Bird, Frr, Gobgp]
OWN_AS, OTHER_AS = 64512, 65000
FAMILIES = (4, 6)


@pytest.fixture
def rack(network, directory, make_router):
    return Rack(network, directory, make_router, routes=False)


def configure(rack, asn=OTHER_AS, over=4, **options):
    """One neighbor, both families on it."""
    neighbor = {"address": FABRIC[over], "as": asn, "next_hop4": ROUTER[4], "next_hop6": ROUTER[6], **options}
    rack.router.set_bgp(OWN_AS, ROUTER[4], [neighbor])


def make(make_peer, kind, rack, asn=OTHER_AS, over=4, **options):
    """The other end of that session."""
    neighbor = Neighbor(ROUTER[over], options.pop("router_asn", OWN_AS), families=FAMILIES, **options)
    return make_peer(kind, rack.fabric, asn, FABRIC[4], [neighbor], OUTSIDE.values(), next_hops=FABRIC)


def check_routes(rack, peer, workload):
    for family, own in zip(FAMILIES, workload.addresses):
        rack.router.wait_route(OUTSIDE[family], FABRIC[family])
        peer.wait_route(own, ROUTER[family])


@pytest.mark.parametrize("over", FAMILIES, ids=["over ipv4", "over ipv6"])
@pytest.mark.parametrize("asn", [OTHER_AS, OWN_AS], ids=["ebgp", "ibgp"])
@pytest.mark.parametrize("kind", KINDS)
def test_routes_of_both_families_go_both_ways(rack, make_peer, kind, asn, over):
    configure(rack, asn, over)
    peer = make(make_peer, kind, rack, asn, over)
    peer.start()
    rack.start(rack.workload(1))
    rack.router.wait_established(FABRIC[over])
    check_routes(rack, peer, rack.workload(1))
    session = rack.router.show("bgp", FABRIC[over])[0]
    assert session["kind"] == ("ibgp" if asn == OWN_AS else "ebgp")
    assert session["remote_asn"] == asn


@pytest.mark.parametrize("kind", KINDS)
def test_a_workloads_routes_come_and_go_with_its_endpoint(rack, make_peer, kind):
    configure(rack)
    peer = make(make_peer, kind, rack)
    peer.start()
    staying, leaving = rack.workload(1), rack.workload(2)
    rack.start(staying)
    check_routes(rack, peer, staying)
    rack.router.put(leaving.endpoint())
    for prefix in leaving.addresses:
        peer.wait_route(prefix)
    rack.router.remove(leaving.endpoint())
    for prefix in leaving.addresses:
        peer.wait_no_route(prefix)
    assert all(prefix in peer.routes(family) for family, prefix in zip(FAMILIES, staying.addresses))


@pytest.mark.parametrize("kind", KINDS)
def test_learnt_routes_follow_the_peer(rack, make_peer, kind):
    configure(rack)
    peer = make(make_peer, kind, rack)
    peer.start()
    rack.start()
    rack.router.wait_established(FABRIC[4])
    for family in FAMILIES:
        peer.announce(LATER[family])
        rack.router.wait_route(LATER[family], FABRIC[family])
    for family in FAMILIES:
        peer.withdraw(LATER[family])
        rack.router.wait_no_route(LATER[family])
    assert set(OUTSIDE.values()) <= set(rack.router.routes())


@pytest.mark.parametrize("kind", KINDS)
def test_routes_of_a_restarted_peer_go_and_return(rack, make_peer, kind):
    configure(rack)
    peer = make(make_peer, kind, rack)
    peer.start()
    rack.start(rack.workload(1))
    check_routes(rack, peer, rack.workload(1))
    peer.stop()
    for prefix in OUTSIDE.values():
        rack.router.wait_no_route(prefix)
    peer.start()
    check_routes(rack, peer, rack.workload(1))


@pytest.mark.parametrize("kind", KINDS)
def test_routes_of_a_crashed_peer_go_when_its_hold_time_ends(rack, make_peer, kind):
    configure(rack, hold_time=3)
    peer = make(make_peer, kind, rack, hold_time=3)
    peer.start()
    rack.start()
    rack.router.wait_route(OUTSIDE[4])
    rack.fabric.sh("ip", "link", "set", "dev", rack.downlink, "down")
    rack.router.wait_no_route(OUTSIDE[4])
    rack.router.wait_no_route(OUTSIDE[6])
    assert "hold" in rack.router.show("bgp", FABRIC[4])[0]["last_error"].lower()


@pytest.mark.parametrize("kind", KINDS)
def test_wrong_as_is_told_and_no_session_comes_up(rack, make_peer, kind):
    configure(rack, asn=OTHER_AS)
    peer = make(make_peer, kind, rack, asn=OTHER_AS + 1)
    peer.start()
    rack.start()

    def told():
        return "AS" in rack.router.show("bgp", FABRIC[4])[0]["last_error"]

    wait_for(told, 10, "the wrong AS is in 'show bgp'")
    assert rack.router.bgp_state(FABRIC[4]) != "established"
    assert OUTSIDE[4] not in rack.router.routes()


def md5_works():
    """Whether the kernel signs TCP segments (CONFIG_TCP_MD5SIG)."""
    with socket.socket() as probe:
        try:
            probe.setsockopt(socket.IPPROTO_TCP, TCP_MD5SIG, md5_key("192.0.2.1", "secret"))
            return True
        except OSError:
            return False


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.skipif(not md5_works(), reason="this kernel has no TCP MD5 signatures (CONFIG_TCP_MD5SIG)")
def test_session_with_a_password(rack, make_peer, kind):
    configure(rack, password="secret")
    peer = make(make_peer, kind, rack, password="secret")
    peer.start()
    rack.start(rack.workload(1))
    check_routes(rack, peer, rack.workload(1))


@pytest.mark.skipif(not md5_works(), reason="this kernel has no TCP MD5 signatures (CONFIG_TCP_MD5SIG)")
def test_wrong_password_leaves_other_sessions_alone(rack, make_peer):
    right = {"address": FABRIC[6], "as": OTHER_AS}
    wrong = {"address": FABRIC[4], "as": OTHER_AS, "password": "secret"}
    rack.router.set_bgp(OWN_AS, ROUTER[4], [wrong, right])
    sessions = [Neighbor(ROUTER[4], OWN_AS, password="wrong"), Neighbor(ROUTER[6], OWN_AS)]
    make_peer(Bird, rack.fabric, OTHER_AS, FABRIC[4], sessions, OUTSIDE.values()).start()
    rack.start()
    rack.router.wait_route(OUTSIDE[6])
    assert rack.router.bgp_state(FABRIC[4]) != "established"
    assert OUTSIDE[4] not in rack.router.routes()


def test_neighbor_by_a_resource(rack, make_peer):
    """A BGPPeer object of Calico's in the watched directory instead of the config."""
    rack.router.set_bgp(OWN_AS, ROUTER[4], {})
    bird = resource("BGPPeer", "fabric", {"peerIP": FABRIC[4], "asNumber": OTHER_AS})
    rack.router.put(bird)
    make_peer(Bird, rack.fabric, OTHER_AS, FABRIC[4], [Neighbor(ROUTER[4], OWN_AS)], OUTSIDE.values()).start()
    rack.start()
    rack.router.wait_route(OUTSIDE[4], FABRIC[4])
    rack.router.remove(bird)
    rack.router.wait_no_route(OUTSIDE[4])
    assert rack.router.show("bgp") == []


def test_fabric_learns_where_guests_are(network, directory, make_router, make_peer):
    """Two hosts, BIRD between them: a workload is reached on whichever host its endpoint is."""
    racks = [Rack(network, directory, make_router, routes=False)]
    racks.append(Rack(network, directory, make_router, racks[0].fabric, 2, routes=False))
    neighbors = []
    for number, rack in enumerate(racks):
        rack.router.set_bgp(OWN_AS + number, rack.own[4], {gateway: OTHER_AS for gateway in rack.gateway.values()})
        neighbors += [Neighbor(address, OWN_AS + number) for address in rack.own.values()]
    make_peer(Bird, racks[0].fabric, OTHER_AS, FABRIC[4], neighbors, install=True).start()
    mover = racks[0].workload(1)
    asking = racks[0].veth_guest(racks[0].workload(2))
    here = racks[0].veth_guest(mover)
    for rack in racks:
        rack.launch()
    for rack in racks:
        rack.wait_ready()
        rack.router.wait_established(rack.gateway[4])
    for address in mover.address.values():
        asking.wait_reaches(address)
    there = VethGuest(network, directory, "moved", racks[1].host, mover.mac, mover.addresses, GATEWAYS)
    racks[0].router.remove(mover.endpoint())
    moved = mover.endpoint(annotations=there.annotations)
    moved["spec"]["node"] = "host-b"
    moved["metadata"]["name"] = moved["metadata"]["name"].replace("host--a", "host--b")
    racks[1].router.put(moved)
    before = here.received_packets()
    for family, address in mover.address.items():
        racks[0].router.wait_route(mover.addresses[0 if family == 4 else 1], racks[0].gateway[family])
        asking.wait_reaches(address)
    assert here.received_packets() == before


FLOATING = {4: "203.0.113.9", 6: "fd00:f::9"}
SEND_UDP = """
import socket, sys
with socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM) as probe:
    probe.settimeout(10)
    probe.connect((sys.argv[1], 9))
    probe.send(b"?")
    try:
        probe.recv(1)
    except ConnectionRefusedError:
        print("refused")
"""


def test_floating_addresses_lead_to_their_guest(rack, make_peer):
    """BIRD learns them; over them the fabric pings, connects and is told of a closed port, as the guest itself."""
    rack.router.set_bgp(OWN_AS, ROUTER[4], {gateway: OTHER_AS for gateway in FABRIC.values()})
    neighbors = [Neighbor(address, OWN_AS) for address in ROUTER.values()]
    bird = make_peer(Bird, rack.fabric, OTHER_AS, FABRIC[4], neighbors, install=True)
    bird.start()
    workload = rack.workload(1)
    floating = dict(zip(workload.address.values(), FLOATING.values()))
    guest = rack.veth_guest(workload, floating=floating)
    guest.listen_tcp(80)
    rack.start()
    prefixes = [f"{FLOATING[4]}/32", f"{FLOATING[6]}/128"]
    for family, prefix in zip(FAMILIES, prefixes):
        bird.wait_route(prefix, ROUTER[family])
        address = FLOATING[family]
        wait_for(lambda: rack.fabric_reaches(address), 20, f"the fabric reaches {address}")
        assert opens(rack.fabric, address, 80, 10)
        assert rack.fabric.sh("/usr/bin/python3", "-c", SEND_UDP, address).strip() == "refused"
        flows = rack.router.show("flows", FABRIC[family])
        assert address in [flow.get("floating") for flow in flows]
        guest.wait_reaches(address, 20)
    rack.router.put(workload.endpoint(annotations=guest.annotations))
    for prefix in prefixes:
        bird.wait_no_route(prefix)
    assert rack.fabric_reaches(workload.address[4], 10)


# Bad neighbors

RUDE = "192.0.2.200"
MARKER = b"\xff" * 16


def message(kind, body=b""):
    return MARKER + struct.pack(">HB", 19 + len(body), kind) + body


def open_message(asn=OTHER_AS, hold_time=90):
    return message(1, struct.pack(">BHH4sB", 4, asn, hold_time, socket.inet_aton(RUDE), 0))


def messages(answer):
    """Type and body of each message in what a speaker said."""
    while len(answer) >= 19:
        length, kind = struct.unpack(">HB", answer[16:19])
        yield kind, answer[19:length]
        answer = answer[length:]


NOTIFICATION = 3
KEEPALIVE = message(4)
GREETING = open_message() + KEEPALIVE
# What is said, and code and subcode of the NOTIFICATION that answers it (RFC 4271 6, RFC 6608).
GARBAGE = {
    "http": (b"GET / HTTP/1.1\r\nHost: router\r\n\r\n", (1, 1)),
    "zeros": (b"\0" * 4096, (1, 1)),
    "unknown message type": (MARKER + struct.pack(">HB", 19, 9), (1, 3)),
    "message too short": (MARKER + struct.pack(">HB", 18, 1), (1, 2)),
    "message too long": (MARKER + struct.pack(">HB", 65535, 2) + b"\0" * 5000, (1, 2)),
    "open of version 3": (message(1, struct.pack(">BHH4sB", 3, OTHER_AS, 90, socket.inet_aton(RUDE), 0)), (2, 1)),
    "open with broken parameters": (
        message(1, struct.pack(">BHH4sB", 4, OTHER_AS, 90, b"\1\1\1\1", 9) + b"\2\377"),
        (2, 0),
    ),
    "open with hold time 1": (open_message(hold_time=1), (2, 6)),
    "open without a router id": (message(1, struct.pack(">BHH4sB", 4, OTHER_AS, 90, b"\0" * 4, 0)), (2, 3)),
    "update before open": (message(2, b"\0\0\0\0"), (5, 1)),
    "second open": (GREETING + open_message(), (5, 3)),
    "update longer than itself": (GREETING + message(2, struct.pack(">H", 500) + b"\0\0"), (3, 1)),
    "attributes longer than the update": (GREETING + message(2, struct.pack(">HH", 0, 500) + b"\x40\1\1\0"), (3, 1)),
    "prefix of 77 bits": (GREETING + message(2, struct.pack(">HHB", 0, 0, 77) + b"\1" * 10), (3, 10)),
    "silence after half a header": (MARKER[:9], None),
}


def rude_visit(rack, garbage, at_once=1 << 16):
    """Says `garbage` on the BGP port, so many bytes a segment; returns what the router answered."""
    answer = b""
    with inside(rack.fabric):
        connection = socket.create_connection((ROUTER[4], 179), 5, (RUDE, 0))
    with connection:
        connection.settimeout(10)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            for at in range(0, len(garbage), at_once):
                connection.sendall(garbage[at : at + at_once])
            connection.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # the router has hung up already; what it said can still be read
        try:
            while chunk := connection.recv(4096):
                answer += chunk
        except (TimeoutError, ConnectionError):
            pass
    return answer


@pytest.mark.parametrize("at_once", [1 << 16, 1], ids=["whole", "in segments of one byte"])
def test_garbage_from_one_neighbor_leaves_the_other_alone(rack, make_peer, at_once):
    rack.fabric.add_address(rack.downlink, f"{RUDE}/24")
    good = {"address": FABRIC[4], "as": OTHER_AS, "next_hop4": ROUTER[4], "next_hop6": ROUTER[6]}
    rude = {"address": RUDE, "as": OTHER_AS, "passive": True}
    rack.router.set_bgp(OWN_AS, ROUTER[4], [good, rude])
    peer = make(make_peer, Bird, rack)
    peer.start()
    rack.start(rack.workload(1))
    check_routes(rack, peer, rack.workload(1))
    answers = {}
    for name, (garbage, _) in GARBAGE.items():
        rack.router.ctl("clear", "bgp", RUDE)  # else it would have to wait longer each time
        wait_for(lambda: rack.router.bgp_state(RUDE) == "active", 5, "the router listens to the rude neighbor")
        codes = [tuple(body[:2]) for kind, body in messages(rude_visit(rack, garbage, at_once)) if kind == NOTIFICATION]
        answers[name] = codes[0] if codes else None
    assert answers == {name: code for name, (_, code) in GARBAGE.items()}
    session = rack.router.show("bgp", FABRIC[4])[0]
    assert (session["state"], session["sessions"]) == ("established", 1), "the good session never broke"
    check_routes(rack, peer, rack.workload(1))


def test_stranger_is_turned_away(rack):
    rack.fabric.add_address(rack.downlink, f"{RUDE}/24")
    configure(rack)
    rack.start()
    wait_for(lambda: rack.fabric_reaches(ROUTER[4]), 5, "the router answers pings")
    answer = rude_visit(rack, GREETING)
    assert [kind for kind, _ in messages(answer)] in ([], [NOTIFICATION])
    assert [row["address"] for row in rack.router.show("bgp")] == [FABRIC[4]]
