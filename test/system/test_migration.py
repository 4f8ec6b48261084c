"""A guest comes from another host by live migration: when its addresses are announced, and with what priority.

SPDX-License-Identifier: Apache-2.0
"""

import re

import pytest
from namespace_guest import VethGuest
from peers import Bird, Neighbor
from process import Process, wait_for
from rack import GATEWAYS
from resources import resource
from scapy.layers.l2 import ARP, Ether
from stream import Stream

# They count the packets of a stream: what else runs on a small machine would cost some.
pytestmark = [pytest.mark.alone, pytest.mark.timeout(300)]

AS = 64512
NORMAL, PREFERRED = 2**31 - 1 - 1024, 2**31 - 1 - 512  # LOCAL_PREF
BROADCAST = "ff:ff:ff:ff:ff:ff"


def live_migration(source, target):
    """As networking-calico writes it; its name is that of the target's endpoint."""

    def end(workload):
        return {
            "workloadEndpoint": {
                "hostname": workload.node,
                "orchestratorID": "openstack",
                "workloadID": f"prod/{workload.name}",
                "endpointID": "eth0",
            }
        }

    name = target.endpoint_name.partition("/")[2]
    return resource("LiveMigration", name, {"source": end(source), "target": end(target)}, "prod")


def reverse_arp(mac):
    """What a hypervisor sends for a guest that has come."""
    packet = ARP(op=3, hwsrc=mac, hwdst=mac, psrc="0.0.0.0", pdst="0.0.0.0")
    return Ether(bytes(Ether(src=mac, dst=BROADCAST, type=0x8035) / packet).ljust(60, b"\0"))


def phase(router, workload):
    """The role of an endpoint, and how far its guest has come."""
    rows = {row["name"]: row for row in router.show("endpoints")}
    return rows[workload.endpoint_name]["migration"]


def announced(bird, prefix):
    """Next hop -> LOCAL_PREF of all routes that a BIRD was told."""
    text = bird.ask("show", "route", "all", prefix)
    hops = re.findall(r"BGP.next_hop: (\S+)", text)
    return dict(zip(hops, map(int, re.findall(r"BGP.local_pref: (\d+)", text)), strict=True))


@pytest.fixture
def move(racks, make_peer):
    """A BIRD between two hosts, a workload of the first, and the same as it will be on the second."""
    old, new = racks
    source = old.workload(9)
    target = new.workload(9)
    target.name, target.mac, target.address, target.addresses = (
        source.name,
        source.mac,
        source.address,
        source.addresses,
    )
    for rack in racks:
        rack.router.set_bgp(AS, rack.own[4], {rack.gateway[4]: AS})
    sessions = [Neighbor(rack.own[4], AS) for rack in racks]
    bird = make_peer(Bird, old.fabric, AS, old.gateway[4], sessions, install=True)
    bird.start()
    return bird, source, target


def wait_announced(bird, prefix, wanted, seconds=30):
    wait_for(lambda: announced(bird, prefix) == wanted, seconds, f"{prefix} is announced as {wanted}")


def test_a_target_waits_for_its_guest_and_is_preferred_for_a_while(racks, move, wire):
    """Hidden, then preferred while the old host announces it still, then as any other; no packet is lost."""
    old, new = racks
    bird, source, target = move
    prefix = source.addresses[0]
    migration = live_migration(source, target)
    before = old.veth_guest(source)
    new.router.put(resource("FelixConfiguration", "default", {"liveMigrationRouteConvergenceTime": "5s"}))
    for rack in racks:
        rack.start()
        rack.router.wait_established(rack.gateway[4], 30)
    wait_announced(bird, prefix, {old.own[4]: NORMAL})
    after = VethGuest(new.network, new.directory, "there", new.host, target.mac, target.addresses[:1], GATEWAYS[:1])
    after.namespace.write_sysctl("net/ipv6/conf/eth0/disable_ipv6", 1)  # it keeps silent
    with Stream(old.fabric, before.namespace, source.address[4]) as stream:
        for rack in racks:
            rack.router.put(migration)
        new.router.put(target.endpoint(annotations=after.annotations))
        new.router.wait_endpoint(target.endpoint_name)
        assert phase(old.router, source) == "source"
        assert phase(new.router, target) == "target, awaited"
        stream.wait_more()
        assert announced(bird, prefix) == {old.own[4]: NORMAL}
        assert new.router.routes().get(prefix) is None

        stream.also_at(after.namespace)
        guest = wire(after.namespace, "eth0")
        guest.send(reverse_arp("02:00:00:00:09:99"))  # another's MAC
        new.router.wait(lambda: new.router.drops().get("spoofed_address", 0) > 0, 5, "it is not believed")
        assert phase(new.router, target) == "target, awaited"
        guest.send(reverse_arp(target.mac))
        wait_announced(bird, prefix, {old.own[4]: NORMAL, new.own[4]: PREFERRED})
        assert phase(new.router, target) == "target, preferred"
        stream.wait_more()

        old.router.remove(source.endpoint())
        wait_announced(bird, prefix, {new.own[4]: PREFERRED})
        for rack in racks:
            rack.router.remove(migration)
        new.router.wait(lambda: phase(new.router, target) == "preferred", 5, "the migration is over")
        wait_announced(bird, prefix, {new.own[4]: NORMAL})
        stream.wait_more()
    assert stream.lost == []


