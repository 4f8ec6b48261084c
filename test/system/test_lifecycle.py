"""Start, stop, restart, mistakes of the operator, and more than one router on a machine.

SPDX-License-Identifier: Apache-2.0
"""

import subprocess

import pytest
from process import wait_for
from rack import FABRIC, ROUTER
from router import BUILD, wait_gone

# Counts every packet of a stream: what else runs on a small machine would cost some.
pytestmark = pytest.mark.alone


def interfaces(namespace):
    return namespace.sh("ip", "-o", "link")


def test_clean_stop_leaves_nothing(rack):
    """No TAP, no socket, no process, and what was there before is as it was."""
    guest = rack.veth_guest(rack.workload(1))
    before = interfaces(rack.host)
    rack.start(rack.workload(2))
    guest.wait_reaches(FABRIC[4])
    assert "vr0" in interfaces(rack.host)
    assert rack.router.socket_of("vm2").exists()
    assert rack.router.stop() == 0
    wait_gone(rack.router.control_socket)
    assert "vr0" not in interfaces(rack.host)
    assert not list(rack.router.sockets.iterdir())
    assert not rack.host.pids()
    assert len(interfaces(rack.host).splitlines()) == len(before.splitlines())
    assert "error" not in rack.router.log


@pytest.mark.parametrize("end", ["kill", "stop"])
def test_restarted_router_forwards_again(rack, end):
    guest = rack.veth_guest(rack.workload(1))
    rack.start(rack.workload(2))
    guest.wait_reaches(FABRIC[4])
    getattr(rack.router, end)()
    assert not guest.reaches(FABRIC[4], 0.3)
    rack.router.launch()
    rack.wait_ready()
    rack.router.wait_socket("vm2")
    for family in (4, 6):
        guest.wait_reaches(FABRIC[family])
        wait_for(lambda: rack.fabric_reaches(ROUTER[family]), 5, "the router answers pings")


def test_second_instance_on_the_same_socket_is_refused(rack, make_router):
    guest = rack.veth_guest(rack.workload(1))
    rack.start()
    second = make_router(rack.fabric, "host-b")
    second.config["control"] = rack.router.config["control"]
    second.launch()
    assert second.process.child.wait(10) == 1
    assert str(rack.router.control_socket) in second.log
    assert rack.router.answers()
    assert guest.reaches(FABRIC[4])


def test_config_file_may_disappear_while_running(rack):
    guest = rack.veth_guest(rack.workload(1))
    rack.start()
    (rack.router.directory / "vrouter.yaml").unlink()
    guest.wait_reaches(FABRIC[4])
    assert rack.router.answers()
    assert rack.router.stop() == 0


# Mistakes in the config.  The line with the mistake ends in "# here".


MISTAKES = {
    "no file": (None, "no such file"),
    "no node": ("workers: {}  # here", "node"),
    "unknown key": ("node: a\nnod: b  # here", "unknown key"),
    "unknown key inside": ("node: a\nworkers:\n  lcors: [1]  # here", "lcors"),
    "wrong word": ("node: a\nworkers:\n  idle: lazy  # here", "adaptive or busy"),
    "CPU named twice": ("node: a\nworkers:\n  lcores: [1, 1]  # here", "twice"),
    "number too large": ("node: a\nports:\n  - name: u\n    device: net_null0\n    mtu: 99999  # here", "1280"),
    "port without device": ("node: a\nports:\n  - name: u  # here", "device"),
    "port named twice": (
        "node: a\nports:\n  - {name: u, device: net_null0}\n  - {name: u, device: net_null1}  # here",
        "defined twice",
    ),
    "prefix too long": ("node: a\nroutes:\n  - prefix: 10.0.0.0/33  # here\n    via: [192.0.2.1]", "10.0.0.0/33"),
    "next hop of the other family": ("node: a\nroutes:\n  - prefix: 10.0.0.0/8\n    via: [fd00::1]  # here", "family"),
    "route without next hop": ("node: a\nroutes:\n  - prefix: 10.0.0.0/8  # here", "discard"),
    "neighbor on an unknown port": (
        "node: a\nneighbors:\n  - address: 192.0.2.1\n    mac: 02:00:00:00:00:01\n    port: nowhere  # here",
        "nowhere",
    ),
    "group address as a neighbor": (
        "node: a\nports: [{name: u, device: net_null0}]\nneighbors:\n"
        "  - address: 192.0.2.1\n    mac: ff:ff:ff:ff:ff:ff  # here\n    port: u",
        "MAC",
    ),
    "AS in words": ("node: a\nbgp:\n  as: many  # here\n  router_id: 192.0.2.1", "1 to 4294967295"),
    "hold time 1": (
        "node: a\nbgp:\n  as: 1\n  router_id: 192.0.2.1\n  neighbors:\n"
        "    - address: 192.0.2.2\n      as: 2\n      hold_time: 1  # here",
        "hold_time",
    ),
    "bad filter": (
        "node: a\nbgp:\n  as: 1\n  router_id: 192.0.2.1\n  neighbors:\n"
        "    - address: 192.0.2.2\n      as: 2\n      import: ['10.0.0.0/8 ge 4']  # here",
        "ge 24",
    ),
    "tab": ("node: a\nworkers:\n\tlcores: [1]  # here", ""),
    "list instead of keys": ("- node: a  # here", ""),
    "section as a word": ("node: a\nworkers: many  # here", "workers"),
}


@pytest.mark.parametrize("text, expected", MISTAKES.values(), ids=MISTAKES)
def test_mistake_in_the_config_is_told_with_file_and_line(directory, text, expected):
    path = directory / "vrouter.yaml"
    if text is not None:
        path.write_text(text + "\n")
    done = subprocess.run([BUILD / "vrouterd", "--check", "--config", path], capture_output=True, text=True, timeout=20)
    assert done.returncode == 1, done.stdout
    lines = [number for number, line in enumerate((text or "").splitlines(), 1) if "# here" in line]
    assert f"{path}:{lines[0]}:" in done.stderr if lines else str(path) in done.stderr
    assert expected in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_right_config_is_called_right(rack):
    rack.router.namespace.sh(BUILD / "vrouterd", "--check", "--config", rack.router.write_config())


def test_check_tells_what_this_machine_lacks(rack):
    rack.router.config["ports"][0]["device"] = "net_af_packet0,iface=nowhere"
    rack.router.config["workers"]["lcores"] = [511]
    words = [BUILD / "vrouterd", "--check", "--config", rack.router.write_config()]
    done = subprocess.run(words, capture_output=True, text=True, timeout=20)
    assert done.returncode == 1
    assert "workers.lcores: CPU 511 is not one" in done.stderr
    assert "there is no network interface 'nowhere' here" in done.stderr


def test_device_that_cannot_be_opened_is_told(rack):
    rack.router.config["ports"][0]["device"] = "net_af_packet0,iface=nowhere"
    rack.router.launch()
    assert rack.router.process.child.wait(10) == 1
    assert "port uplink0: device 'net_af_packet0,iface=nowhere': there is no network interface" in rack.router.log
    assert not rack.router.control_socket.exists()
