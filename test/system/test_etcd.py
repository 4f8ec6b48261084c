"""Policy from a real etcd: what packets feel while it is written, killed, wiped, frozen or garbage.

vm1 is a server; the fabric asks for its TCP ports.
SPDX-License-Identifier: Apache-2.0
"""

import json

import pytest
from etcd import MISSING, RESOURCES, Certificates, Etcd, key_of
from namespace_guest import opens
from process import wait_for
from rack import FABRIC
from resources import as_yaml, network_policy, resource, rule
from stream import Stream
from test_policy import FROM_FABRIC


pytestmark = [
    pytest.mark.alone,  # etcd's own time limits do not like a busy machine
    pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}"),
]

PORT = 80


def policy(*ports):
    rules = [rule(protocol="TCP", ports=ports, **FROM_FABRIC)] if ports else []
    rules += [rule(protocol=icmp, **FROM_FABRIC) for icmp in ("ICMP", "ICMPv6")]
    return network_policy("web", "role == 'server'", rules, [rule()])


class House:
    """A rack whose router reads etcd, and a guest."""

    def __init__(self, rack, directory, cleanup):
        self.rack, self.router, self.directory = rack, rack.router, directory
        self.cleanup = cleanup
        self.members = []
        self.workload = rack.workload(1)

    def add_etcd(self, port=2379, **options):
        member = Etcd(self.rack.host, self.directory, port, **options)
        self.cleanup.callback(member.stop)
        self.members.append(member)
        return member

    @property
    def etcd(self):
        return self.members[0]

    def use(self, **options):
        """Points the router at the members."""
        endpoints = [member.url for member in self.members]
        state = str(self.router.directory / "etcd.state")
        self.router.config["datastore"] = {"etcd": {"endpoints": endpoints, "state_file": state, **options}}
        self.router.put = self.etcd.put

    def start(self, *documents):
        """The guest and the policy in etcd, then the router, until packets say so."""
        self.etcd.set_ready()
        self.guest = self.rack.veth_guest(self.workload, labels={"role": "server"}, profiles=[])
        self.etcd.put(*(documents or [policy(PORT)]))
        self.rack.start()
        self.guest.listen_tcp(PORT)
        self.wait_open()

    def opens(self, family=4, seconds=5):
        return opens(self.rack.fabric, self.workload.address[family], PORT, seconds)

    def wait_open(self, seconds=10):
        wait_for(lambda: self.opens(seconds=0.3), seconds, "the server's port is open")

    def wait_shut(self, seconds=10):
        wait_for(lambda: not self.opens(seconds=0.3), seconds, "the server's port is shut")

    def problems(self):
        return "\n".join(row.get("problem", "") for row in self.router.ask("get", "all"))

    def wait_problem(self, text, seconds=10):
        wait_for(lambda: text in self.problems(), seconds, f"'{text}' among the problems")

    def in_syncs(self):
        return self.router.log.count("in sync at revision")

    def wait_in_sync_again(self, before, seconds=15):
        wait_for(lambda: self.in_syncs() > before, seconds, "in sync again")


@pytest.fixture
def house(rack, directory, cleanup):
    return House(rack, directory, cleanup)


@pytest.fixture
def running(house):
    """With one member."""
    house.add_etcd().start().wait_healthy()
    house.use()
    house.start()
    return house


def test_changes_in_etcd_reach_packets(running):
    assert running.opens(6)
    running.etcd.put(policy())
    running.wait_shut()
    running.etcd.put(policy(PORT))
    running.wait_open()
    running.etcd.remove(running.workload.endpoint())
    wait_for(lambda: not running.router.show("endpoints"), 5, "the endpoint is gone")


