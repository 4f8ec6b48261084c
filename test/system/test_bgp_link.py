"""Sessions and the link below them: IPv4 routes over IPv6 next hops.

SPDX-License-Identifier: Apache-2.0
"""

import pytest
from peers import Bird, Frr, Neighbor
from rack import FABRIC, ROUTER, Rack

OUTSIDE = "172.16.0.0/16"
TARGET = "172.16.0.1"
OWN_AS, OTHER_AS = 64512, 65000


@pytest.fixture
def rack(network, directory, make_router):
    return Rack(network, directory, make_router, routes=False)


def configure(rack, over, **options):
    rack.router.set_bgp(OWN_AS, ROUTER[4], [{"address": FABRIC[over], "as": OTHER_AS, **options}])


@pytest.mark.parametrize("kind", [Bird, Frr])
def test_ipv4_routes_lead_over_ipv6_next_hops(rack, make_peer, kind):
    """RFC 8950: the session and the next hop are IPv6, the packets IPv4."""
    rack.fabric.add_address("lo", f"{TARGET}/32")
    configure(rack, 6)
    session = Neighbor(ROUTER[6], OWN_AS, families=(4, 6))
    hops = {4: FABRIC[6], 6: FABRIC[6]} if kind is Bird else {6: FABRIC[6]}
    peer = make_peer(kind, rack.fabric, OTHER_AS, FABRIC[4], [session], [OUTSIDE], next_hops=hops)
    peer.start()
    guest = rack.veth_guest(rack.workload(1))
    rack.fabric.add_route(rack.workload(1).addresses[0], ROUTER[4])
    rack.start()
    rack.router.wait_route(OUTSIDE, FABRIC[6])
    guest.wait_reaches(TARGET)
    peer.wait_route(rack.workload(1).addresses[0])
