"""Host endpoints on the uplink, as the fabric, the host's kernel and guests feel them.

SPDX-License-Identifier: Apache-2.0
"""

import pytest
from namespace_guest import listen_tcp, opens, reaches
from process import wait_for
from rack import FABRIC, ROUTER
from resources import resource, rule

FAMILIES = (4, 6)
PINGS = [rule(protocol="ICMP"), rule(protocol="ICMPv6")]


def host_endpoint(**spec):
    spec = {"node": "host-a", "interfaceName": "uplink0", **spec}
    return resource("HostEndpoint", "uplink", spec, labels={"side": "host"})


def host_policy(name, ingress=None, egress=None, **options):
    """A GlobalNetworkPolicy on the uplink for the directions that have rules."""
    spec = {"selector": "has(side)", "types": [], **options}
    for direction, rules in (("ingress", ingress), ("egress", egress)):
        if rules is not None:
            spec["types"].append(direction.capitalize())
            spec[direction] = rules
    return resource("GlobalNetworkPolicy", name, spec)


@pytest.fixture
def start(rack, directory):
    """start(documents...): the guarded router, a guest and listeners on both; the guest."""

    def start(*documents):
        guest = rack.veth_guest(rack.workload(1))
        rack.router.put(*documents)
        rack.start()
        guest.listen_tcp(80, 81)
        listen_tcp(rack.host, directory / "host.listen.log", 22, 80, 8080)
        return guest

    return start


def host_opens(rack, port, family=4, seconds=5):
    return opens(rack.fabric, ROUTER[family], port, seconds)


def host_shut(rack, port, family=4):
    return not host_opens(rack, port, family, 0.5)


def wait_host(rack, port, opened):
    state = "open" if opened else "closed"
    wait_for(lambda: host_shut(rack, port) != opened, 5, f"port {port} of the host is {state}")


def test_host_endpoint_closes_the_host_and_nothing_else(rack, start):
    """Failsafe ports stay open, policy opens others, and without the endpoint all is as before."""
    guest = start()
    assert host_opens(rack, 80), "a host without host endpoint is open"
    rack.router.put(host_endpoint())
    rack.router.wait_endpoint("uplink")
    for family in FAMILIES:
        assert host_opens(rack, 22, family), "failsafe"
        assert host_shut(rack, 80, family)
        assert not rack.fabric_reaches(ROUTER[family], 1)
        assert guest.reaches(FABRIC[family])
        assert opens(rack.fabric, rack.workload(1).address[family], 80)
        assert not reaches(rack.host, FABRIC[family], 1), "egress is closed too"
    assert rack.router.drops()["host_ingress_denied"] >= 4
    assert rack.router.trace("uplink0", ROUTER[4], "tcp", 80, source=FABRIC[4])["reason"] == "host_ingress_denied"
    assert rack.router.trace("uplink0", ROUTER[4], "tcp", 22, source=FABRIC[4])["verdict"] == "delivered"

    web = host_policy("web", [rule(protocol="TCP", ports=[80]), *PINGS])
    rack.router.put(web)
    wait_host(rack, 80, True)
    for family in FAMILIES:
        assert host_opens(rack, 80, family)
        assert rack.fabric_reaches(ROUTER[family])
        assert host_shut(rack, 8080, family)
    rules = [r for r in rack.router.show("policy", "uplink") if r["policy"] == "GlobalNetworkPolicy web"]
    assert {r["hook"] for r in rules} == {"normal"}

    rack.router.remove(web)
    wait_host(rack, 80, False)
    rack.router.remove(host_endpoint())
    wait_host(rack, 80, True)


def test_file_not_understood_at_the_start_keeps_the_host_closed(rack, start):
    """It may hold the host's own endpoints; guests are served all the same."""
    rack.router.write_file("torn.yaml", "{")
    guest = start()
    assert guest.reaches(FABRIC[4])
    assert host_opens(rack, 22) and host_shut(rack, 80)
    rack.router.write_file("torn.yaml", "# of no object\n")
    wait_for(lambda: host_opens(rack, 80), 20, "all is understood, and there is no host endpoint")


def test_closed_host_is_open_for_bgp_as_reloaded(rack, start):
    """A neighbor or port that the config has only now must not wait for the datastore."""
    rack.router.write_file("torn.yaml", "{")
    rack.router.set_bgp(64512, ROUTER[4], [])
    start()
    assert host_opens(rack, 179) and host_shut(rack, 1179)
    rack.router.config["bgp"]["port"] = 1179
    rack.router.write_config()
    rack.router.ctl("bgp", "reload")
    wait_host(rack, 1179, True)
    assert host_shut(rack, 80)


def test_forward_policy_stands_in_front_of_all_guests(rack, start):
    guest = start(
        host_endpoint(),
        host_policy("through", [rule(protocol="TCP", ports=[80]), *PINGS], applyOnForward=True),
    )
    rack.router.wait_endpoint("uplink")
    for family in FAMILIES:
        address = rack.workload(1).address[family]
        assert opens(rack.fabric, address, 80)
        assert not opens(rack.fabric, address, 81, 0.5), "the guest's own policy allows it"
        assert guest.reaches(FABRIC[family]), "no forward policy of that direction"
    assert rack.router.drops()["host_ingress_denied"] >= 2


def test_untracked_policy_makes_no_flows(rack, start):
    answers = rule(protocol="TCP", source={"ports": [8080]})
    fast = {"doNotTrack": True, "applyOnForward": True}
    start(host_endpoint(), host_policy("fast", [rule(protocol="TCP", ports=[8080])], [], **fast))
    rack.router.wait_endpoint("uplink")
    assert host_shut(rack, 8080), "the answer belongs to no flow, and no rule lets it out"
    assert rack.router.drops()["flow_invalid"] >= 1
    rack.router.put(host_policy("fast", [rule(protocol="TCP", ports=[8080])], [answers], **fast))
    wait_host(rack, 8080, True)
    assert host_opens(rack, 8080, 6)
    flows = [f for f in rack.router.show("flows") if 8080 in (f["source_port"], f["destination_port"])]
    assert not flows


def test_staged_policy_of_the_host_is_counted_and_never_acts(rack, start):
    web = host_policy("web", [rule(protocol="TCP", ports=[80])])
    later = {**host_policy("later", [rule("Deny", "TCP", [80])], order=1), "kind": "StagedGlobalNetworkPolicy"}
    start(host_endpoint(), web, later)
    rack.router.wait_endpoint("uplink")
    wait_host(rack, 80, True)

    def hits():
        rows = rack.router.ask("show", "policy", "uplink")
        return sum(row.get("hits", 0) for row in rows if row["hook"] == "staged normal" and "later" in row["policy"])

    def counted():
        assert host_opens(rack, 80), "what is staged never acts"
        return hits() > 0

    wait_for(counted, 20, "what the staged policy would deny is counted")