def test_forwarding_survives_a_killed_etcd_and_a_restart_of_both(running):
    with Stream(running.guest.namespace, running.rack.fabric, FABRIC[4]) as stream:
        running.etcd.kill()
        running.wait_problem("127.0.0.1:2379")
        assert running.opens()
        before = running.in_syncs()
        running.etcd.start().wait_healthy()
        running.wait_in_sync_again(before)
        running.etcd.put(policy())
        running.wait_shut()
        running.etcd.put(policy(PORT))
        running.wait_open()
        stream.wait_more()
    assert not stream.lost


def test_a_router_that_starts_without_etcd_forwards_on_the_last_good_state(running):
    running.etcd.kill()
    running.router.stop()
    running.rack.start()
    running.wait_open(15)
    running.etcd.start().wait_healthy()
    running.etcd.put(policy())
    running.wait_shut(15)


def test_what_changed_beyond_a_compaction_is_found(running):
    other = running.rack.workload(2)
    running.etcd.put(other.endpoint())
    wait_for(lambda: len(running.router.show("endpoints")) == 2, 5, "two endpoints")
    before = running.in_syncs()
    running.router.process.signal(19)  # SIGSTOP
    running.etcd.put(policy())
    running.etcd.remove(other.endpoint())
    running.etcd.kill()
    running.etcd.start().wait_healthy()
    running.etcd.compact()
    running.router.process.signal(18)  # SIGCONT
    running.wait_in_sync_again(before)
    running.wait_shut()
    wait_for(lambda: len(running.router.show("endpoints")) == 1, 5, "one endpoint")


def test_an_etcd_that_comes_back_empty_changes_nothing_until_it_is_ready(running):
    running.etcd.kill()
    running.etcd.wipe()
    running.etcd.start().wait_healthy()
    running.wait_problem("last good state stays in force", 15)
    assert running.opens()
    assert "until ClusterInformation says datastoreReady: true" in running.problems()
    running.etcd.put(policy(), running.workload.endpoint(labels={"role": "server"}, profiles=[]))
    status, output = running.router.ctl_status("apply", "-f", "-", input=as_yaml(policy(81)))
    assert status != 0 and "not written to" in output
    ready = resource("ClusterInformation", "default", {"datastoreReady": True})
    running.router.ctl("apply", "-f", "-", input=as_yaml(ready))
    wait_for(lambda: "in force" not in running.problems(), 10, "it is taken")
    assert "default" in running.router.ctl("get", "clusterinformation")
    running.etcd.put(policy())
    running.wait_shut()


def test_a_wiped_etcd_changes_nothing(running):
    running.etcd.ctl("del", "--prefix", "/")
    running.wait_problem("ClusterInformation is gone")
    assert running.opens()
    assert running.router.show("endpoints")


def test_datastore_not_ready_freezes(running):
    running.etcd.set_ready(False)
    running.wait_problem("datastoreReady")
    running.etcd.put(policy())
    running.etcd.remove(running.workload.endpoint())
    status, output = running.router.ctl_status("apply", "-f", "-", input=as_yaml(policy(81)))
    assert status != 0 and "datastoreReady" in output
    assert running.opens()
    running.etcd.set_ready()
    wait_for(lambda: not running.router.show("endpoints"), 5, "the endpoint is gone")


def test_what_a_freeze_held_is_all_in_force_when_what_ends_it_is_answered(running):
    """More than is told in one turn, and what shuts the port comes last by its key."""
    sets = [resource("GlobalNetworkSet", f"n{number:04}", {"nets": [f"10.9.{number % 256}.0/24"]}) for number in range(2000)]
    running.etcd.put_many(sets)
    wait_for(lambda: running.router.show("endpoints"), 10)
    running.etcd.set_ready(False)
    running.wait_problem("datastoreReady")
    running.etcd.put_many([{**each, "spec": {"nets": ["10.8.0.0/16"]}} for each in sets])
    running.etcd.put(policy())
    assert running.opens()
    ready = resource("ClusterInformation", "default", {"datastoreReady": True})
    running.router.ctl("apply", "-f", "-", input=as_yaml(ready))
    assert not running.opens(seconds=0.3)
    assert running.router.stop() == 0
    running.etcd.kill()
    running.rack.start()
    wait_for(lambda: running.router.show("endpoints"), 20, "the last good state counts")
    assert not running.opens(seconds=0.3)


