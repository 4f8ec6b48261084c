"""Many routes: two reflectors without a data plane, 200 hosts with 250 routes each, and what changes there.

All hosts but two are scripted and hear without listening: as many daemons would cost this machine more than the
reflectors do.  The two are BIRD and FRR, whose tables must be those of the reflectors; GoBGP takes seconds for as many
routes.  VROUTER_CHURN_SECONDS says how long routes change.
SPDX-License-Identifier: Apache-2.0
"""

import json
import os
import pathlib
import random
import re
import socket
import struct
import subprocess
import time

import pytest
from peers import Bird, Frr, Gobgp, Neighbor
from process import wait_for
from reflector_lab import AS, CLIENTS, REFLECTOR, Lab
from router import BUILD
from scripted_speaker import AS_PATH, NEXT_HOP, TRANSITIVE, ScriptedSpeaker, attribute, nlri, update

REFLECTORS = ["10.9.0.1", "10.9.0.2"]
SCRIPTED = [f"10.9.1.{number}" for number in range(1, 199)]
DAEMONS = {"10.9.2.1": Bird, "10.9.2.2": Frr}
ROUTES = 250  # of each host
RATE, SECONDS = 1000, float(os.environ.get("VROUTER_CHURN_SECONDS", 2))
ORIGIN, LOCAL_PREF = 1, 5
INTERNAL = (b"", (LOCAL_PREF, b"\0\0\0\x64"))  # an empty path


def routes_of(host):
    number = [*DAEMONS, *SCRIPTED].index(host)
    return [f"10.100.{number}.{route}/32" for route in range(ROUTES)]


def announcement(hop, prefixes, as_path, *more):
    attributes = [(ORIGIN, b"\0"), (AS_PATH, as_path), (NEXT_HOP, socket.inet_aton(hop)), *more]
    octets = b"".join(attribute(TRANSITIVE, *each) for each in attributes)
    return update(octets, b"".join(map(nlri, prefixes)))


class Deaf(ScriptedSpeaker):
    """Throws away what it hears once its session is there."""

    def take_messages(self):
        if self.up:
            self.unread = b""
        else:
            super().take_messages()


class Cluster:
    """Reflectors and their clients; `known`: prefix -> the host that announces it."""

    def __init__(self, network, make_router, make_peer, cleanup):
        self.network, self.switch = network, network.namespace("switch")
        self.switch.sh("ip", "link", "add", "bridge", "type", "bridge")
        self.switch.sh("ip", "link", "set", "bridge", "up")
        clients = {"prefix": "10.9.0.0/16", "as": AS, "route_reflector_client": True, "import": "all", "export": "all"}
        self.routers = []
        for number, own in enumerate(REFLECTORS):
            router = make_router(self.join(f"reflector{number}", own), f"reflector{number}", dataplane="none")
            for key in ("eal", "workers", "ports", "workloads", "datastore"):
                router.config.pop(key)
            router.config["log"] = {"level": "warning"}
            router.config["bgp"] = {"as": AS, "router_id": own, "ranges": [{**clients, "limit": 1000}]}
            self.routers.append(router)
        there = self.join("hosts", *SCRIPTED)
        self.sessions = {host: [Deaf(there, host, router, AS) for router in REFLECTORS] for host in SCRIPTED}
        for session in self.all_sessions():
            cleanup.callback(session.close)
        self.daemons = [
            make_peer(kind, self.join(kind.__name__.lower(), host), AS, host, [Neighbor(r, AS) for r in REFLECTORS],
                      routes_of(host), next_hops={4: host})
            for host, kind in DAEMONS.items()
        ]  # fmt: skip
        self.known = {prefix: host for host in [*DAEMONS, *SCRIPTED] for prefix in routes_of(host)}

    def join(self, name, *addresses):
        space = self.network.namespace(name)
        self.network.link(space, "eth0", self.switch, f"to-{name}")
        self.switch.sh("ip", "link", "set", f"to-{name}", "master", "bridge")
        space.add_address("eth0", *(f"{address}/16" for address in addresses))
        return space

    def all_sessions(self):
        return [session for pair in self.sessions.values() for session in pair]

    def call(self):
        """Every scripted host has its sessions and tells its routes."""
        wait_for(lambda: all([session.established() for session in self.all_sessions()]), 20, "all sessions are there")
        for host, pair in self.sessions.items():
            for session in pair:
                session.send(announcement(host, routes_of(host), *INTERNAL))

    def hear(self):
        for session in self.all_sessions():
            session.pump()

    def wait_settled(self, seconds=60):
        """Until the reflectors have told each host all routes but its own."""
        own = dict.fromkeys([*DAEMONS, *SCRIPTED], 0)
        for host in self.known.values():
            own[host] += 1
        wanted = {host: (count, len(self.known) - count) for host, count in own.items()}

        def told(router):
            rows = router.ask("bgp", "summary")
            return {row["address"]: (row["ipv4"]["accepted"], row["ipv4"]["advertised"]) for row in rows}

        wait_for(lambda: self.hear() or all(told(router) == wanted for router in self.routers), seconds,
                 "every host is told of all others")  # fmt: skip

    def wait_equal(self):
        """Until tables are `known`: the reflectors', and what of it a daemon has of others."""
        for router in self.routers:
            assert {row["prefix"]: row["neighbor"] for row in router.ask("bgp", "routes")} == self.known
        for daemon in self.daemons:
            others = {prefix: {host} for prefix, host in self.known.items() if host != daemon.router_id}

            def has(daemon=daemon, others=others):
                self.hear()
                routes = daemon.routes().items()
                return {p: hops for p, hops in routes if p.startswith("10.100.") and p not in daemon.networks} == others

            daemon.process.wait_for(has, 30, f"{daemon} has the reflectors' table")

    def check_dump(self, make_router, file):
        """What a reflector has dumped can be read, and is the table of a router that loads it."""
        reader = make_router(self.join("reader", "10.9.3.1"), "reader", dataplane="none")
        for key in ("eal", "workers", "ports", "workloads", "datastore"):
            reader.config.pop(key)
        reader.set_bgp(AS, "10.9.3.1", [])
        reader.start()
        command = [BUILD / "vrouterctl", "--socket", self.routers[0].control_socket, "bgp", "dump"]
        file.write_bytes(subprocess.run(command, capture_output=True, timeout=60, check=True).stdout)
        rows = json.loads(reader.ctl("bgp", "read", file, "--json"))
        assert {row["prefix"]: row["neighbor"] for row in rows} == self.known
        assert reader.ctl("bgp", "load", file) == f"routes: {len(self.known)}\n"
        assert {row["prefix"]: row["next_hop"] for row in reader.ask("bgp", "routes")} == self.known

    def change(self, choose):
        """A route of a scripted host goes, or comes back."""
        host = choose.choice(SCRIPTED)
        prefix = choose.choice(routes_of(host))
        if self.known.pop(prefix, None):
            said = update(withdrawn=nlri(prefix))
        else:
            self.known[prefix] = host
            said = announcement(host, [prefix], *INTERNAL)
        for session in self.sessions[host]:
            session.send(said)


