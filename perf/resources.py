#!/usr/bin/python3
"""The longest turn of a running vrouterd's control thread while resources come, change and go, and while it is asked.

A thousand of each kind, in one file, in a file each, from etcd, and there at the start; then every command that lists
something, beside all of them.  Figures are CPU time of one turn in ms (goal: 2), and how many took longer; `settled`
is when the last endpoint was ready, or all objects were known.

    ./dev perf resources [-- --count 1000 --only workloadendpoint --from one,many,etcd,start,commands]
SPDX-License-Identifier: Apache-2.0
"""

import argparse
import os
import pathlib
import sys
import tempfile
import time

from control_turns import QUIET, ManyFiles, OneFile, address, mac, objects, report, running, step

import etcd  # control_turns tells where the tests' modules are
from process import wait_for
from resources import network_policy, profile, resource, rule, tier, workload_endpoint


def endpoint(node):
    def make(number, version):
        net = "10.65" if node == "host-a" else "10.66"
        labels = {"app": f"a{number % 20}", "version": str(version)}
        addresses = [f"{address(number, net)}/32", f"fd00:65::{number:x}/128"]
        return workload_endpoint(node, f"vm{number}", mac(number), addresses, labels=labels)

    return make


def host_endpoint(node):
    def make(number, version):
        spec = {"node": node, "expectedIPs": [address(number, "192.0" if number == 0 else "10.67")]}
        return resource("HostEndpoint", f"{node}-{number}", spec, labels={"version": str(version)})

    return make


def policy(number, version):
    rules = [rule(protocol="TCP", ports=[1000 + version], source={"selector": f"app == 'a{number % 20}'"})]
    return network_policy(f"p{number}", f"app == 'a{number % 20}'", ingress=rules, order=number)


def global_policy(number, version):
    spec = {"selector": f"app == 'a{number % 20}'", "order": number, "types": ["Egress"]}
    spec["egress"] = [rule(protocol="UDP", ports=[1000 + version]), rule(protocol="TCP")]
    return resource("GlobalNetworkPolicy", f"default.g{number}", spec)


def network_set(kind, namespace=None):
    def make(number, version):
        nets = [f"{address(number, '172.16')}/32", f"172.18.{version}.0/24"]
        return resource(kind, f"s{number}", {"nets": nets}, namespace, labels={"app": f"a{number % 20}"})

    return make


def pool(number, version):
    spec = {"cidr": f"10.{128 + number // 250}.{number % 250}.0/24", "natOutgoing": version == 1, "blockSize": 26}
    return resource("IPPool", f"pool{number}", spec)


def peer(number, version):
    spec = {"peerIP": address(number, "172.20"), "asNumber": 64512 + version, "nodeSelector": "has(none)"}
    return resource("BGPPeer", f"peer{number}", spec)


def node(number, version):
    return resource("Node", f"n{number}", {"bgp": {"ipv4Address": f"{address(number, f'172.{20 + version}')}/24"}})


def tier_of(number, version):
    return tier(f"t{number}", 1000 + number + version)


def profile_of(number, version):
    return profile(f"f{number}", labels={"version": str(version)})


def unreadable(number, version):
    return {"kind": "Unknown", "metadata": {"name": f"u{number}-{version}"}, "spec": {}}


KINDS = {
    "workloadendpoint": endpoint("host-a"),
    "endpoints of others": endpoint("host-b"),
    "hostendpoint": host_endpoint("host-a"),
    "host endpoints of others": host_endpoint("host-b"),
    "networkpolicy": policy,
    "globalnetworkpolicy": global_policy,
    "networkset": network_set("NetworkSet", "prod"),
    "globalnetworkset": network_set("GlobalNetworkSet"),
    "profile": profile_of,
    "tier": tier_of,
    "ippool": pool,
    "node": node,
    "bgppeer": peer,
    "unreadable": unreadable,
}

COMMANDS = [
    "show endpoints", "show policy", "show ports", "show routes", "show neighbors", "show flows", "show drops",
    "show drops --all", "show datastore", "show bgp", "get all", "get all -o wide", "get workloadendpoint",
    "get hostendpoint", "get networkpolicy -n prod", "show endpoints prod/none", "ipam show",
]  # fmt: skip


class Etcd:
    """Transactions of a hundred: what a client may at once."""

    def __init__(self, server):
        self.server = server

    def put(self, documents):
        self.server.put_many(documents)

    def remove(self, documents):
        self.server.transact(f"del {etcd.key_of(one)}" for one in documents)


def settled(router, kind, count):
    """Whether all of `count` objects are known and in force."""
    if kind == "workloadendpoint":
        rows = router.show("endpoints")
        return sum(row["kind"] == "workload" and row["state"] == "ready" for row in rows) == count
    return kind == "unreadable" or objects(router) >= count if count else objects(router) < 10


def rows(router, source, source_name, kind, count):
    documents = [[KINDS[kind](number, version) for number in range(count)] for version in (1, 2)]
    for what, change in (("come", documents[0]), ("change", documents[1])):
        yield step(
            router,
            f"{source_name}: {count} {kind} {what}",
            lambda change=change: source.put(change),
            lambda: settled(router, kind, count),
        )
    yield step(
        router,
        f"{source_name}: {count} {kind} go",
        lambda: source.remove(documents[1]),
        lambda: settled(router, kind, 0),
    )


def commands(router, count):
    """Each beside so many of every kind."""
    for kind, make in KINDS.items():
        files = ManyFiles if kind == "unreadable" else OneFile
        files(router, kind.replace(" ", "-")).put([make(number, 1) for number in range(count)])
    wait_for(lambda: settled(router, "workloadendpoint", count), 60, "endpoints are ready")
    time.sleep(QUIET)
    for words in COMMANDS:
        yield step(router, words, lambda words=words: router.ctl_status(*words.split()), lambda: True)


def measure(arguments, directory):
    kinds = arguments.only.split(",") if arguments.only else list(KINDS)
    for name in arguments.sources.split(","):
        for kind in kinds if name != "commands" else [None]:
            if kind == "unreadable" and name == "etcd":
                continue  # a file is meant
            there = [KINDS[kind](number, 1) for number in range(arguments.count)] if name == "start" else []
            with tempfile.TemporaryDirectory(dir=directory) as inner:
                with running(pathlib.Path(inner), name == "etcd", there) as (router, server):
                    yield from of_source(router, server, name, kind, arguments.count)


def of_source(router, server, name, kind, count):
    if name == "commands":
        return commands(router, count)
    if name == "start":
        what = f"{count} {kind} there at the start"
        return [step(router, what, lambda: None, lambda: settled(router, kind, count))]
    sources = {"one": OneFile(router), "many": ManyFiles(router), "etcd": Etcd(server)}
    return rows(router, sources[name], name, kind, count)


def main():
    parser = argparse.ArgumentParser(description="the longest turn of the control thread while resources change")
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--only", help="kinds, separated by commas; default: all")
    parser.add_argument("--from", dest="sources", default="one,many,etcd,start,commands")
    arguments = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("resources: needs root: network namespaces")
    with tempfile.TemporaryDirectory(prefix="vrp-") as name:
        results = list(measure(arguments, pathlib.Path(name)))
    report(results)


if __name__ == "__main__":
    main()
