"""BGP over links without addresses: neighbors find each other by router advertisements (RFC 4861).

Sessions and next hops are link-local, routes and packets of both families (RFC 8950).
SPDX-License-Identifier: Apache-2.0
"""

import ipaddress
import signal

import pytest
from network import link_local
from peers import Bird, Neighbor
from process import wait_for
from rack import ROUTER, Rack
from zebra import UnnumberedFrr

NETWORKS = ["172.16.0.0/16", "fd00:172::/32"]
TARGETS = ["172.16.0.1", "fd00:172::1"]
OWN_AS, OTHER_AS = 64512, 65000


@pytest.fixture
def make_frr(directory, cleanup):
    def make(namespace, interface, networks=NETWORKS):
        frr = UnnumberedFrr(namespace, directory, interface, OTHER_AS, "192.0.2.254", OWN_AS, networks)
        cleanup.callback(frr.stop)
        return frr

    return make


@pytest.fixture
def rack(network, directory, make_router):
    """No address on the link between the two; the router's own are the host's."""
    rack = Rack(network, directory, make_router, routes=False)
    rack.router.config["ports"][0]["addresses"] = []
    rack.fabric.sh("ip", "address", "flush", "dev", rack.downlink, "scope", "global")
    for target in TARGETS:
        rack.fabric.add_address("lo", f"{target}/{ipaddress.ip_address(target).max_prefixlen}")
    return rack


def session_on(router, interface):
    """The neighbor there, or nothing."""
    return next((row for row in router.show("bgp") if row["interface"] == interface), {})


def wait_session(router, interface, peer):
    def there():
        session = session_on(router, interface)
        return session.get("state", "").lower() == "established" and session["address"] == f"{peer}%{interface}"

    router.wait(there, 40, f"a session with {peer} on {interface}")


def check_forwarding(rack, guest, peer):
    for prefix in NETWORKS:
        rack.router.wait_route(prefix, peer, 20)
    for prefix in rack.workload(1).addresses:
        family = ipaddress.ip_interface(prefix).version
        host = prefix.partition("/")[0]
        rack.router.wait(lambda: host in rack.fabric.sh("ip", f"-{family}", "route"), 20, f"the fabric knows {host}")
    for target in TARGETS:
        guest.wait_reaches(target, 20)


def test_neighbors_find_each_other(rack, make_frr):
    rack.router.set_bgp(OWN_AS, ROUTER[4], [{"interface": "uplink0", "as": OTHER_AS}])
    peer = link_local(rack.fabric.mac(rack.downlink))
    guest = rack.veth_guest(rack.workload(1))
    rack.start()
    unheard = session_on(rack.router, "uplink0")
    assert unheard["state"].lower() == "idle" and not unheard.get("address")
    assert unheard["last_error"] == "no router advertises itself there"
    frr = make_frr(rack.fabric, rack.downlink).start()
    wait_session(rack.router, "uplink0", peer)
    check_forwarding(rack, guest, peer)
    assert f"{peer}%uplink0" in rack.router.ctl("bgp", "neighbor", "uplink0")
    assert "default" not in rack.host.sh("ip", "-6", "route"), "an advertisement changed the host's routes"
    frr.stop()
    for prefix in NETWORKS:
        rack.router.wait_no_route(prefix, 30)


def test_named_neighbor_on_a_link(rack, make_peer):
    """BIRD, which advertises nothing: each names the other.  BFD is link-local, too, and outlives a restart."""
    peer = link_local(rack.fabric.mac(rack.downlink))
    bfd = {"transmit_ms": 500, "receive_ms": 500, "multiplier": 5}
    options = {"bfd": bfd, "hold_time": 90, "graceful_restart": "full"}
    rack.router.set_bgp(OWN_AS, ROUTER[4], [{"address": f"{peer}%uplink0", "as": OTHER_AS, **options}])
    own = link_local(rack.host.mac("uplink"))
    neighbor = Neighbor(f"{own}%{rack.downlink}", OWN_AS, families=(4, 6), bfd=True, restart_time=60)
    bird = make_peer(Bird, rack.fabric, OTHER_AS, "192.0.2.254", [neighbor], NETWORKS, install=True)
    guest = rack.veth_guest(rack.workload(1))
    bird.start()
    rack.start()
    wait_session(rack.router, "uplink0", peer)
    check_forwarding(rack, guest, peer)
    rack.router.wait_log(f"bgp {peer}%uplink0: BFD up", 30)
    before = session_on(rack.router, "uplink0")["bfd"]["local_discriminator"]
    rack.router.ctl("bgp", "restart")
    assert NETWORKS[0] in rack.router.routes(), "kept here"
    wait_session(rack.router, "uplink0", peer)
    bfd = session_on(rack.router, "uplink0")["bfd"]
    assert (bfd["local_discriminator"], bfd["ups"]) == (before, 1), "one session of BFD all the time"
    bird.process.signal(signal.SIGSTOP)
    try:
        rack.router.wait_log("BFD down: nothing heard for the detection time", 20)
        rack.router.wait_log("BFD session down", 20)
    finally:
        bird.process.signal(signal.SIGCONT)
    wait_session(rack.router, "uplink0", peer)
    check_source_port(rack, bird)


def check_source_port(rack, bird):
    """RFC 5881 4: a session of BFD has one, though nobody listens for a while."""

    def refused():
        rows = rack.fabric.sh("cat", "/proc/net/snmp6").splitlines()
        return next(int(row.split()[1]) for row in rows if row.startswith("Udp6NoPorts"))

    def source_ports():
        return {row.split()[-2] for row in rack.host.sh("ss", "-Hun6", "dport = :3784").splitlines()}

    before, refused_before = source_ports(), refused()
    assert len(before) == 1
    bird.stop()
    wait_for(lambda: refused() >= refused_before + 4, 40, "packets of BFD find nobody")
    assert source_ports() == before


def test_speaker_without_data_plane(network, make_router, make_frr):
    """Its neighbors are on the kernel's interfaces."""
    host, fabric = network.namespace("host-a"), network.namespace("fabric")
    network.link(host, "uplink", fabric, "down1")
    router = make_router(host, "host-a", dataplane="none")
    router.set_bgp(OWN_AS, "192.0.2.1", [{"interface": "uplink", "as": OTHER_AS}])
    router.config["bgp"]["announce"] = ["203.0.113.0/24"]
    make_frr(fabric, "down1").start()
    router.start()
    wait_session(router, "uplink", link_local(fabric.mac("down1")))
    for prefix in NETWORKS:
        told = lambda: any(row["prefix"] == prefix for row in router.ask("bgp", "routes"))  # noqa: E731
        router.wait(told, 20, f"the speaker knows {prefix}")
    router.wait(lambda: "203.0.113.0/24" in fabric.sh("ip", "route"), 20, "the neighbor knows 203.0.113.0/24")