def resident_mb(router):
    status = pathlib.Path(f"/proc/{router.process.pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status).group(1)) // 1024


@pytest.mark.timeout(180 + SECONDS)
def test_tables_of_many_hosts(network, directory, make_router, make_peer, cleanup):
    """Every host is told all in the beginning, after both reflectors restarted, and after many changes."""
    cluster = Cluster(network, make_router, make_peer, cleanup)
    for program in (*cluster.routers, *cluster.daemons):
        program.start()
    cluster.call()
    cluster.wait_settled()
    for router in cluster.routers:
        router.stop()
    for session in cluster.all_sessions():
        session.close()
    for daemon in cluster.daemons:
        daemon.wait_no_route(routes_of(SCRIPTED[0])[0], 30)
    begun = time.monotonic()
    for router in cluster.routers:
        router.start()
    cluster.call()
    cluster.wait_settled()
    print(f"full tables after {time.monotonic() - begun:.1f} s")
    choose, begun, changes = random.Random(1), time.monotonic(), 0

    def due():
        return min(time.monotonic() - begun, SECONDS) * RATE

    while changes < SECONDS * RATE:
        wait_for(lambda: cluster.hear() or changes < due())
        while changes < due():
            cluster.change(choose)
            changes += 1
    cluster.wait_settled()
    print(f"{changes} changes known after {time.monotonic() - begun:.1f} s")
    cluster.wait_equal()
    cluster.check_dump(make_router, directory / "table.mrt")
    for router in cluster.routers:
        print(f"{resident_mb(router)} MB resident")
        assert resident_mb(router) < 64


def test_speaker_that_says_each_prefix_alone(network, directory, make_router, make_peer, cleanup):
    """GoBGP, an UPDATE a prefix: none is lost, and KEEPALIVEs of both sides stay in time."""
    lab = Lab(network, directory, make_router, make_peer)
    own, source = CLIENTS[:2]
    lab.configure(neighbors=[{"address": own, "as": 65001, "import": "all", "export": "all", "hold_time": 3}])
    lab.router.start()
    sessions = [Neighbor(REFLECTOR, AS, hold_time=3), Neighbor(source, 65002, local=own, passive=True, multihop=True)]
    lab.make_peer(Gobgp, lab.there, 65001, own, sessions).start()
    lab.wait_sessions(1)
    speaker = ScriptedSpeaker(lab.there, source, own, 65002)
    cleanup.callback(speaker.close)
    wait_for(speaker.established, 20, f"the session of {speaker}")
    path = struct.pack("!BBI", 2, 1, 65002)
    for block in range(40):
        speaker.send(announcement(source, [f"10.101.{block}.{route}/32" for route in range(ROUTES)], path))
    lab.wait_row(own, lambda row: row["ipv4"]["accepted"] == 40 * ROUTES, "all routes are here", 40)
    row = lab.rows()[own]
    assert row["messages_received"] > 40 * ROUTES, "one each"
    assert row["sessions"] == 1
