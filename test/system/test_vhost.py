"""Real guests, with their own kernel, behind vhost-user: traffic, death, reboot, and their neighbors.

SPDX-License-Identifier: Apache-2.0
"""

import re

import pytest
from process import wait_for
from rack import FABRIC
from router import wait_gone
from stream import Stream

CLIENT_MODE = {"vrouter.io/vhost-mode": "client"}
# They count every packet of a stream: what else runs on a small machine would cost some.
pytestmark = [pytest.mark.alone, pytest.mark.timeout(300)]


def boot(*guests):
    """All at the same time: emulated, a guest takes seconds."""
    for guest in guests:
        guest.launch()
    for guest in guests:
        guest.wait_booted()


class Ping:
    """Counted pings in the background of a guest; loss() waits for their end."""

    def __init__(self, guest, address, count=100, interval=0.02):
        self.guest = guest
        guest.run(f"rm -f /tmp/ping; ping -c {count} -i {interval} -W 5 {address} >/tmp/ping 2>&1 &")
        wait_for(lambda: "bytes from" in guest.run("cat /tmp/ping"), 5, f"{guest.name}: pings are answered")

    def loss(self, seconds=30):
        """How many were not answered."""

        def summary():
            return re.search(r"(\d+) packets transmitted, (\d+) packets received", self.guest.run("cat /tmp/ping"))

        sent, received = map(int, wait_for(summary, seconds, "the end of the pings", every=0.2).groups())
        return sent - received


def test_guests_of_two_hosts_reach_each_other(racks, make_guest):
    workloads = [rack.workload(1) for rack in racks]
    for rack, workload in zip(racks, workloads):
        rack.launch(workload)
    for rack in racks:
        rack.wait_ready()
    guests = [rack.guest(make_guest, workload) for rack, workload in zip(racks, workloads)]
    boot(*guests)
    guests[1].listen_tcp(80)
    guests[1].run("tail -f /dev/null | nc -l -p 81 >/tmp/received &")
    for family in (4, 6):
        target = workloads[1].address[family]
        guests[0].wait_reaches(target)
        assert guests[0].opens(target, 80)
    guests[0].run(f"dd if=/dev/urandom of=/tmp/sent bs=64k count=16 2>/dev/null; nc {target} 81 </tmp/sent")
    sent = guests[0].run("md5sum </tmp/sent")
    wait_for(lambda: guests[1].run("md5sum </tmp/received") == sent, 5, "all of the file has arrived")


@pytest.fixture
def two_guests(rack, make_guest):
    """A guest that stays, one that is about to leave, and the stream of a third: (staying, leaving, stream)."""
    staying, leaving = rack.workload(1), rack.workload(2)
    third = rack.veth_guest(rack.workload(3))
    rack.start(staying, leaving)
    guests = [rack.guest(make_guest, workload) for workload in (staying, leaving)]
    boot(*guests)
    for guest in guests:
        guest.wait_reaches(FABRIC[4])
    return *guests, Stream(third.namespace, rack.fabric, FABRIC[4])


def test_guest_killed_in_mid_traffic_disturbs_nobody(rack, two_guests):
    staying, leaving, stream = two_guests
    leaving.run(f"ping -i 0.005 {FABRIC[4]} >/dev/null 2>&1 &")
    with stream:
        pings = Ping(staying, FABRIC[4])
        leaving.kill()
        rack.router.wait_log("vm2-eth0: guest disconnected")
        stream.wait_more(200)
        assert pings.loss() == 0
    assert not stream.lost
    assert not rack.fabric_reaches(rack.workload(2).address[4], 0.3)
    leaving.start()
    leaving.wait_reaches(FABRIC[4])


def test_guest_reset_and_driver_restart_in_mid_traffic(rack, two_guests):
    staying, leaving, stream = two_guests
    with stream:
        pings = Ping(staying, FABRIC[4], count=200)
        leaving.run(f"ping -i 0.005 {FABRIC[4]} >/dev/null 2>&1 &")
        leaving.restart_network_driver()
        leaving.wait_reaches(FABRIC[4])
        leaving.reset()
        leaving.wait_reaches(FABRIC[4])
        assert pings.loss() == 0
    assert not stream.lost


def test_endpoint_removed_and_added_while_others_forward(rack, two_guests):
    staying, leaving, stream = two_guests
    workload, socket = rack.workload(2), rack.router.socket_of("vm2")
    with stream:
        pings = Ping(staying, FABRIC[4])
        rack.router.remove(workload.endpoint())
        rack.router.wait_no_route(workload.addresses[0])
        wait_gone(socket)
        assert not leaving.reaches(FABRIC[4], 1)
        rack.router.put(workload.endpoint())
        rack.router.wait_endpoint(workload.endpoint_name)
        leaving.wait_reaches(FABRIC[4])
        assert pings.loss() == 0
    assert not stream.lost


@pytest.mark.parametrize("mode", ["server", "client"])
def test_guest_survives_a_restart_of_its_router(rack, make_guest, mode):
    """In client mode, QEMU holds the socket and the router comes and goes; else QEMU connects again."""
    workload = rack.workload(1)
    annotations = CLIENT_MODE if mode == "client" else None
    guest = rack.guest(make_guest, workload, listen=mode == "client")
    if mode == "client":
        guest.launch()
    rack.router.put(workload.endpoint(annotations=annotations))
    rack.workloads.append(workload)
    rack.start()
    if mode == "server":
        guest.launch()
    guest.wait_booted()
    guest.wait_reaches(FABRIC[4])
    for end in (rack.router.kill, rack.router.stop):
        end()
        rack.start()
        guest.wait_reaches(FABRIC[4])
        guest.wait_reaches(FABRIC[6])


def test_guest_with_two_queues(rack, make_guest):
    rack.router.config["workloads"]["queue_pairs"] = 2
    rack.router.config["workers"]["lcores"] = [0, 1]
    workload = rack.workload(1)
    rack.start(workload)
    guest = rack.guest(make_guest, workload, queues=2)
    guest.start()
    for family in (4, 6):
        guest.wait_reaches(FABRIC[family])
        assert rack.fabric_reaches(workload.address[family])
    guest.run("ls /sys/class/net/eth0/queues/rx-1")


@pytest.mark.parametrize("ring", ["", ",packed_vq=1", ",in_order=0", ",mrg_rxbuf=0"],
                         ids=["split", "packed", "out of order", "one buffer each"])  # fmt: skip
def test_rings_of_every_kind(rack, make_fast_guest, ring):
    workload = rack.workload(1)
    rack.start(workload)
    guest = rack.guest(make_fast_guest, workload, virtio=ring)
    guest.start()
    for family in (4, 6):
        guest.wait_reaches(FABRIC[family])
        guest.run("ping", "-c", 1, "-W", 10, "-s", 1400, FABRIC[family])


def test_guest_that_connects_before_its_policy_sends_nothing(rack, make_fast_guest):
    """Its profile is unknown: the port is there, the endpoint denies until the profile comes."""
    workload = rack.workload(1)
    rack.start(workload, profiles=["later"])
    guest = rack.guest(make_fast_guest, workload)
    guest.start()
    assert not guest.reaches(FABRIC[4], 1)
    rack.router.put(workload.endpoint())
    guest.wait_reaches(FABRIC[4])
