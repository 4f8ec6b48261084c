"""The laboratory itself: what the other tests stand on works on this machine.

SPDX-License-Identifier: Apache-2.0
"""

import subprocess

import peers
import pytest
import reach
from process import Process
from scapy.layers.l2 import Ether


def test_guest_boots_and_answers(make_guest):
    guest = make_guest("alone", None, "02:00:00:00:00:01")
    guest.start()
    assert guest.run("echo $((6 * 7))").strip() == "42"
    assert guest.run("exit 3", check=False) == (3, "")


def test_namespaces_reach_each_other(network):
    left, right = network.namespace("left"), network.namespace("right")
    network.link(left, "eth0", right, "eth0")
    left.add_address("eth0", "10.0.0.1/24", "fd00::1/64")
    right.add_address("eth0", "10.0.0.2/24", "fd00::2/64")
    for address in ("10.0.0.2", "fd00::2"):
        assert "1 received" in left.sh("ping", "-c", "1", "-W", "2", address)


@pytest.mark.parametrize("other", [peers.Frr, peers.Gobgp, peers.Bird])
def test_bgp_daemons_exchange_routes(network, make_peer, other):
    left, right = network.namespace("left"), network.namespace("right")
    network.link(left, "eth0", right, "eth0")
    left.add_address("eth0", "10.0.0.1/24", "fd00::1/64")
    right.add_address("eth0", "10.0.0.2/24", "fd00::2/64")
    hops = {4: "10.0.0.2", 6: "fd00::2"}
    bird = make_peer(
        peers.Bird,
        left,
        65001,
        "10.0.0.1",
        [peers.Neighbor("10.0.0.2", 65002), peers.Neighbor("fd00::2", 65002)],
        ["172.16.1.0/24", "fd01:1::/64"],
    )
    daemon = make_peer(
        other,
        right,
        65002,
        "10.0.0.2",
        [peers.Neighbor("10.0.0.1", 65001), peers.Neighbor("fd00::1", 65001)],
        ["172.16.2.0/24", "fd01:2::/64"],
        next_hops=hops,
    )
    bird.start()
    daemon.start()
    bird.wait_established("10.0.0.2")
    daemon.wait_established("fd00::1")
    bird.wait_route("172.16.2.0/24", "10.0.0.2")
    bird.wait_route("fd01:2::/64", "fd00::2")
    daemon.wait_route("172.16.1.0/24", "10.0.0.1")
    if other is not peers.Frr:
        daemon.wait_route("fd01:1::/64", "fd00::1")


def test_wire_carries_crafted_frames(network, wire):
    left, right = network.namespace("left"), network.namespace("right")
    network.link(left, "eth0", right, "eth0")
    sender, receiver = wire(left, "eth0"), wire(right, "eth0")
    sender.send(Ether(dst="ff:ff:ff:ff:ff:ff", type=0x88B5) / b"hello")
    assert receiver.receive(lambda frame: frame.type == 0x88B5).load.startswith(b"hello")


class Switch:
    """testpmd with vhost ports 2i and 2i+1 joined: a stand-in for the router."""

    def __init__(self, directory, sockets):
        devices = [w for i, s in enumerate(sockets) for w in ("--vdev", f"net_vhost{i},iface={s},queues=1")]
        eal = ["-l", "0,1", "--no-pci", "--no-huge", "-m", "128", "--no-shconf", "--no-telemetry"]
        options = ["-i", "--nb-cores=1", "--total-num-mbufs=8192"]
        words = ["dpdk-testpmd", *eal, *devices, "--", *options]
        self.process = Process(words, directory / "switch.log", stdin=subprocess.PIPE)
        self.process.wait_for_output("testpmd>")
        self.process.child.stdin.write(b"start\n")
        self.process.child.stdin.flush()


def test_guests_reach_each_other_over_vhost_user(directory, cleanup, make_guest):
    sockets = [directory / "a.sock", directory / "b.sock"]
    switch = Switch(directory, sockets)
    cleanup.callback(switch.process.stop)
    addresses = {"a": ["10.0.0.1/24", "fd00::1/64"], "b": ["10.0.0.2/24", "fd00::2/64"]}
    a, b = (
        make_guest(name, socket, f"02:00:00:00:00:0{name}", addresses[name]) for name, socket in zip("ab", sockets)
    )
    a.launch()
    b.launch()
    a.wait_booted()
    b.wait_booted()
    reach.check([a, b], ["10.0.0.1", "10.0.0.2", "fd00::1", "fd00::2"], {
        "a": ["10.0.0.1", "10.0.0.2", "fd00::1", "fd00::2"],
        "b": ["10.0.0.1", "10.0.0.2", "fd00::1", "fd00::2"],
    })  # fmt: skip
    b.listen_tcp(8080)
    reach.check([a], ["10.0.0.2", "fd00::2"], {"a": ["10.0.0.2", "fd00::2"]}, port=8080)
    assert not a.opens("10.0.0.2", 8081, 1)
    b.restart_network_driver()
    a.wait_reaches("fd00::2")


def test_fast_guest_speaks_to_a_guest(directory, cleanup, make_guest, make_fast_guest):
    sockets = [directory / "a.sock", directory / "b.sock"]
    switch = Switch(directory, sockets)
    cleanup.callback(switch.process.stop)
    guest = make_guest("a", sockets[0], "02:00:00:00:00:0a", ["10.0.0.1/32"], ["10.0.0.2"])
    fast = make_fast_guest("b", sockets[1], "02:00:00:00:00:0b", ["10.0.0.2/32"], ["10.0.0.1"])
    fast.start()
    guest.start()
    guest.wait_reaches("10.0.0.2")
    guest.listen_tcp(8080)
    assert fast.opens("10.0.0.1", 8080)
    assert not fast.opens("10.0.0.1", 8081, 1)
