"""The config's section `bgp` changes while sessions are up: what has not changed goes on.

SPDX-License-Identifier: Apache-2.0
"""

import signal

import pytest
from peers import Bird, Neighbor
from process import wait_for
from rack import FABRIC, ROUTER, Rack
from reflector_lab import AS, CLIENTS, Lab

ONE, TWO = CLIENTS[:2]
OPEN = {"import": "all", "export": "all", "connect_retry": 1}


@pytest.fixture
def lab(network, directory, make_router, make_peer):
    return Lab(network, directory, make_router, make_peer)


def neighbor(address, **more):
    return {"address": address, "as": 65001, **OPEN, **more}


def configure(lab, *neighbors, announce=("10.66.0.0/16",), **more):
    lab.configure(neighbors=list(neighbors), announce=list(announce), **more)
    lab.router.write_config()


def reload(lab, *neighbors, **more):
    """The words that follow `neighbors and ranges: `."""
    configure(lab, *neighbors, **more)
    return lab.router.ctl("bgp", "reload").removeprefix("neighbors and ranges: ").strip()


def start(lab, *addresses):
    """A session with a BIRD on each."""
    peers = lab.start_clients([(address, {"as": 65001}) for address in addresses])
    configure(lab, *(neighbor(address) for address in addresses))
    lab.router.start()
    lab.wait_sessions(len(peers))
    return peers


def wait_told(peer, routes):
    """Until these are what the peer has of 10.66 to 10.69."""
    known = {f"10.{second}.0.0/16" for second in range(66, 70)}
    peer.process.wait_for(lambda: set(peer.routes()) & known == set(routes), 20, f"{peer} has {routes}")


def test_what_has_not_changed_goes_on(lab):
    one, two = start(lab, ONE, TWO)
    wait_told(one, ["10.66.0.0/16"])
    # Other announcements and another filter cost no session.
    hides = neighbor(ONE, export="none")
    assert reload(lab, hides, neighbor(TWO), announce=["10.67.0.0/16", "10.68.0.0/16"]) == "0 came, 0 went, 1 changed"
    wait_told(one, [])
    wait_told(two, ["10.67.0.0/16", "10.68.0.0/16"])
    assert [lab.rows()[address]["sessions"] for address in (ONE, TWO)] == [1, 1]
    # One leaves, and comes back; the other's session stays.
    assert reload(lab, neighbor(TWO)) == "0 came, 1 went, 0 changed"
    wait_told(two, ["10.66.0.0/16"])
    assert set(lab.rows()) == {TWO}
    assert reload(lab, neighbor(TWO), neighbor(ONE)) == "1 came, 0 went, 0 changed"
    lab.wait_sessions(2)
    wait_told(one, ["10.66.0.0/16"])
    assert lab.rows()[TWO]["sessions"] == 1
    # What was agreed on in the OPEN wants a new session, of that neighbor alone.
    assert reload(lab, neighbor(TWO), neighbor(ONE, hold_time=6)) == "0 came, 0 went, 1 changed"
    lab.wait_row(ONE, lambda row: row["hold_time_seconds"] == 6, "a session with another hold time")
    assert lab.rows()[TWO]["sessions"] == 1
    # With a hold time of 0 there are no keepalives on either side.
    assert reload(lab, neighbor(TWO), neighbor(ONE, hold_time=0)) == "0 came, 0 went, 1 changed"
    lab.wait_row(ONE, lambda row: row["state"] == "established" and row["hold_time_seconds"] == 0, "no hold time")
    wait_told(one, ["10.66.0.0/16"])


def test_lowered_maximum_counts_at_once(lab):
    """Of a neighbor that says nothing more, and for that family alone."""
    (one,) = start(lab, ONE)
    one.announce("10.70.0.0/16")
    lab.wait_row(ONE, lambda row: row["ipv4"]["received"] == 2, "its block and another one")
    enough = neighbor(ONE, maximum_prefixes={"ipv4": 2, "ipv6": 1})
    assert reload(lab, enough) == "0 came, 0 went, 1 changed"
    assert (lab.rows()[ONE]["sessions"], lab.rows()[ONE]["last_error"]) == (1, "")
    less = neighbor(ONE, maximum_prefixes={"ipv4": 1}, maximum_prefixes_restart=600)
    assert reload(lab, less) == "0 came, 0 went, 1 changed"
    lab.wait_row(ONE, lambda row: "Maximum Number of Prefixes" in row["last_error"], "it has too many")
    assert lab.rows()[ONE]["state"] != "established"