class Pings:
    """Of a namespace, 50 a second: which were answered."""

    def __init__(self, namespace, address, directory, seconds):
        words = ["ping", "-n", "-i", "0.02", "-w", seconds, address]
        self.process = Process(words, directory / "pings", namespace)
        wait_for(lambda: self.answered, 10, f"{address} answers")

    @property
    def answered(self):
        return sorted(map(int, re.findall(r"icmp_seq=(\d+) ttl", self.process.output())))

    def wait_more(self):
        last = self.answered[-1]
        wait_for(lambda: self.answered[-1] > last + 10, 20, "pings are answered")

    @property
    def lost(self):
        """How many were not answered that lie between two that were."""
        answered = self.answered
        return answered[-1] - answered[0] + 1 - len(set(answered))


def test_a_real_guest_migrates(racks, move, make_guest, directory, cleanup):
    """QEMU moves it; its connections go on, and nobody announces it who does not have it."""
    old, new = racks
    bird, source, target = move
    prefix = source.addresses[0]
    migration = live_migration(source, target)
    old.launch(source)
    new.launch()
    for rack in racks:
        rack.wait_ready()
        rack.router.wait_established(rack.gateway[4], 30)
    guest = old.guest(make_guest, source)
    guest.start()
    old.fabric_reaches(source.address[4])
    for rack in racks:
        rack.router.put(migration)
    new.router.put(target.endpoint())
    new.router.wait_endpoint(target.endpoint_name)
    there = make_guest(
        "there", new.router.socket_of(target.name), target.mac, target.addresses, GATEWAYS, incoming=guest
    )
    there.launch()
    wait_for(there.migration_socket.exists, 10, "the other QEMU waits")
    assert phase(new.router, target) == "target, awaited"
    assert "guest connected" not in new.router.log  # it waits behind a socket that is in use
    assert announced(bird, prefix) == {old.own[4]: NORMAL}

    pings = Pings(old.fabric, source.address[4], directory, 120)
    cleanup.callback(pings.process.stop)
    pings.wait_more()
    guest.migrate_to(there)
    pings.wait_more()
    lost_by_migration = pings.lost
    wait_announced(bird, prefix, {new.own[4]: PREFERRED})
    assert phase(new.router, target) == "target, preferred"
    assert "guest disconnected" in old.router.log
    guest.kill()
    pings.wait_more()
    old.router.remove(source.endpoint())
    pings.wait_more()
    assert pings.lost == lost_by_migration
    print(f"lost as the guest moved: {lost_by_migration} pings, of 50 a second")

    new.router.kill()  # in the middle of it
    new.router.start()
    wait_announced(bird, prefix, {new.own[4]: PREFERRED})
    pings.wait_more()


def test_a_target_without_its_guest_is_served_once_the_migration_is_over(rack):
    """It was never announced by anybody: that the resource goes is the sign."""
    workload = rack.workload(9)
    source = rack.workload(9)
    source.rack = 2
    migration = live_migration(source, workload)
    rack.router.put(migration, workload.endpoint())
    rack.router.launch()
    rack.wait_ready()
    rack.router.wait_endpoint(workload.endpoint_name)
    assert phase(rack.router, workload) == "target, awaited"
    assert workload.addresses[0] not in rack.router.routes()
    rack.router.remove(migration)
    rack.router.wait_route(workload.addresses[0])
    assert phase(rack.router, workload) == ""


def test_an_invalid_migration_is_told_and_counts_as_none(rack):
    workload = rack.workload(9)
    migration = live_migration(workload, workload)
    rack.router.put(migration)
    rack.start(workload)
    assert phase(rack.router, workload) == ""
    told = rack.router.ctl("get", "livemigrations", "-o", "wide")
    assert "source and target are the same endpoint" in told