def test_garbage_changes_nothing_and_is_shown(running):
    for value in ("garbage", "", "[1", "{}", '{"kind":"NetworkPolicy"}', "\x01\x02"):
        running.etcd.write(key_of(policy()), value)
    for key in ("networkpolicies/other/x", "networkpolicies/x", "tiers/", "tiers/a/b", "nonsense", "profiles/p"):
        running.etcd.write(RESOURCES + key, "garbage")
    wait_for(lambda: "garbage" in running.etcd.get(RESOURCES + "profiles/p"), 5)
    wait_for(lambda: "profiles/p" in running.router.ctl("get", "all", "-o", "wide"), 5, "it is shown")
    shown = running.router.ctl("get", "networkpolicies", "-o", "wide")
    assert "networkpolicies/prod/default.web: not readable" in shown
    shown = running.router.ctl("get", "all", "-o", "wide")
    assert "networkpolicies/x names no NetworkPolicy: expected NAMESPACE/NAME behind networkpolicies/" in shown
    assert "tiers/a/b names no Tier: expected a name behind tiers/" in shown
    assert running.opens()
    running.etcd.put(policy())
    running.wait_shut()


def test_garbage_where_a_policy_should_be_closes_its_namespace(running):
    running.etcd.write(RESOURCES + "networkpolicies/prod/x", "garbage")
    running.wait_shut()
    assert "denying in its place" in running.router.log
    running.etcd.ctl("del", RESOURCES + "networkpolicies/prod/x")
    running.wait_open()


def test_the_last_valid_version_survives_a_restart(running):
    """Of a policy that is spoilt before the router stops, and of a set that is spoilt while it does not run."""
    spec = {"nets": [f"{FABRIC[4]}/32", f"{FABRIC[6]}/128"]}
    gate = resource("GlobalNetworkSet", "gate", spec, labels={"gate": "shut"})
    broken = resource("GlobalNetworkSet", "gate", {"nets": ["nobody"]}, labels={"gate": "shut"})
    denied = {"action": "Deny", "protocol": "TCP", "source": {"selector": "gate == 'shut'"}}
    closing = {"order": 1, "types": ["Ingress"], "ingress": [denied]}
    running.etcd.put(gate, resource("GlobalNetworkPolicy", "default.gate", closing))
    running.wait_shut()
    policy_key = RESOURCES + "globalnetworkpolicies/default.gate"
    running.etcd.write(policy_key, "garbage")
    running.wait_problem("default.gate")
    running.router.stop()
    running.etcd.put(broken)
    before = running.in_syncs()
    running.rack.start()
    running.wait_in_sync_again(before)
    shown = running.router.ctl("get", "all", "-o", "wide")
    assert shown.count("kept") == 2, shown
    running.wait_shut()
    running.etcd.put(resource("GlobalNetworkSet", "gate", {"nets": []}, labels={"gate": "shut"}))
    running.etcd.ctl("del", policy_key)
    running.wait_open()


def test_vrouterctl_edits_etcd(running):
    running.router.ctl("apply", "-f", "-", input=as_yaml(policy()))
    running.wait_shut()
    assert json.loads(running.etcd.get(key_of(policy())))["spec"]["order"] == 100
    running.router.ctl("apply", "-f", "-", input=as_yaml(policy(PORT)))
    running.wait_open()
    assert "default.web" in running.router.ctl("get", "networkpolicies", "-n", "prod")
    running.router.ctl("delete", "networkpolicy", "default.web", "-n", "prod")
    assert running.etcd.get(key_of(policy())) is None
    running.etcd.kill()
    status, output = running.router.ctl_status("apply", "-f", "-", input=as_yaml(policy()))
    assert status != 0 and "etcd" in output


