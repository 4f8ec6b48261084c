"""Blocks of addresses in a real etcd: what routers claim there, announce, and give to many at once.

SPDX-License-Identifier: Apache-2.0
"""

import ipaddress
import json
import os
import pty
import subprocess

import pytest
from etcd import MISSING, Etcd
from peers import Bird, Neighbor
from process import wait_for
from rack import FABRIC, ROUTER, Rack
from resources import resource
from router import BUILD

pytestmark = [
    pytest.mark.alone,  # etcd's own time limits do not like a busy machine
    pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}"),
]

IPAM = "/calico/ipam/v2/"
OWN = {4: "10.65.1.0/26", 6: "fd00:65:1::/122"}
FOREIGN = {4: "10.65.1.128/26", 6: "fd00:65:1::80/122"}
UNUSED = {4: "10.65.1.9", 6: "fd00:65:1::9"}
POOLS = {4: "10.65.0.0/16", 6: "fd00:65::/32"}


def pool(family, **options):
    return resource("IPPool", f"pool{family}", {"cidr": POOLS[family], **options})


def key_of_block(cidr):
    return f"{IPAM}assignment/ipv{6 if ':' in cidr else 4}/block/{cidr.replace('/', '-')}"


def key_of_claim(host, cidr):
    return f"{IPAM}host/{host}/ipv{6 if ':' in cidr else 4}/block/{cidr.replace('/', '-')}"


def write_block(etcd, host, cidr):
    """An empty block with its claim, as Calico writes them."""
    size = ipaddress.ip_network(cidr).num_addresses
    block = {"cidr": cidr, "affinity": f"host:{host}", "allocations": [None] * size}
    block |= {"unallocated": list(range(size)), "attributes": None, "sequenceNumber": 1763795417123456789}
    etcd.write(key_of_block(cidr), {**block, "sequenceNumberForAllocation": {}, "deleted": False})
    claim(etcd, host, cidr)


def claim(etcd, host, cidr, state="confirmed"):
    etcd.write(key_of_claim(host, cidr), {"state": state, "deleted": False})


def ctl_at_a_terminal(router, *words):
    """What vrouterctl prints, and what it draws on the terminal of its user meanwhile."""
    screen, stderr = pty.openpty()
    try:
        command = [BUILD / "vrouterctl", "--socket", router.control_socket, *map(str, words)]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=stderr, text=True, timeout=60)
        return done.stdout, os.read(screen, 4096).decode()
    finally:
        os.close(screen)
        os.close(stderr)


def use(router, etcd):
    state = str(router.directory / "etcd.state")
    router.config["datastore"] = {"etcd": {"endpoints": [etcd.url], "state_file": state}}
    router.put = etcd.put


def make_etcd(namespace, directory, cleanup):
    etcd = Etcd(namespace, directory)
    cleanup.callback(etcd.stop)
    etcd.start().wait_healthy()
    etcd.set_ready()
    return etcd


def test_a_host_announces_its_blocks_and_what_lies_in_others(network, directory, make_router, make_peer, cleanup):
    rack = Rack(network, directory, make_router, routes=False)
    router, etcd = rack.router, make_etcd(rack.host, directory, cleanup)
    use(router, etcd)
    local, borrowed = rack.workload(1), rack.workload(130)
    etcd.put(pool(4), pool(6))
    for cidr in FOREIGN.values():
        write_block(etcd, "host-b", cidr)
    guest = rack.veth_guest(local)
    neighbor = Neighbor(ROUTER[4], 64512, families=(4, 6))
    bird = make_peer(Bird, rack.fabric, 65000, FABRIC[4], [neighbor], next_hops=FABRIC, install=True)
    hops = {"next_hop4": ROUTER[4], "next_hop6": ROUTER[6]}
    router.set_bgp(64512, ROUTER[4], [{"address": FABRIC[4], "as": 65000, "families": ["ipv4", "ipv6"], **hops}])
    bird.start()
    rack.start(borrowed)
    for prefix in (*local.addresses, *borrowed.addresses):
        bird.wait_route(prefix)

    for workload in (local, borrowed):
        for address in workload.address.values():
            router.ctl("ipam", "allocate", "--handle", f"net.{workload.name}", "--address", address)
    for family, prefix in zip((4, 6), local.addresses):
        bird.wait_route(OWN[family], ROUTER[family])
        bird.wait_no_route(prefix)
    bird_has = set(bird.routes(4)) | set(bird.routes(6))
    assert not bird_has & set(FOREIGN.values())
    assert bird_has >= set(borrowed.addresses)
    assert json.loads(etcd.get(key_of_claim("host-a", OWN[4]))) == {"state": "confirmed", "deleted": False}

    # Packets: to who is there, and to nobody.
    guest.wait_reaches(FABRIC[4])
    assert rack.fabric_reaches(local.address[4]) and rack.fabric_reaches(local.address[6])
    for address in UNUSED.values():
        before = router.drops().get("discarded", 0)
        rack.fabric.sh("ping", "-c", 1, "-W", 1, address, check=False)
        wait_for(lambda: router.drops().get("discarded", 0) == before + 1, 5, f"{address} is discarded")

    # Without etcd the last good state counts.
    etcd.kill()
    router.stop()
    rack.launch()
    router.wait_ready()
    router.wait_route(OWN[4], seconds=15)
    router.wait_established(FABRIC[4])
    bird.wait_route(OWN[4], ROUTER[4])
    router.wait_route(local.addresses[0], seconds=15)
    bird.wait_route(borrowed.addresses[0], ROUTER[4])
    assert local.addresses[0] not in bird.routes(4)
    etcd.start().wait_healthy()

    # A claim that is not confirmed is none.
    claim(etcd, "host-a", OWN[4], "pending")
    bird.wait_no_route(OWN[4], seconds=20)
    bird.wait_route(local.addresses[0])
    claim(etcd, "host-a", OWN[4])
    bird.wait_no_route(local.addresses[0])
    etcd.put(pool(4, disableBGPExport=True))
    for prefix in (OWN[4], borrowed.addresses[0]):
        bird.wait_no_route(prefix)
    assert local.addresses[0] not in bird.routes(4)
    assert OWN[6] in bird.routes(6)


