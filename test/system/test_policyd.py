"""Two hosts whose policy comes from vrouter-policyd, which alone reads the resources.

Guests: vm1 of host a is labelled client, vm2x1 of host b server.
SPDX-License-Identifier: Apache-2.0
"""

import pytest
from etcd import MISSING, Etcd
from namespace_guest import listen_tcp
from policyd import PORT, Authority, Policyd
from process import wait_for
from resources import network_policy, resource, rule
from stream import PORT as STREAM
from stream import Stream
from test_host_endpoint import host_endpoint, host_opens, host_shut

WITH_ETCD = [
    pytest.mark.alone,  # etcd's own time limits do not like a busy machine
    pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}"),
]
FROM_CLIENTS = {"source": {"selector": "role == 'client'"}}


def web(*ports):
    """Servers accept the stream, pings and these TCP ports from clients."""
    return network_policy(
        "web",
        "role == 'server'",
        [
            rule(protocol="UDP", ports=[STREAM], **FROM_CLIENTS),
            rule(protocol="ICMP", **FROM_CLIENTS),
            *(rule(protocol="TCP", ports=[port], **FROM_CLIENTS) for port in ports),
        ],
    )


@pytest.fixture
def site(racks, network, directory, cleanup):
    """site(replicas, certificates): both hosts and this many replicas, started; certificates: host -> whose.

    `etcd`: the replicas read an etcd beside the first of them instead of a directory.
    """

    class Site:
        def __init__(self, replicas=1, certificates=None, etcd=False):
            self.racks = racks
            self.resources = directory / "resources"
            self.resources.mkdir()
            self.authority = Authority(directory / "certificates")
            self.replicas = []
            for number in range(1, replicas + 1):
                datastore = {"file": {"directory": str(self.resources)}}
                replica = Policyd(network, directory, self.authority, datastore, number)
                cleanup.callback(replica.stop)
                self.replicas.append(replica)
            if etcd:
                self.use_etcd(*self.replicas)
            for rack in racks:
                rack.router.resources = self.resources
                servers = [f"{replica.link(rack)}:{PORT}" for replica in self.replicas]
                name = (certificates or {}).get(rack.router.node, rack.router.node)
                rack.router.config["datastore"] = {
                    "policyd": {
                        "servers": servers,
                        "state_file": str(self.state_file(rack)),
                        **self.authority.issue(name),
                    }
                }
            self.client = racks[0].veth_guest(racks[0].workload(1), labels={"role": "client"})
            self.server = racks[1].veth_guest(racks[1].workload(1), labels={"role": "server"})
            self.address = racks[1].workload(1).address
            self.put(web(80))
            for replica in self.replicas:
                replica.start()

        @staticmethod
        def state_file(rack):
            return rack.router.directory / "stream.state"

        def use_etcd(self, first, *others):
            self.etcd = Etcd(first.namespace, directory)
            for other in others:
                network.link(first.namespace, other.name, other.namespace, "etcd")
                first.namespace.add_address(other.name, "172.31.30.1/24")
                other.namespace.add_address("etcd", f"172.31.30.{other.number}/24")
                self.etcd.url = "http://172.31.30.1:2379"
            cleanup.callback(self.etcd.stop)
            self.etcd.start().wait_healthy().set_ready()
            for replica in (first, *others):
                state = str(replica.directory / "etcd.state")
                replica.datastore = {"etcd": {"endpoints": [self.etcd.url], "state_file": state}}
            for rack in racks:
                rack.router.put = self.etcd.put

        def put(self, *documents):
            racks[0].router.put(*documents)

        def start(self):
            for rack in racks:
                rack.launch()
            for rack in racks:
                rack.wait_ready()
            self.server.listen_tcp(80, 81)
            return self

        def opens(self, port):
            return self.client.opens(self.address[4], port, 0.5)

        def wait_open(self, port):
            wait_for(lambda: self.opens(port), 10, f"port {port} is open")

        def wait_closed(self, port):
            wait_for(lambda: not self.opens(port), 10, f"port {port} is closed")

        def wait_followed(self, replica):
            wait_for(lambda: len(replica.connected()) == 2, 10, f"both hosts follow {replica.name}")

        def wait_enforced(self):
            """Port 80 open by policy, port 81 not."""
            self.wait_open(80)
            self.wait_closed(81)

    return Site


def test_policy_edit_reaches_the_packets_of_hosts_that_read_no_resources(site):
    site = site().start()
    site.wait_enforced()
    site.put(web(80, 81))
    site.wait_open(81)
    relabelled = site.racks[0].workload(1).endpoint(annotations=site.client.annotations)
    site.put(relabelled)
    site.wait_closed(80)


@pytest.mark.parametrize("source", ["files", pytest.param("etcd", marks=WITH_ETCD)])
def test_what_is_not_understood_is_told_by_the_replica_and_by_hosts_that_get_it(site, source):
    """Hosts are told the last valid version and why it counts, and of sets the members alone."""
    site = site(etcd=source == "etcd").start()
    site.wait_enforced()
    broken = web(80, 81)
    broken["spec"]["selector"] = "role === 'server'"
    site.put(broken, resource("GlobalNetworkSet", "gate", {"nets": ["nobody"]}))
    wait_for(lambda: len(site.replicas[0].status()["problems"]) == 2, 10, "both are told")
    gate, policy = sorted(site.replicas[0].status()["problems"])
    assert gate.startswith("GlobalNetworkSet gate invalid, without effect: ") and "'nobody' is not an address" in gate
    assert policy.startswith("NetworkPolicy prod/default.web invalid, last valid version in force: ")
    assert "column 8" in policy
    there, elsewhere = site.racks[1].router, site.racks[0].router

    def wide():
        return there.ctl("get", "networkpolicies", "-o", "wide")

    wait_for(lambda: "column 8" in wide(), 10, "the host tells why")
    assert "column 8" not in elsewhere.ctl("get", "all", "-o", "wide")
    site.wait_enforced()
    site.put(web(80))
    wait_for(lambda: "column 8" not in wide(), 10, "it is valid again")


