"""Policy from the watched directory, as packets feel it and as vrouterctl tells it.

Guests: vm1 is labelled client, vm2 server, vm3 nothing; all listen on the ports of PORTS.
SPDX-License-Identifier: Apache-2.0
"""

import shutil
import socket

import pytest
import reach
from namespace_guest import opens
from process import Process, wait_for
from rack import FABRIC
from resources import as_yaml, network_policy, profile, resource, rule, tier
from wire import inside

PORTS = (80, 81)
FROM_CLIENTS = {"source": {"selector": "role == 'client'"}}
FROM_FABRIC = {"source": {"nets": ["192.0.2.0/24", "fd00:2::/64"]}}
ROLES = {1: "client", 2: "server", 3: None}
NOTHING = {"ingress": [], "egress": []}


def web(*ports, source=FROM_FABRIC, **options):
    """Servers accept pings and these TCP ports."""
    pings = [rule(protocol=protocol, **source) for protocol in ("ICMP", "ICMPv6")]
    return network_policy("web", "role == 'server'", [*pings, rule(protocol="TCP", ports=ports, **source)], **options)


def egress_of_all():
    return network_policy("out", "all()", egress=[rule()])


@pytest.fixture
def start(rack):
    """start(policies..., count, profiles, ...): the router with guests vm1 to vm<count>."""

    def start(*documents, count=2, **endpoint):
        guests = []
        for number in range(1, count + 1):
            labels = {"role": ROLES[number]} if ROLES[number] else None
            guests.append(rack.veth_guest(rack.workload(number), labels=labels, **endpoint))
        rack.router.put(*documents)
        rack.start()
        for guest in guests:
            guest.listen_tcp(*PORTS)
        return guests

    return start


@pytest.fixture
def server(rack, start):
    """Asks about the server's ports from the fabric, which is behind no policy."""

    class Server:
        address = rack.workload(2).address

        @staticmethod
        def opens(port, family=4, seconds=5):
            return opens(rack.fabric, Server.address[family], port, seconds)

        @staticmethod
        def shut(port, family=4):
            return not Server.opens(port, family, 0.5)

        @staticmethod
        def wait_open(port, seconds=5):
            wait_for(lambda: not Server.shut(port), seconds, f"port {port} is open")

        @staticmethod
        def wait_closed(port, seconds=5):
            wait_for(lambda: Server.shut(port), seconds, f"port {port} is closed")

    return Server


def test_endpoint_without_policy_or_profile_is_closed(rack, start):
    guest, _ = start(profiles=[])
    for family in (4, 6):
        assert not guest.reaches(FABRIC[family], 1)
        assert not guest.reaches(rack.workload(2).address[family], 1)
        assert not rack.fabric_reaches(rack.workload(1).address[family], 1)
    drops = rack.router.drops()
    assert drops["egress_denied"] >= 4
    assert drops["ingress_denied"] >= 2


def test_only_allowed_ports_open_and_replies_pass(start, server):
    _, guest = start(web(80))
    for family in (4, 6):
        assert server.opens(80, family)
        assert server.shut(81, family)
        assert guest.reaches(FABRIC[family]), "the policy is about ingress only, replies are none of its business"


def test_rejected_senders_are_told_at_once(rack, start, server):
    deny = {"metadata": {"annotations": {"vrouter.io/action": "Reject"}}}
    rejects = [rule("Deny", protocol, [81], **deny) for protocol in ("TCP", "UDP")]
    closed = network_policy("closed", "role == 'server'", [*rejects, rule("Deny", "TCP", [82])], order=1)
    start(closed, web(80))
    for family in (4, 6):
        with inside(rack.fabric):
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection((server.address[family], 81), 10)
            with pytest.raises(TimeoutError):
                socket.create_connection((server.address[family], 82), 0.5)
            asking = socket.socket(socket.AF_INET if family == 4 else socket.AF_INET6, socket.SOCK_DGRAM)
        with asking:
            asking.settimeout(10)
            asking.connect((server.address[family], 81))
            asking.send(b"anyone?")
            with pytest.raises((PermissionError, OSError), match="denied|unreachable|route"):
                asking.recv(16)
        assert server.opens(80, family)
    assert rack.router.drops()["ingress_denied"] >= 6