class Hosts:
    """Two routers without a data plane that share an etcd."""

    NAMES = ("h1", "h2")

    def __init__(self, network, directory, make_router, cleanup):
        namespace = network.namespace("hosts")
        self.etcd = make_etcd(namespace, directory, cleanup)
        self.routers = []
        for name in self.NAMES:
            router = make_router(namespace, name, dataplane="none")
            for key in ("eal", "workers", "ports", "workloads"):
                router.config.pop(key)
            router.config["bgp"] = {"as": 64512, "router_id": "192.0.2.1", "listen": False}
            use(router, self.etcd)
            self.etcd.put(resource("Node", name, {}))
            self.routers.append(router)

    def start(self):
        for router in self.routers:
            router.launch()
        for router in self.routers:
            router.wait_ready()
            router.wait_log("in sync at revision", 10)

    def allocate(self, number):
        """Begins to, for workload `number`."""
        router = self.routers[number % 2]
        words = ["ipam", "allocate", "--handle", f"net.{number}", "--ipv4", "1", "--json"]
        return subprocess.Popen(
            [BUILD / "vrouterctl", "--socket", router.control_socket, *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def blocks(self):
        prefix = f"{IPAM}assignment/"
        return [json.loads(self.etcd.get(key)) for key in self.etcd.keys(prefix)]


def test_hosts_that_allocate_at_once_get_different_addresses_and_leaks_are_mended(
    network, directory, make_router, cleanup
):
    hosts = Hosts(network, directory, make_router, cleanup)
    etcd, router = hosts.etcd, hosts.routers[0]
    etcd.put(resource("IPPool", "pool", {"cidr": "10.0.0.0/27", "blockSize": 29}))
    hosts.start()
    processes = [hosts.allocate(number) for number in range(33)]
    answers = [process.communicate(timeout=60)[0] for process in processes]
    given = [json.loads(a)[0] for a, p in zip(answers, processes) if p.returncode == 0]
    refused = [answer for answer, process in zip(answers, processes) if process.returncode == 1]
    assert len({row["address"] for row in given}) == len(given) == 32
    assert len(refused) == 1 and "no IPv4 address is left" in refused[0]
    assert {row["origin"] for row in given} >= {"own", "claimed"}

    # As Calico keeps it.
    blocks = hosts.blocks()
    assert {block["cidr"] for block in blocks} == {f"10.0.0.{n}/29" for n in (0, 8, 16, 24)}
    for block in blocks:
        host = block["affinity"].removeprefix("host:")
        assert host in Hosts.NAMES and None not in block["allocations"] and not block["unallocated"]
        assert json.loads(etcd.get(key_of_claim(host, block["cidr"]))) == {"state": "confirmed", "deleted": False}
    assert len(etcd.keys(f"{IPAM}handle/")) == 32

    # One address is used, the others are leaks.
    used = given[0]
    spec = {"node": "h1", "interfaceName": "cali0", "ipNetworks": [used["address"] + "/32"]}
    router.put(resource("WorkloadEndpoint", "h1-cni-a-eth0", spec, "prod"))
    rows = {row["cidr"]: row for row in router.ask("ipam", "show")}
    assert sum(row["used"] for row in rows.values()) == 32
    assert router.ctl_status("ipam", "check")[0] == 0  # they are young
    status, output = router.ctl_status("ipam", "check", "--grace", 0)
    assert status == 1 and output.count("leaked_address") == 31
    status, output = router.ctl_status("ipam", "gc", "--grace", 0)
    assert status == 1 and output.count("would") == 31
    assert len(etcd.keys(f"{IPAM}handle/")) == 32
    output, screen = ctl_at_a_terminal(router, "ipam", "gc", "--grace", 0, "--yes", "--wait", 1)
    assert output.count("done") == 31
    assert "ipam gc ..." in screen and screen.endswith("\r\x1b[K"), repr(screen)
    assert [row["address"] for row in router.ask("ipam", "addresses")] == [used["address"]]
    assert router.ctl_status("ipam", "check", "--grace", 0)[0] == 0
    assert etcd.keys(f"{IPAM}handle/") == [f"{IPAM}handle/{used['handle']}"]
    assert router.ask("ipam", "release", "--handle", used["handle"])[0]["address"] == used["address"]
