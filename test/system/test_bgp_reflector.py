"""The router as a route reflector without a data plane; its clients are BIRD, FRR and GoBGP.

SPDX-License-Identifier: Apache-2.0
"""

import json
import os
import pty
import re
import shutil
import subprocess

import pytest
from peers import Bird, Frr, Gobgp, Neighbor
from process import wait_for
from router import BUILD, Router

AS = 65001
REFLECTOR = "10.9.0.100"
KINDS = [Bird, Frr, Gobgp]
SHARED = "172.20.0.0/16"


def address(number):
    return f"10.9.0.{number}"


@pytest.fixture
def fabric(network):
    """A namespace whose bridge joins all others: reflector and clients."""
    switch = network.namespace("switch")
    switch.sh("ip", "link", "add", "bridge", "type", "bridge")
    switch.sh("ip", "link", "set", "bridge", "up")

    def join(name, own):
        space = network.namespace(name)
        network.link(space, "eth0", switch, f"to-{name}")
        switch.sh("ip", "link", "set", f"to-{name}", "master", "bridge")
        space.add_address("eth0", f"{own}/24")
        return space

    return join


@pytest.fixture
def reflector(fabric, directory, cleanup):
    def make(clients, **options):
        space = fabric("reflector", REFLECTOR)
        router = Router(space, directory, "reflector", dataplane="none")
        for key in ("eal", "workers", "ports", "workloads", "datastore"):
            router.config.pop(key)
        neighbors = [{"address": address(i), "as": AS, "route_reflector_client": True, "passive": True, **options}
                     for i in clients]
        router.set_bgp(AS, REFLECTOR, neighbors)
        for neighbor in router.config["bgp"]["neighbors"]:
            neighbor["export"] = "all"
        cleanup.callback(router.stop)
        return router.start()

    return make


@pytest.fixture
def client(fabric, make_peer):
    def make(kind, number, networks, to=REFLECTOR, **options):
        space = fabric(f"client{number}", address(number))
        neighbor = Neighbor(to, AS, families=(4,), **options)
        return make_peer(kind, space, AS, address(number), [neighbor], networks, next_hops={4: address(number)}).start()

    return make


def all_up(router, clients):
    for number in clients:
        router.wait_established(address(number))


def test_clients_of_every_kind_hear_each_other(reflector, client):
    router = reflector((1, 2, 3))
    own = {number: f"172.16.{number}.0/24" for number in (1, 2, 3)}
    peers = {number: client(kind, number, [own[number]]) for number, kind in zip(own, KINDS)}
    all_up(router, own)
    for listener, peer in peers.items():
        for speaker, prefix in own.items():
            if speaker != listener:
                peer.wait_route(prefix, address(speaker))
    peers[3].withdraw(own[3])
    peers[1].wait_no_route(own[3])
    peers[2].wait_no_route(own[3])


def test_bird_is_told_originator_and_cluster(reflector, client):
    router = reflector((1, 2))
    listener = client(Bird, 1, [])
    client(Gobgp, 2, [SHARED])
    all_up(router, (1, 2))
    listener.wait_route(SHARED, address(2))
    shown = listener.ask("show", "route", SHARED, "all")
    assert re.search(rf"BGP.originator_id: {address(2)}", shown)
    assert re.search(rf"BGP.cluster_list: {REFLECTOR}", shown)


def paths_of(peer, prefix):
    """How many paths to `prefix` a client has from the reflector."""
    if isinstance(peer, Bird):
        return len(re.findall(r"unicast \[", peer.ask("show", "route", prefix)))
    if isinstance(peer, Frr):
        return len(peer.ask_json(f"show bgp ipv4 unicast {prefix}").get("paths", []))
    return len(peer.ask_json("global", "rib", prefix).get(prefix, []))


@pytest.mark.parametrize("kind", KINDS)
def test_every_path_comes_with_add_path(reflector, client, kind):
    router = reflector((1, 2, 3), add_path="both")
    listener = client(kind, 1, [], add_path=True)
    first = client(Bird, 2, [SHARED], add_path=True)
    client(Bird, 3, [SHARED], add_path=True)
    all_up(router, (1, 2, 3))
    wait_for(lambda: paths_of(listener, SHARED) == 2, 10, "both paths")
    first.withdraw(SHARED)
    wait_for(lambda: paths_of(listener, SHARED) == 1, 10, "one path is withdrawn")
    listener.wait_route(SHARED, address(3))