def test_tls_with_certificates_of_both_sides(house):
    certificates = Certificates(house.rack.host, house.directory)
    house.add_etcd(certificates=certificates).start().wait_healthy()
    files = {"ca": "ca.crt", "certificate": "client.crt", "key": "client.key"}
    house.use(**{key: certificates.path(file) for key, file in files.items()})
    house.start()
    house.etcd.put(policy())
    house.wait_shut()


def test_an_etcd_that_the_authority_does_not_know_is_not_believed(house):
    certificates = Certificates(house.rack.host, house.directory)
    house.add_etcd(certificates=certificates).start().wait_healthy()
    (house.directory / "other").mkdir()
    other = Certificates(house.rack.host, house.directory / "other")
    house.use(ca=other.path("ca.crt"), certificate=certificates.path("client.crt"), key=certificates.path("client.key"))
    house.etcd.put(house.workload.endpoint())
    house.rack.launch()
    house.router.wait_ready()
    house.router.wait_log("certificate verify failed")
    assert [row["kind"] for row in house.router.show("endpoints")] == ["host"]


def test_an_authority_that_cannot_be_read_is_told_and_survived(house):
    password = house.directory / "password"
    password.write_text("secret\n")
    house.add_etcd()
    missing = str(house.directory / "missing.crt")
    house.use(endpoints=["https://127.0.0.1:2379"], ca=missing, username="root", password_file=str(password))
    house.rack.launch()
    house.router.wait_ready()
    house.router.wait_log(missing)
    assert [row["kind"] for row in house.router.show("endpoints")] == ["host"]


def start_with_users(house):
    """An etcd that wants a user and a password; it knows no token any more when it starts again."""
    etcd = house.add_etcd().start().wait_healthy()
    etcd.ctl("user", "add", "root:secret")
    etcd.ctl("user", "grant-role", "root", "root")
    etcd.ctl("auth", "enable")
    etcd.credentials = ["--user", "root:secret"]
    password = house.directory / "password"
    password.write_text("secret\n")
    house.use(username="root", password_file=str(password))
    house.start()
    return etcd


def test_users_with_a_password(house):
    etcd = start_with_users(house)
    before = house.in_syncs()
    etcd.kill()
    etcd.start().wait_healthy()
    house.wait_in_sync_again(before)
    etcd.put(policy())
    house.wait_shut()


@pytest.mark.parametrize("compacted", [False, True], ids=["watched on", "listed anew"])
def test_large_values_survive_the_connection_that_brought_them(house, compacted):
    """What they say is read beside the loop: meanwhile the connection goes, and the next wants a new token.

    Who is in the set `gate` is denied.  It is so large that reading it takes longer than etcdctl takes to end.
    """
    etcd = start_with_users(house)
    others = [f"10.{a}.{b}.0/26" for a in range(250) for b in range(250)]

    def gate(*nets):
        return resource("GlobalNetworkSet", "gate", {"nets": [*nets, *others]}, labels={"gate": "shut"})

    denied = {"action": "Deny", "protocol": "TCP", "source": {"selector": "gate == 'shut'"}}
    etcd.put(resource("GlobalNetworkPolicy", "default.gate", {"order": 1, "types": ["Ingress"], "ingress": [denied]}))

    def write_and_lose(*documents):
        before = house.in_syncs()
        etcd.put(*documents)
        etcd.kill()
        house.router.process.signal(19)  # SIGSTOP
        etcd.start().wait_healthy()
        if compacted:
            etcd.put(resource("GlobalNetworkSet", "other", {"nets": []}))
            etcd.compact()
        house.router.process.signal(18)  # SIGCONT
        house.wait_in_sync_again(before)

    everyone = [f"{FABRIC[4]}/32", f"{FABRIC[6]}/128"]
    write_and_lose(gate(*everyone))
    house.wait_shut()
    write_and_lose(gate(*everyone, "192.0.2.77/32"), gate())
    house.wait_open()
    assert house.opens(), "the older one does not come back"