def test_ranges_change(lab):
    configure(lab, ranges=[])
    lab.router.start()
    lab.start_clients([(ONE, {"as": 65001})])
    range_ = {"prefix": "10.99.1.0/24", "as": 65001, "import": "all", "export": "all"}
    assert reload(lab, ranges=[range_]) == "1 came, 0 went, 0 changed"
    lab.wait_sessions(1)
    assert reload(lab, ranges=[{**range_, "import": "none"}]) == "0 came, 0 went, 1 changed"
    lab.wait_row(ONE, lambda row: row["ipv4"]["accepted"] == 0, "nothing is accepted")
    assert lab.rows()[ONE]["sessions"] == 1
    assert reload(lab, ranges=[]) == "0 came, 1 went, 0 changed"
    lab.router.wait(lambda: not lab.rows(), 20, "nobody is left")


def test_what_is_wrong_changes_nothing(lab):
    (one,) = start(lab, ONE)
    right = lab.router.config["bgp"]
    for section, why in (
        ({**right, "neighbors": [neighbor(ONE), neighbor("nowhere")]}, "bgp.neighbors[1].address: expected"),
        ({**right, "as": AS + 1}, "other as want a start of vrouterd"),
        ({**right, "router_id": TWO}, "other router_id want a start of vrouterd"),
        (None, "has no section bgp any more"),
    ):
        lab.router.config["bgp"] = section
        if section is None:
            del lab.router.config["bgp"]
        lab.router.write_config()
        code, said = lab.router.ctl_status("bgp", "reload")
        assert code == 1 and why in said, (why, code, said)
    assert lab.rows()[ONE]["sessions"] == 1
    # The next one that is right is taken; SIGHUP does the same.
    configure(lab, neighbor(ONE), announce=["10.69.0.0/16"])
    lab.router.process.signal(signal.SIGHUP)
    wait_told(one, ["10.69.0.0/16"])
    lab.router.config["bgp"]["as"] = AS + 1
    lab.router.write_config()
    lab.router.process.signal(signal.SIGHUP)
    wait_for(lambda: "SIGHUP: " in lab.router.log and "other as want a start" in lab.router.log, 10, "it is told")
    assert lab.rows()[ONE]["sessions"] == 1


def test_addresses_of_workloads(network, directory, make_router, make_peer):
    """One that the config announces from now on has its attributes at once; a new neighbor's is no workload's."""
    rack = Rack(network, directory, make_router, routes=False)
    ours, theirs = rack.workload(1), rack.workload(2)
    theirs.addresses = ["192.0.2.77/32"]
    peer = {"address": FABRIC[4], "as": 65001, **OPEN, "passive": True}
    rack.router.set_bgp(AS, ROUTER[4], [peer])
    rack.start(ours, theirs)
    bird = make_peer(Bird, rack.fabric, 65001, FABRIC[4], [Neighbor(ROUTER[4], AS)], []).start()
    bird.process.wait_for(lambda: f"{ours.address[4]}/32" in bird.routes(), 20, "the workload's address is told")

    def attributes():
        return bird.ask("show", "route", "all", f"{ours.address[4]}/32")

    assert "(64512,100)" not in attributes()
    bgp = rack.router.config["bgp"]
    bgp["announce"] = [{"prefix": f"{ours.address[4]}/32", "communities": ["64512:100"]}]
    bgp["neighbors"].append({"address": "192.0.2.77", "as": 65002, **OPEN})
    rack.router.write_config()
    rack.router.ctl("bgp", "reload")
    bird.process.wait_for(lambda: "(64512,100)" in attributes(), 20, "the config's community is told")
    rack.router.wait_endpoint(theirs.endpoint_name, "failed")
    del bgp["announce"]
    rack.router.write_config()
    rack.router.ctl("bgp", "reload")
    bird.process.wait_for(lambda: "(64512,100)" not in attributes(), 20, "it is the workload's again")
    assert f"{ours.address[4]}/32" in bird.routes()


def test_trouble_is_told(lab):
    """What is taken up and cannot be done is the answer, not only in the log."""
    start(lab, ONE)
    configure(lab, neighbor(ONE), listen=["192.0.2.1"])
    for _ in range(2):  # each time, until it is mended
        code, said = lab.router.ctl_status("bgp", "reload")
        assert code == 1 and "not all is well" in said and "192.0.2.1" in said, (code, said)
    assert lab.rows()[ONE]["sessions"] == 1
    assert reload(lab, neighbor(ONE)) == "0 came, 0 went, 0 changed"
