"""The router as a BGP speaker beside BIRD, FRR and GoBGP.

SPDX-License-Identifier: Apache-2.0
"""

import pytest
from peers import Bird, Frr, Gobgp, Neighbor
from rack import FABRIC, ROUTER, Rack, Workload

OUTSIDE = ["172.16.0.0/16", "fd01::/32"]
KINDS = [Bird, Frr, Gobgp]


@pytest.fixture
def rack(network, make_router):
    return Rack(network, make_router, routes=False)


def start_peer(rack, make_peer, kind, asn, router_asn):
    rack.router.set_bgp(router_asn, ROUTER[4], {FABRIC[4]: asn, FABRIC[6]: asn})
    neighbors = [Neighbor(ROUTER[4], router_asn), Neighbor(ROUTER[6], router_asn)]
    return make_peer(kind, rack.fabric, asn, FABRIC[4], neighbors, OUTSIDE, next_hops=FABRIC).start()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("asn", [65000, 64512], ids=["ebgp", "ibgp"])
def test_routes_go_both_ways(rack, make_peer, kind, asn):
    vm = Workload(1)
    peer = start_peer(rack, make_peer, kind, asn, 64512)
    rack.start(vm)
    for family in (4, 6):
        rack.router.wait_established(FABRIC[family])
        rack.router.wait_route(OUTSIDE[0 if family == 4 else 1], FABRIC[family])
        peer.wait_route(vm.addresses[0 if family == 4 else 1], ROUTER[family])


@pytest.mark.parametrize("kind", KINDS)
def test_removed_endpoint_is_withdrawn(rack, make_peer, kind):
    vm = Workload(1)
    peer = start_peer(rack, make_peer, kind, 65000, 64512)
    rack.start(vm)
    peer.wait_route(vm.addresses[0])
    peer.wait_route(vm.addresses[1])
    rack.router.remove(vm.endpoint())
    peer.wait_no_route(vm.addresses[0])
    peer.wait_no_route(vm.addresses[1])


def test_routes_of_a_dead_peer_go(rack, make_peer):
    peer = start_peer(rack, make_peer, Bird, 65000, 64512)
    rack.start()
    rack.router.wait_route(OUTSIDE[0])
    peer.stop()
    rack.router.wait_no_route(OUTSIDE[0])
    peer.start()
    rack.router.wait_route(OUTSIDE[0])
