"""A fabric of several routers: a reflector dies or a workload moves at no packet's cost, paths share flows.

SPDX-License-Identifier: Apache-2.0
"""

import re
import socket

import pytest
from peers import Bird, Frr, Gobgp, Neighbor
from rack import ROUTER, Rack
from stream import Stream
from wire import inside

# Where every packet of a stream is counted, what else runs on a small machine would cost some.
alone = pytest.mark.alone

AS = 64512
HIGHEST = 2**31 - 1  # of which a route's priority is taken off
OUTSIDE = "172.16.0.0/16"
TARGET = "172.16.0.1"
REFLECTORS = ["192.0.2.11", "192.0.2.12"]
CLIENTS = ["192.0.2.21", "192.0.2.22"]


@pytest.fixture
def switched(network, directory, make_router):
    """A rack whose fabric is a bridge, and a way to join it: (rack, join)."""
    rack = Rack(network, directory, make_router, routes=False)
    switch = rack.fabric
    switch.sh("ip", "link", "add", "bridge", "type", "bridge")
    switch.sh("ip", "link", "set", "bridge", "up")
    switch.sh("ip", "link", "set", rack.downlink, "master", "bridge")

    def join(name, address):
        space = network.namespace(name)
        network.link(space, "eth0", switch, f"to-{name}")
        switch.sh("ip", "link", "set", f"to-{name}", "master", "bridge")
        space.add_address("eth0", f"{address}/24")
        return space

    return rack, join


@alone
@pytest.mark.parametrize(
    "kinds, cluster",
    [([Bird, Frr], ""), ([Bird, Frr], "192.0.2.99"), ([Gobgp, Bird], "")],
    ids=["own clusters", "one cluster", "gobgp"],
)
def test_either_of_two_reflectors_may_die(switched, make_peer, kinds, cluster):
    rack, join = switched
    router = rack.router
    router.set_bgp(AS, ROUTER[4], dict.fromkeys(REFLECTORS, AS))
    reflectors = {}
    for kind, address in zip(kinds, REFLECTORS):
        space = join(kind.__name__.lower(), address)
        sessions = [Neighbor(client, AS, reflector_client=True) for client in (ROUTER[4], *CLIENTS)]
        reflectors[address] = make_peer(kind, space, AS, address, sessions, cluster=cluster, keep_next_hop=True)
        reflectors[address].start()
    for number, address in enumerate(CLIENTS):
        space = join(f"client{number}", address)
        sessions = [Neighbor(reflector, AS) for reflector in REFLECTORS]
        make_peer(Bird, space, AS, address, sessions, [f"172.{16 + number}.0.0/16"]).start()
        if number == 0:
            space.add_address("lo", f"{TARGET}/32")
            target = space
    guest = rack.veth_guest(rack.workload(1))
    rack.start()
    for address in REFLECTORS:
        router.wait_established(address, 30)

    def told_by_all():
        return len(router.ask("bgp", "routes", OUTSIDE)) == len(REFLECTORS)

    router.wait(told_by_all, 30, "both reflectors tell the route")
    router.wait_route(OUTSIDE, CLIENTS[0])
    with Stream(guest.namespace, target, TARGET, interval=0.001) as stream:
        for address, reflector in reflectors.items():
            reflector.process.kill()
            router.wait(lambda: router.bgp_state(address) != "established", 20, "the reflector is gone")
            stream.wait_more()
            reflector.start()
            router.wait_established(address, 30)
            router.wait(told_by_all, 30, "both reflectors tell the route again")
    assert stream.lost == [], (stream.sent, router.show("drops"), router.show("ports"))


TORS_AS = 65001
TORS = {"192.0.2.31": "fd00:2::31", "192.0.2.32": "fd00:2::32"}
BLOCKS = {4: "10.65.1.0/26", 6: "fd00:65:1::/122"}  # in which workload 1 is
TARGETS = {4: TARGET, 6: "fd01::1"}


@pytest.mark.parametrize("kinds", [[Bird, Frr], [Gobgp, Bird]], ids=["bird and frr", "gobgp and bird"])
def test_host_under_a_pair_of_tors(switched, make_peer, kinds):
    """MD5, TTL security, both families on a session: blocks up, defaults down, and either ToR may go."""
    rack, join = switched
    router, peers = rack.router, {}
    for kind, (address, address6) in zip(kinds, TORS.items()):
        space = join(f"tor{len(peers)}", address)
        space.add_address("eth0", f"{address6}/64")
        space.add_address("lo", f"{TARGETS[4]}/32", f"{TARGETS[6]}/128")
        session = Neighbor(ROUTER[4], AS, families=(4, 6), password="sesame", ttl_security=True)
        hops = {4: address, 6: address6}
        options = {"next_hops": hops, "install": kind is not Gobgp}
        peers[address] = make_peer(kind, space, TORS_AS, address, [session], ["0.0.0.0/0", "::/0"], **options).start()
        if kind is Gobgp:  # it installs nothing
            for family, block in BLOCKS.items():
                space.add_route(block, ROUTER[family])
    session = {"as": TORS_AS, "password": "sesame", "ttl_security": 1, "next_hop4": ROUTER[4], "next_hop6": ROUTER[6]}
    policy = {"import": ["0.0.0.0/0", "::/0"], "export": list(BLOCKS.values())}
    router.set_bgp(AS, ROUTER[4], [{"address": address, **session, **policy} for address in TORS])
    router.config["bgp"]["announce"] = list(BLOCKS.values())
    guest = rack.veth_guest(rack.workload(1))
    rack.start()

    def defaults_lead_to(*tors):
        wanted = {"0.0.0.0/0": set(tors), "::/0": {TORS[tor] for tor in tors}}
        router.wait(lambda: {p: router.routes().get(p) for p in wanted} == wanted, 30, f"defaults lead to {tors}")

    defaults_lead_to(*TORS)
    for peer in peers.values():
        for (family, block), address in zip(BLOCKS.items(), rack.workload(1).addresses):
            peer.wait_route(block, ROUTER[family])
            assert address not in peer.routes(family), "the block alone is told"
    for leaving, staying in (TORS, reversed(TORS)):
        peers[leaving].process.kill()
        defaults_lead_to(staying)
        for target in TARGETS.values():
            guest.wait_reaches(target)
        peers[leaving].start()
        defaults_lead_to(*TORS)