def test_dumped_table_is_loaded_by_another_router(fabric, make_router, reflector, client, directory):
    """Which then has the same table and tells it, until it is unloaded; a file that ends early is said to."""
    router = reflector((1, 2))
    networks = {1: ["172.16.1.0/24", SHARED], 2: ["172.16.2.0/24", SHARED]}
    for number, prefixes in networks.items():
        client(Bird, number, prefixes)
    all_up(router, networks)
    everything = {prefix for prefixes in networks.values() for prefix in prefixes}

    def table(of):
        keys = ("next_hop", "as_path", "origin", "local_pref", "med", "communities")
        return {row["prefix"]: [row.get(key) for key in keys] for row in of.ask("bgp", "routes", "--best")}

    router.wait(lambda: set(table(router)) == everything, 20, "all routes are there")
    dump = directory / "table.mrt"
    ctl = [BUILD / "vrouterctl", "--socket", router.control_socket, "bgp", "dump"]
    dump.write_bytes(subprocess.run(ctl, capture_output=True, timeout=15, check=True).stdout)

    other = make_router(fabric("other", address(200)), "other", dataplane="none")
    for key in ("eal", "workers", "ports", "workloads", "datastore"):
        other.config.pop(key)
    other.set_bgp(AS, address(200), [{"address": address(3), "as": AS, "passive": True}])
    other.start()
    listener = client(Bird, 3, [], to=address(200))
    assert other.ctl("bgp", "load", str(dump)) == f"routes: {len(everything)}\n"
    other.wait(lambda: table(other) == table(router), 15, "both have the same table")
    listener.wait_route("172.16.1.0/24", address(1), 30)
    cut = directory / "cut.mrt"
    cut.write_bytes(dump.read_bytes()[:-1])
    status, told = other.ctl_status("bgp", "load", str(cut))[:2]
    assert status == 1 and "the file ends within it" in told
    assert other.ctl("bgp", "unload") == f"routes: {len(everything)}\n"
    listener.wait_no_route("172.16.1.0/24", 30)
    assert table(other) == {}


def test_what_is_wrong_with_files_is_told(directory):
    """No router is needed to say so."""

    def tell(*words, stdout=subprocess.PIPE):
        ctl = [BUILD / "vrouterctl", "--socket", directory / "none", *words]
        return subprocess.run(ctl, stdout=stdout, stderr=subprocess.PIPE, text=True, timeout=15, check=False)

    cut = directory / "cut.mrt"
    cut.write_bytes(bytes(11))
    read = tell("bgp", "read", cut, "--json")
    assert (read.returncode, read.stdout) == (1, "[]\n")
    assert json.loads(read.stderr) == {"error": f"{cut}: record 1: the file ends within it", "exit": 1}
    folder = tell("bgp", "read", directory)
    assert (folder.returncode, folder.stderr) == (2, f"vrouterctl: bgp read: cannot read {directory}: Is a directory\n")
    master, terminal = pty.openpty()
    dump = tell("bgp", "dump", stdout=terminal)
    for end in (master, terminal):
        os.close(end)
    wanted = "vrouterctl: bgp dump: a terminal cannot show it: vrouterctl bgp dump > table.mrt\n"
    assert (dump.returncode, dump.stderr) == (2, wanted)
    with open("/dev/full", "w") as full:
        script = tell("completion", "bash", stdout=full)
    wanted = "vrouterctl: not all could be written: No space left on device\n"
    assert (script.returncode, script.stderr) == (1, wanted)


def test_dumped_table_is_read_by_ourselves_and_by_others(reflector, client, directory):
    router = reflector((1, 2), add_path="both")
    own = {1: "172.16.1.0/24", 2: "172.16.2.0/24"}
    for number, prefix in own.items():
        client(Bird, number, [prefix], add_path=number == 1)
    all_up(router, own)
    for number, prefix in own.items():
        router.wait(lambda p=prefix: {r["prefix"] for r in router.ask("bgp", "routes")} >= {p}, 15, f"{prefix} is there")
    dump = directory / "table.mrt"
    ctl = [BUILD / "vrouterctl", "--socket", router.control_socket, "bgp"]
    dump.write_bytes(subprocess.run([*ctl, "dump"], capture_output=True, timeout=15, check=True).stdout)
    read = subprocess.run([*ctl, "read", dump, "--json"], capture_output=True, timeout=15, check=True)
    rows = json.loads(read.stdout)
    wanted = {(prefix, address(number), address(number)) for number, prefix in own.items()}
    assert {(row["prefix"], row["neighbor"], row["next_hop"]) for row in rows} == wanted
    ids = {row["prefix"]: row["path_id"] for row in router.ask("bgp", "routes")}
    assert {row["prefix"]: row["path_id"] for row in rows} == ids
    assert ids[own[1]] is not None and ids[own[2]] is None
    if not shutil.which("bgpdump"):
        pytest.skip("bgpdump is not installed")
    others = subprocess.run(["bgpdump", "-m", dump], capture_output=True, text=True, timeout=15, check=True)
    found = [line.split("|") for line in others.stdout.splitlines()]
    with_id = {line[5]: int(line.pop(6)) for line in found if line[0] == "TABLE_DUMP2_AP"}
    assert with_id == {own[1]: ids[own[1]]}
    assert {(line[5], line[3], line[8]) for line in found} == wanted
