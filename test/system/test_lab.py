"""The laboratory itself: what the other tests stand on works on this machine.

SPDX-License-Identifier: Apache-2.0
"""

import peers
import pytest


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
def test_bgp_daemons_exchange_routes(network, directory, cleanup, other):
    left, right = network.namespace("left"), network.namespace("right")
    network.link(left, "eth0", right, "eth0")
    left.add_address("eth0", "10.0.0.1/24", "fd00::1/64")
    right.add_address("eth0", "10.0.0.2/24", "fd00::2/64")
    hops = {4: "10.0.0.2", 6: "fd00::2"}
    bird = peers.Bird(
        left,
        directory,
        65001,
        "10.0.0.1",
        [peers.Neighbor("10.0.0.2", 65002), peers.Neighbor("fd00::2", 65002)],
        ["172.16.1.0/24", "fd01:1::/64"],
    )
    daemon = other(
        right,
        directory,
        65002,
        "10.0.0.2",
        [peers.Neighbor("10.0.0.1", 65001), peers.Neighbor("fd00::1", 65001)],
        ["172.16.2.0/24", "fd01:2::/64"],
        next_hops=hops,
    )
    for peer in (bird, daemon):
        cleanup.callback(peer.stop)
        peer.start()
    bird.wait_established("10.0.0.2")
    daemon.wait_established("fd00::1")
    bird.wait_route("172.16.2.0/24", "10.0.0.2")
    bird.wait_route("fd01:2::/64", "fd00::2")
    daemon.wait_route("172.16.1.0/24", "10.0.0.1")
    if other is not peers.Frr:
        daemon.wait_route("fd01:1::/64", "fd00::1")