@pytest.mark.parametrize("how", ["kill", "freeze"])
def test_another_endpoint_takes_over(house, how):
    members = [house.add_etcd(port) for port in (2379, 2389, 2399)]
    for member in members:
        member.start(members)
    members[0].wait_healthy()
    house.use()
    house.start()
    lines = [line for line in house.router.log.splitlines() if "in sync at revision" in line]
    used = next(member for member in members if member.url in lines[-1])
    rest = [member for member in members if member is not used]
    getattr(used, how)()
    house.members.sort(key=lambda member: member is used)
    rest[0].wait_healthy()
    rest[0].put(policy())
    house.wait_shut(15)
    if how == "freeze":
        used.thaw()


def test_status_is_written_back(house):
    house.router.set_bgp(64512, "192.0.2.1", {FABRIC[4]: 65000})
    house.add_etcd().start().wait_healthy()
    felix = {"kind": "FelixConfiguration", "spec": {"endpointReportingEnabled": True}}
    house.etcd.write(RESOURCES + "felixconfigurations/default", felix)
    old = "/calico/felix/v2/no-region/host/host-a/workload/openstack/prod%2fgone/endpoint/eth0"
    house.etcd.write(old, {"status": "up"})
    guards = "/calico/felix/v1/host/host-a/endpoint/"
    house.etcd.write(guards + "gone", {"status": "up"})
    uplink = {"node": "host-a", "interfaceName": "uplink0", "profiles": ["projectcalico-default-allow"]}
    house.etcd.put(resource("HostEndpoint", "uplink", uplink))
    house.etcd.put(resource("HostEndpoint", "elsewhere", {**uplink, "interfaceName": "uplink9"}))
    house.use()
    house.start()
    host = "/calico/felix/v2/no-region/host/host-a/"
    endpoint = host + "workload/openstack/prod%2fvm1/endpoint/eth0"
    wait_for(lambda: house.etcd.get(endpoint) == '{"status":"up"}', 5, "the endpoint is up")
    wait_for(lambda: house.etcd.get(old) is None, 5, "what was left behind is gone")
    wait_for(lambda: house.etcd.get(guards + "uplink") == '{"status":"up"}', 5, "the host endpoint is up")
    wait_for(lambda: house.etcd.get(guards + "elsewhere") == '{"status":"down"}', 5, "the other one is down")
    wait_for(lambda: house.etcd.get(guards + "gone") is None, 5, "the third one is gone")
    status = json.loads(wait_for(lambda: house.etcd.get(host + "status"), 5, "the agent lives"))
    assert status["uptime"] >= 0 and status["time"].endswith("Z")
    assert house.etcd.get(host + "last_reported_status")
    assert len(house.etcd.ctl("lease", "list").splitlines()) == 2  # a headline and the lease
    bgp = {"asNumber": 64512, "ipv4Address": "192.0.2.1/24", "ipv6Address": "fd00:2::1/64"}
    node = json.loads(wait_for(lambda: house.etcd.get(RESOURCES + "nodes/host-a"), 5, "the Node is there"))
    assert node["spec"]["bgp"] == bgp
    house.etcd.ctl("del", RESOURCES + "nodes/host-a")
    node = json.loads(wait_for(lambda: house.etcd.get(RESOURCES + "nodes/host-a"), 40, "the Node is back"))
    assert node["spec"]["bgp"] == bgp
    down = house.workload.endpoint(annotations={**house.guest.annotations, "vrouter.io/admin-state": "down"})
    house.etcd.put(down)
    wait_for(lambda: house.etcd.get(endpoint) == '{"status":"down"}', 5, "the endpoint is down")
    house.etcd.remove(house.workload.endpoint())
    wait_for(lambda: house.etcd.get(endpoint) is None, 5, "its status is gone")
