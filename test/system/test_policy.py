"""Policy from the watched directory, as packets feel it.

SPDX-License-Identifier: Apache-2.0
"""

import pytest
from process import wait_for
from rack import FABRIC, Rack, Workload
from resources import network_policy, rule

FROM_FABRIC = {"source": {"nets": ["192.0.2.0/24", "fd00:2::/64"]}}


@pytest.fixture
def rack(network, make_router):
    return Rack(network, make_router)


def opens(rack, address, port):
    script = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 0.5)"
    try:
        rack.fabric.sh("/usr/bin/python3", "-c", script, address, port)
        return True
    except AssertionError:
        return False


def web(*ports):
    return network_policy(
        "web",
        "role == 'server'",
        ingress=[rule(protocol="TCP", ports=ports, **FROM_FABRIC), rule(protocol="ICMP", **FROM_FABRIC)],
    )


def start_server(rack, make_fast_guest, *documents):
    vm = Workload(1)
    rack.router.put(*documents)
    rack.start(vm, labels={"role": "server"})
    guest = rack.guest(make_fast_guest, vm)
    guest.listen_tcp(80, 81)
    guest.start()
    rack.router.wait_endpoint(vm.endpoint_name)
    return vm, guest


def test_only_allowed_ports_open_and_replies_pass(rack, make_fast_guest):
    vm, guest = start_server(rack, make_fast_guest, web(80))
    for family in (4, 6):
        wait_for(lambda: opens(rack, vm.address[family], 80), 5, "port 80 opens")
        assert not opens(rack, vm.address[family], 81)
    assert guest.reaches(FABRIC[4]), "the policy is about ingress only; replies pass"


def test_edited_policy_is_in_force(rack, make_fast_guest):
    vm, _ = start_server(rack, make_fast_guest, web(80))
    wait_for(lambda: opens(rack, vm.address[4], 80), 5, "port 80 opens")
    assert not opens(rack, vm.address[4], 81)
    rack.router.put(web(80, 81))
    wait_for(lambda: opens(rack, vm.address[4], 81), 5, "port 81 opens")


def test_trace_names_the_rule_that_decides(rack, make_fast_guest):
    vm, _ = start_server(rack, make_fast_guest, web(80))
    allowed = rack.router.trace("uplink0", vm.address[4], "tcp", 80, source=FABRIC[4])
    denied = rack.router.trace("uplink0", vm.address[4], "tcp", 81, source=FABRIC[4])
    assert allowed["verdict"] == "delivered"
    assert denied["verdict"] == "dropped"
    deciding = [step for step in allowed["steps"] if "web" in step["policy"]]
    assert deciding and deciding[0]["rule"] == 0


def test_invalid_policy_stays_visible_and_opens_nothing(rack, make_fast_guest):
    broken = web(80)
    broken["spec"]["selector"] = "role = 'server'"
    closed = network_policy("closed", "role == 'server'", ingress=[])
    vm, _ = start_server(rack, make_fast_guest, closed, broken)
    rows = rack.router.ask("get", "NetworkPolicy")
    seen = {row["name"]: row for row in rows}["default.web"]
    assert not seen["valid"]
    assert "selector" in seen["problem"]
    assert not opens(rack, vm.address[4], 80)


def test_endpoint_without_policy_or_profile_is_closed(rack, make_fast_guest):
    vm = Workload(1)
    rack.start(vm, profiles=[])
    guest = rack.guest(make_fast_guest, vm)
    guest.start()
    rack.router.wait_endpoint(vm.endpoint_name)
    assert not guest.reaches(FABRIC[4])
    assert not rack.fabric_reaches(vm.address[4])