@pytest.mark.parametrize("end", ["kill", "cut_off", "freeze"])
def test_next_replica_takes_over_within_seconds_and_forwarding_never_notices(site, end):
    site = site(replicas=2).start()
    first, second = site.replicas
    site.wait_followed(first)
    site.wait_enforced()
    with Stream(site.client.namespace, site.server.namespace, site.address[4]) as stream:
        getattr(first, end)()
        site.wait_followed(second)
        stream.wait_more()
        site.put(web(80, 81))
        site.wait_open(81)
        stream.wait_more()
    first.kill()
    assert stream.lost == []
    site.wait_open(80)


def test_hosts_keep_forwarding_while_no_replica_answers(site):
    site = site().start()
    site.wait_followed(site.replicas[0])
    site.wait_enforced()
    site.replicas[0].kill()
    for rack in site.racks:
        rack.router.wait_log("what is in force stays")
    site.wait_enforced()
    site.put(web(80, 81))
    site.replicas[0].start()
    site.wait_open(81)


def test_hosts_that_start_while_no_replica_answers_go_on_as_they_were(site):
    """Also what protects the host itself."""
    site = site()
    rack = site.racks[0]
    site.put(host_endpoint())
    site.start()
    site.wait_enforced()
    listen_tcp(rack.host, rack.directory / "host.listen.log", 22, 80)
    wait_for(lambda: host_shut(rack, 80), 10, "the host is closed")
    wait_for(lambda: all(site.state_file(r).exists() for r in site.racks), 10, "the state is saved")
    site.replicas[0].kill()
    for each in site.racks:
        each.router.kill()
    for each in site.racks:
        each.router.launch()
    for each in site.racks:
        each.wait_ready()
        each.router.wait_log("the last good state is in force", 10)
    site.wait_enforced()
    assert host_opens(rack, 22) and host_shut(rack, 80)
    site.put(web(80, 81))
    site.replicas[0].start()
    site.wait_open(81)
    assert site.opens(80) and host_shut(rack, 80)


def test_host_whose_datastore_is_not_known_is_open_for_failsafe_ports_alone(site):
    site = site()
    rack = site.racks[0]
    site.replicas[0].kill()
    rack.launch()
    rack.router.wait_ready()
    listen_tcp(rack.host, rack.directory / "host.listen.log", 22, 80)
    assert host_opens(rack, 22) and host_shut(rack, 80)
    assert [row["state"] for row in rack.router.show("endpoints")] == ["ready"]
    site.replicas[0].start()
    wait_for(lambda: host_opens(rack, 80), 10, "a host without HostEndpoint is open")


def test_certificate_of_another_host_gets_nothing(site):
    site = site(certificates={"host-b": "host-a"})
    for rack in site.racks:
        rack.launch()
        rack.router.wait_ready()
    site.racks[1].router.wait_log("the certificate is for 'host-a' and may not read the stream of 'host-b'")
    assert [row["kind"] for row in site.racks[1].router.show("endpoints")] == ["host"]
    assert site.replicas[0].status()["counters"]["refused"] >= 1


def test_garbage_is_refused_and_hosts_notice_nothing(site):
    site = site().start()
    replica = site.replicas[0]
    site.wait_followed(replica)
    certificate = site.authority.issue("host-c")
    address = f"{replica.addresses[1]}:{PORT}"
    tls = (
        f"openssl s_client -quiet -connect {address} -CAfile {certificate['ca']}"
        f" -cert {certificate['certificate']} -key {certificate['key']}"
    )
    garbage = "head -c 100000 /dev/urandom"
    for send in (f"{garbage} | socat -u - TCP:{address}", f"{garbage} | {tls}"):
        before = replica.status()["counters"]
        site.racks[0].host.sh("sh", "-c", f"{send} >/dev/null 2>&1", check=False)
        wait_for(
            lambda: sum(replica.status()["counters"][end] - before[end] for end in ("refused", "lost")) >= 1,
            10,
            f"an end of {send}",
        )
    assert {host["host"] for host in replica.status()["hosts"]} == {"host-a", "host-b"}
    site.put(web(80, 81))
    site.wait_open(81)


@pytest.mark.alone  # etcd's own time limits do not like a busy machine
@pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")
def test_policy_from_etcd_reaches_hosts_and_outlives_etcd(site):
    site = site(etcd=True).start()
    site.wait_enforced()
    site.put(web(80, 81))
    site.wait_open(81)
    block = "10.66.0.0/26"
    site.etcd.write(f"/calico/ipam/v2/host/host-b/ipv4/block/{block.replace('/', '-')}", {"state": "confirmed"})
    owner = site.racks[1].router
    owner.wait_route(block)
    site.etcd.kill()
    replica = site.replicas[0]
    replica.stop()
    replica.start()  # with the last good state
    site.wait_followed(replica)
    assert site.opens(80) and site.opens(81)
    assert block in owner.routes() and block not in site.racks[0].router.routes()