def test_selector_of_a_rule_decides_by_the_labels_of_the_sender(rack, start):
    client, server, other = start(web(80, source=FROM_CLIENTS), count=3)
    addresses = list(rack.workload(2).address.values())
    reach.check([client, other], addresses, {client.name: addresses}, port=80)
    reach.check([client, other], addresses, {client.name: addresses})
    reach.check([client], addresses, {}, port=81)


def test_edit_opens_and_closes(rack, start, server):
    start(web(80))
    assert server.opens(80) and server.shut(81)
    rack.router.put(web(80, 81))
    server.wait_open(81)
    rack.router.put(web(81))
    server.wait_closed(80)
    assert server.opens(81)


@pytest.mark.parametrize("reevaluate", [False, True], ids=["survives", "is cut by reevaluate"])
def test_established_connection_when_its_port_is_closed(rack, directory, start, server, reevaluate):
    rack.router.config["flows"] = {"reevaluate": reevaluate}
    _, guest = start(web(80, 7))
    echo = Process(["socat", "TCP-LISTEN:7,fork", "EXEC:cat"], directory / "echo.log", guest.namespace)
    echo.wait_for(lambda: server.opens(7), 5, "the echo server")
    with inside(rack.fabric):
        connection = socket.create_connection((server.address[4], 7), 10)
    with connection:
        connection.settimeout(10)
        connection.sendall(b"before")
        assert connection.recv(16) == b"before"
        rack.router.put(web(80))
        server.wait_closed(7)
        connection.sendall(b"after")
        if reevaluate:
            connection.settimeout(1)
            with pytest.raises(TimeoutError):
                connection.recv(16)
        else:
            assert connection.recv(16) == b"after"


def test_profile_applies_from_the_moment_when_it_appears(rack, start, server):
    start(profiles=["open"])
    assert server.shut(80), "a profile that is not known denies"
    rack.router.put(profile("open", ingress=[rule(protocol="TCP", ports=[80])]))
    server.wait_open(80)
    assert server.shut(81)
    rack.router.remove(profile("open"))
    server.wait_closed(80)


def test_earlier_tier_decides_first(rack, start, server):
    security = tier("security", order=10)
    deny = network_policy("deny-80", "all()", [rule("Deny", "TCP", [80]), rule("Pass")], tier="security", order=1)
    start(security, deny, web(80, 81))
    assert server.shut(80), "denied by the first tier, whatever the second one says"
    assert server.opens(81), "passed on to the second tier, which allows it"
    rack.router.remove(web())
    rack.router.put(network_policy("closed", "role == 'server'", []))
    server.wait_closed(81)


def test_end_of_tier_does_what_the_tier_says(rack, start, server):
    unrelated = network_policy("unrelated", "all()", [rule("Deny", "TCP", [22])], tier="security")
    start(tier("security", order=10), unrelated, web(80))
    assert server.shut(80), "no rule of the first tier matches: its end denies"
    rack.router.put(tier("security", order=10, default_action="Pass"))
    server.wait_open(80)


def test_changed_label_moves_an_endpoint_under_another_policy(rack, start, server):
    _, guest = start(web(80))
    assert server.shut(81)
    endpoint = rack.workload(2).endpoint(annotations=guest.annotations, labels={"role": "free"})
    rack.router.put(endpoint)
    server.wait_open(81)
    endpoint["metadata"]["labels"] = {"role": "server"}
    rack.router.put(endpoint)
    server.wait_closed(81)
    assert server.opens(80)