@pytest.mark.parametrize("kind", [Bird, Frr, Gobgp])
def test_flows_are_shared_by_paths_of_one_neighbor(switched, make_peer, kind):
    """RFC 7911: two paths of a reflector are two next hops in the FIB, until it withdraws one path identifier."""
    rack, join = switched
    router, reflector = rack.router, REFLECTORS[0]
    router.set_bgp(AS, ROUTER[4], [{"address": reflector, "as": AS, "add_path": "receive"}])
    sessions = [Neighbor(client, AS, reflector_client=True) for client in CLIENTS]
    sessions.append(Neighbor(ROUTER[4], AS, reflector_client=True, add_path=True))
    make_peer(kind, join("reflector", reflector), AS, reflector, sessions, keep_next_hop=True).start()
    clients, targets = [], []
    for number, address in enumerate(CLIENTS):
        targets.append(join(f"client{number}", address))
        targets[-1].add_address("lo", f"{TARGET}/32")
        clients.append(make_peer(Bird, targets[-1], AS, address, [Neighbor(reflector, AS)], [OUTSIDE]).start())
    guest = rack.veth_guest(rack.workload(1))
    rack.start()

    def leads_to(*hops):
        router.wait(lambda: router.routes().get(OUTSIDE) == set(hops), 30, f"packets for {OUTSIDE} go to {hops}")
        ids = [row["path_id"] for row in router.ask("bgp", "routes", OUTSIDE)]
        assert len(ids) == len(set(ids)) == len(hops) and None not in ids

    def unheard(target):
        """Datagrams that came to a port of it where nobody listens."""
        rows = target.sh("cat", "/proc/net/snmp").splitlines()
        names, values = (row.split() for row in rows if row.startswith("Udp:"))
        return int(values[names.index("NoPorts")])

    def all_hear_of(targets):
        """Flows of the guest, until each of these has had one."""
        before = [unheard(target) for target in targets]

        def heard():
            with inside(guest.namespace), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
                sender.sendto(b"?", (TARGET, 9))
            return all(unheard(target) > old for target, old in zip(targets, before))

        router.wait(heard, 20, "each has had a flow")

    leads_to(*CLIENTS)
    all_hear_of(targets)
    clients[0].withdraw(OUTSIDE)
    leads_to(CLIENTS[1])
    all_hear_of(targets[1:])
    clients[0].announce(OUTSIDE)
    leads_to(*CLIENTS)
    all_hear_of(targets)


def local_prefs(bird, prefix):
    told = re.findall(r"BGP.local_pref: (\d+)", bird.ask("show", "route", "all", prefix))
    return {int(value) for value in told}


@alone
def test_workload_moves_without_a_gap(racks, make_peer):
    """The host that it moves to announces it with a higher LOCAL_PREF before the other withdraws it.

    Once that one has let go, it is announced like any other address.
    """
    old, new = racks
    fabric = old.fabric
    workload = old.workload(9)
    moved = new.workload(9)
    moved.address, moved.addresses = workload.address, workload.addresses
    prefix = workload.addresses[0]
    for rack in racks:
        rack.router.set_bgp(AS, rack.own[4], {rack.gateway[4]: AS})
    sessions = [Neighbor(rack.own[4], AS) for rack in racks]
    bird = make_peer(Bird, fabric, AS, old.gateway[4], sessions, install=True)
    bird.start()
    before = old.veth_guest(workload)
    for rack in racks:
        rack.start()
        rack.router.wait_established(rack.gateway[4], 30)

    def leads_to(rack):
        rack.router.wait(
            lambda: fabric.routes().get(workload.address[4]) == [rack.own[4]], 30, "the fabric follows it")

    leads_to(old)
    with Stream(fabric, before.namespace, workload.address[4]) as stream:
        after = new.veth_guest(moved, annotations={"vrouter.io/route-priority": "512"})
        stream.also_at(after.namespace)
        leads_to(new)
        stream.wait_more()
        old.router.remove(workload.endpoint())
        old.router.wait(lambda: prefix not in old.router.routes(), 20, "the old host lets go")
        stream.wait_more()
        new.router.put(moved.endpoint(annotations=after.annotations))
        new.router.wait(lambda: local_prefs(bird, prefix) == {HIGHEST - 1024}, 30, "it is an address like others")
        stream.wait_more()
    assert stream.lost == []
