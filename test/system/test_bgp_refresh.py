"""Policies that change while a session is up: routes come and go, the session stays.

SPDX-License-Identifier: Apache-2.0
"""

import time

import pytest
from peers import Bird, Frr, Gobgp, Neighbor
from process import wait_for
from reflector_lab import AS, CLIENTS, REFLECTOR, Lab
from resources import resource
from scripted_speaker import ENHANCED_REFRESH, ROUTE_REFRESH, ScriptedSpeaker, route_refresh

KINDS = [Bird, Frr, Gobgp]
PEER, PEERS_AS = CLIENTS[0], 65001
OURS, THEIRS = ["10.66.0.0/16", "10.67.0.0/16"], ["10.77.0.0/16", "10.78.0.0/16"]


@pytest.fixture
def lab(network, directory, make_router, make_peer):
    return Lab(network, directory, make_router, make_peer)


def begin(lab, kind):
    """A session over which both sides have said all."""
    lab.configure(announce=OURS)
    lab.router.put(resource("BGPPeer", "one", {"peerIP": PEER, "asNumber": PEERS_AS, "filters": ["one"]}), filters())
    peer = lab.make_peer(kind, lab.there, PEERS_AS, PEER, [Neighbor(REFLECTOR, AS)], THEIRS).start()
    lab.router.start()
    wait_exchanged(lab, peer, OURS, THEIRS)
    return peer


def filters(hidden=(), refused=()):
    """Without rules it lets everything pass."""
    rules = {"exportV4": hidden, "importV4": refused}
    rules = {
        way: [{"action": "Reject", "cidr": prefix, "matchOperator": "Equal"} for prefix in prefixes]
        for way, prefixes in rules.items()
    }
    return resource("BGPFilter", "one", {way: found for way, found in rules.items() if found})


def wait_exchanged(lab, peer, ours, theirs):
    """Until of all networks the peer has `ours`, and the router `theirs`, in the one session that there was."""

    def taken():
        return {row["prefix"] for row in lab.router.ask("bgp", "routes", "--best")} & set(THEIRS)

    lab.router.wait(lambda: taken() == set(theirs), 20, f"the router has {theirs} of the peer's")
    peer.process.wait_for(lambda: set(peer.routes()) & set(OURS) == set(ours), 20, f"{peer} has {ours} of ours")
    assert lab.rows()[PEER]["sessions"] == 1


@pytest.mark.parametrize("kind", KINDS)
def test_our_filters_change(lab, kind):
    peer = begin(lab, kind)
    lab.router.put(filters(refused=THEIRS[:1]))
    wait_exchanged(lab, peer, OURS, THEIRS[1:])
    lab.router.put(filters(hidden=OURS[:1], refused=THEIRS[1:]))
    wait_exchanged(lab, peer, OURS[1:], THEIRS[:1])
    lab.router.put(filters())
    wait_exchanged(lab, peer, OURS, THEIRS)


@pytest.mark.parametrize("kind", [Bird, Frr])
def test_the_peers_policies_change(lab, kind):
    """They keep no route that they refused: what they take again, we have said again.

    GoBGP 3.10 keeps it, so it asks nobody; and what its policy hides from now on, it does not withdraw.
    """
    peer = begin(lab, kind)
    peer.set_policies(hidden=THEIRS[:1], refused=[])
    wait_exchanged(lab, peer, OURS, THEIRS[1:])
    peer.set_policies(hidden=[], refused=OURS[:1])
    wait_exchanged(lab, peer, OURS[1:], THEIRS)
    peer.set_policies(hidden=[], refused=[])
    wait_exchanged(lab, peer, OURS, THEIRS)


@pytest.mark.parametrize("kind", KINDS)
def test_all_is_said_again_when_asked(lab, kind):
    peer = begin(lab, kind)
    refreshes, updates = peer.heard_refreshes(), peer.heard_updates()
    lab.router.ctl("bgp", "clear", PEER, "--soft", "in")
    wait_for(lambda: peer.heard_refreshes() > refreshes, 20, "the peer is asked for its routes")
    lab.router.ctl("bgp", "clear", PEER, "--soft", "out")
    wait_for(lambda: peer.heard_updates() > updates, 20, "the peer is told ours again")
    wait_exchanged(lab, peer, OURS, THEIRS)


def test_answers_stand_between_markers(lab):
    """RFC 7313 with BIRD, both ways."""
    peer = begin(lab, Bird)
    before = len(peer.process.output())
    peer.order("reload", "in", Neighbor(REFLECTOR, AS).word)
    lab.router.ctl("bgp", "clear", PEER, "--soft", "in")
    for text in ("Got BEGIN-OF-RR", "Got END-OF-RR", "Sending BEGIN-OF-RR", "Sending END-OF-RR"):
        peer.process.wait_for(lambda text=text: text in peer.process.output()[before:], 20, text)
    wait_exchanged(lab, peer, OURS, THEIRS)


def test_storm_of_requests_is_answered_once_a_second(lab, cleanup):
    neighbor = {"address": PEER, "as": PEERS_AS, "import": "all", "export": "all", "passive": True}
    lab.configure(announce=OURS, neighbors=[neighbor])
    lab.router.start()
    capabilities = bytes([ROUTE_REFRESH, 0, ENHANCED_REFRESH, 0])
    speaker = ScriptedSpeaker(lab.there, PEER, REFLECTOR, PEERS_AS, capabilities=capabilities)
    cleanup.callback(speaker.close)
    lab.router.wait(lambda: speaker.established() and set(speaker.table) == set(OURS), 20, "our routes are told")
    begun = time.monotonic()

    def third_answer():
        speaker.send(route_refresh(1))
        speaker.pump()
        return speaker.refreshes[4:] == [1, 2]

    lab.router.wait(third_answer, 20, "a third answer, between markers")
    assert time.monotonic() - begun > 2, "a second lies between one answer and the next"