def test_changed_label_of_a_sender_counts(rack, start):
    client, _, other = start(web(80, source=FROM_CLIENTS), count=3)
    address = rack.workload(2).address[4]
    assert client.opens(address, 80) and not other.opens(address, 80, 0.5)
    rack.router.put(rack.workload(3).endpoint(annotations=other.annotations, labels={"role": "client"}))
    rack.router.put(rack.workload(1).endpoint(annotations=client.annotations))
    wait_for(lambda: other.opens(address, 80, 0.5), 5, "the new client gets in")
    wait_for(lambda: not client.opens(address, 80, 0.5), 5, "the former client is locked out")


def test_network_set_names_addresses_outside(rack, start, server):
    from_set = {"source": {"selector": "place == 'fabric'", "namespaceSelector": "global()"}}
    fabric = resource("GlobalNetworkSet", "fabric", {"nets": []}, labels={"place": "fabric"})
    start(web(80, source=from_set), fabric)
    assert server.shut(80)
    fabric["spec"]["nets"] = ["192.0.2.0/24"]
    rack.router.put(fabric)
    server.wait_open(80)
    fabric["metadata"]["labels"] = {"place": "elsewhere"}
    rack.router.put(fabric)
    server.wait_closed(80)


# What is wrong opens nothing


def shown(router, name):
    return next((row for row in router.ask("get", "NetworkPolicy") if row["name"] == name), None)


def test_invalid_policy_is_visible_with_its_line_and_opens_nothing(rack, start, server):
    broken = web(80)
    broken["spec"]["selector"] = "role = 'server'"
    start(broken)
    row = shown(rack.router, "default.web")
    path = rack.router.path_of("NetworkPolicy", "default.web", "prod")
    line = next(n for n, text in enumerate(path.read_text().splitlines(), 1) if "selector: role = " in text)
    assert row["state"] == "stand_in"
    assert f"{path.name}:{line}" in row["problem"]
    assert "selector" in row["problem"]
    assert server.shut(80), "a policy that never was valid denies what it may be about"
    assert "web" in rack.router.ctl("get", "networkpolicy")
    rack.router.put(web(80))
    server.wait_open(80)
    assert shown(rack.router, "default.web")["state"] == "valid"


def test_invalid_edit_keeps_the_last_valid_version(rack, start, server):
    start(web(80))
    broken = web(80, 81)
    broken["spec"]["ingress"][0]["protocol"] = "TPC"
    rack.router.put(broken)
    wait_for(lambda: shown(rack.router, "default.web")["state"] == "kept", 5, "the edit is refused")
    assert "TPC" in shown(rack.router, "default.web")["problem"]
    assert server.opens(80) and server.shut(81)
    rack.router.wait_log("TPC")


