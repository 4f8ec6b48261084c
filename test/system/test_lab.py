"""The laboratory itself: what the other tests stand on works on this machine.

SPDX-License-Identifier: Apache-2.0
"""


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
