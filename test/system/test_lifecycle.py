"""Start, stop, mistakes of the operator, and more than one router on a machine.

SPDX-License-Identifier: Apache-2.0
"""

import pytest
from process import wait_for
from rack import ROUTER, Rack
from router import wait_gone


@pytest.fixture
def rack(network, make_router):
    return Rack(network, make_router)


def test_clean_stop_leaves_no_socket(rack):
    rack.start()
    assert rack.router.stop() == 0
    wait_gone(rack.router.control_socket)


def test_restart_after_a_kill(rack):
    rack.start()
    rack.router.kill()
    rack.router.start()
    wait_for(lambda: rack.fabric_reaches(ROUTER[4]), 5, "the router answers pings")


def test_second_instance_on_the_same_socket_is_refused(rack, make_router):
    rack.start()
    second = make_router(rack.fabric, "host-b")
    second.config["control"] = rack.router.config["control"]
    second.launch()
    assert second.process.child.wait(10) == 1
    assert str(rack.router.control_socket) in second.log
    assert rack.router.answers()


@pytest.mark.parametrize(
    "change, expected",
    [
        ({"nod": "host-a"}, "nod"),
        ({"bgp": {"as": "many", "router_id": "192.0.2.1"}}, "as"),
        ({"routes": [{"prefix": "10.0.0.0/33", "via": ["192.0.2.254"]}]}, "10.0.0.0/33"),
    ],
    ids=["unknown key", "wrong number", "wrong prefix"],
)
def test_mistake_in_the_config_is_told_with_its_line(rack, change, expected):
    rack.router.config.update(change)
    rack.router.launch()
    assert rack.router.process.child.wait(10) == 1
    path = rack.router.directory / "vrouter.yaml"
    line = next(n for n, text in enumerate(path.read_text().splitlines(), 1) if expected in text)
    assert f"vrouter.yaml:{line}" in rack.router.log
    assert expected in rack.router.log