def test_half_written_file_changes_nothing(rack, start, server):
    start(web(80))
    path = rack.router.path_of("NetworkPolicy", "default.web", "prod")
    whole = as_yaml(web(80, 81))
    with path.open("w") as file:
        file.write(whole[: len(whole) // 2])
        file.flush()
        # A change elsewhere that comes later is in force: so the first half was looked at, if at all.
        rack.router.put(network_policy("more", "role == 'server'", [rule(protocol="TCP", ports=[7])], order=5))
        wait_for(lambda: shown(rack.router, "default.more"), 5, "the other policy")
        assert server.opens(80) and server.shut(81)
        file.write(whole[len(whole) // 2 :])
    server.wait_open(81)
    path.write_text(whole[: whole.index("selector")] + "selector: {{{")
    wait_for(lambda: shown(rack.router, "default.web")["state"] != "valid", 5, "the broken file is noticed")
    assert server.opens(81), "a file that is no YAML keeps what it had"


def test_directory_may_vanish_and_return(rack, start, server):
    start(web(80))
    away = rack.router.resources.with_name("away")
    rack.router.resources.rename(away)
    rack.router.wait_log("is gone")
    assert server.opens(80) and server.shut(81), "everything stays as it was"
    rack.router.resources.mkdir()
    for file in away.iterdir():
        shutil.copy(file, rack.router.resources)
    rack.router.put(web(80, 81))
    server.wait_open(81)
    rack.router.check_running()


def test_removed_policy_file_takes_its_policy_away(rack, start, server):
    start(web(80))
    assert server.shut(81)
    rack.router.remove(web(80))
    server.wait_open(81)


def test_apply_and_delete_by_vrouterctl(rack, start, server):
    start(web(80))
    rack.router.ctl("apply", "-f", "-", input=as_yaml(web(80, 81)))
    server.wait_open(81)
    status, output = rack.router.ctl_status("apply", "-f", "-", input=as_yaml(web(80)).replace("TCP", "TPC"))
    assert status != 0
    assert "TPC" in output
    rack.router.ctl("delete", "networkpolicy", "default.web", "-n", "prod")
    wait_for(lambda: shown(rack.router, "default.web") is None, 5, "the policy is gone")


# Told and done


def test_trace_names_the_rule_that_decides(rack, start):
    start(web(80))
    target = rack.workload(2).address[4]
    allowed = rack.router.trace("uplink0", target, "tcp", 80, source=FABRIC[4])
    denied = rack.router.trace("uplink0", target, "tcp", 81, source=FABRIC[4])
    assert allowed["verdict"] == "delivered"
    assert (denied["verdict"], denied["reason"]) == ("dropped", "ingress_denied")
    deciding = [step for step in allowed["steps"] if "web" in step["policy"]]
    assert [step["rule"] for step in deciding] == [2]


def test_hits_of_rules_and_of_staged_policies_are_told(rack, start, server):
    staged = network_policy("later", "role == 'server'", [rule("Deny", "TCP", [80])], order=1)
    start(web(80), {**staged, "kind": "StagedNetworkPolicy"})
    assert server.opens(80), "what is staged never acts"

    def hits(hook, policy):
        rows = rack.router.ask("show", "policy")
        return sum(row["hits"] for row in rows if row["hook"] == hook and policy in row["policy"])

    assert hits("", "web") >= 1
    assert hits("staged", "later") >= 1


def test_every_log_rule_that_a_packet_meets_writes_a_line(rack, start, server):
    audit = network_policy("audit", "role == 'server'", [rule("Log"), rule("Log", "TCP"), rule("Log", "UDP")], order=1)
    start(audit, web(80))
    rack.router.put(resource("FelixConfiguration", "default", spec={"logPrefix": "seen %k %n"}))

    def lines():
        server.opens(80)
        return [line for line in rack.router.log.splitlines() if " port 80 protocol 6: allowed" in line]

    wait_for(lambda: any("seen np audit: endpoint" in line for line in lines()), 5, "lines have the new prefix")
    matched = {line.rpartition("matched by ")[2] for line in lines()}
    assert matched == {f"NetworkPolicy prod/audit rule {i} of tier default" for i in (0, 1)}


def test_trace_agrees_with_packets(rack, start):
    """Every guest to every guest and the fabric, two ports and ping, both families."""
    policies = [
        web(80, source=FROM_CLIENTS),
        network_policy("in", "role == 'client'", [rule(protocol="ICMP"), rule(protocol="TCP", ports=[81])]),
        network_policy("out", "!has(role)", egress=[rule("Deny", "TCP", [80]), rule("Deny", "ICMPv6"), rule()]),
    ]
    guests = start(*policies, count=3)
    workloads = {guest.name: rack.workload(number) for number, guest in enumerate(guests, 1)}
    addresses = [address for workload in workloads.values() for address in workload.address.values()]
    differences = []
    for port in (None, *PORTS):
        seen = reach.matrix(guests, addresses, port)
        for (name, address), reached in seen.items():
            workload = workloads[name]
            if address in workload.address.values():
                continue  # a guest's packets to itself do not leave it
            protocol = "tcp" if port else "icmpv6" if ":" in address else "icmp"
            kind = {} if port else {"icmp_type": 128 if ":" in address else 8}
            traced = rack.router.trace(workload.endpoint_name, address, protocol, port or 0, **kind)
            if (traced["verdict"] == "delivered") != reached:
                differences.append(f"{name} -> {address} {protocol} {port}: {reached}, trace says {traced}")
    assert not differences, "\n".join(differences)
