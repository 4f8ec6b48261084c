"""Sessions that end with a NOTIFICATION (RFC 8538): either side keeps what the other one told, but for a Hard Reset.

Behind each side is a listener that hears every withdrawal: however soon the session is back, what was dropped meanwhile
was withdrawn there.
SPDX-License-Identifier: Apache-2.0
"""

import socket

import pytest
from peers import Frr, Gobgp, Neighbor
from process import wait_for
from reflector_lab import AS, CLIENTS, REFLECTOR, Lab
from scripted_speaker import AS_PATH, NEXT_HOP, TRANSITIVE, ScriptedSpeaker, attribute, nlri, update

PEER, OUR_LISTENER, ITS_LISTENER = CLIENTS[:3]
PEERS_AS = 65001
OURS, ITS, LATER = "10.66.0.0/16", "10.77.0.0/16", "10.78.0.0/16"
KINDS = [Frr, Gobgp]  # BIRD 2 does not offer it
HOLD_TIME = 600  # longer than a test: a listener sends no KEEPALIVEs, and GoBGP takes 0 for a time


class Between:
    """The session of the router with a daemon, both of which restart gracefully."""

    def __init__(self, lab, kind, cleanup):
        self.lab, self.router = lab, lab.router
        policy = {"import": "all", "export": "all"}
        graceful = {"as": PEERS_AS, "connect_retry": 1, "graceful_restart": "full", "restart_time": 60}
        listener = {"address": OUR_LISTENER, "as": AS, "passive": True}
        neighbors = [{"address": PEER, **policy, **graceful}, {**listener, **policy}]
        lab.configure(announce=[OURS], neighbors=neighbors)
        lab.router.start()
        sessions = [
            Neighbor(REFLECTOR, AS, local=PEER, restart_time=60),
            Neighbor(ITS_LISTENER, PEERS_AS, local=PEER, passive=True, multihop=True, hold_time=HOLD_TIME),
        ]
        self.peer = lab.make_peer(kind, lab.there, PEERS_AS, PEER, sessions, [ITS]).start()
        self.ours = ScriptedSpeaker(lab.there, OUR_LISTENER, REFLECTOR, AS)
        self.its = ScriptedSpeaker(lab.there, ITS_LISTENER, PEER, PEERS_AS, hold_time=HOLD_TIME)
        for listener, prefix in ((self.ours, ITS), (self.its, OURS)):
            cleanup.callback(listener.close)
            wait_for(listener.established, 20, f"the session of {listener}")
            self.wait_heard(listener, prefix)
        self.wait_sessions(1)

    def row(self):
        return self.lab.rows()[PEER]

    def wait_sessions(self, count):
        def said_all():
            row = self.row()
            return row["sessions"] == count and row["ipv4"]["end_of_rib_received"]

        self.router.wait(said_all, 30, f"it is session {count}, and the peer has said all")

    def wait_ended(self, words):
        self.router.wait_log(f"{PEER}: Established -> Idle: {words}")

    def wait_heard(self, listener, prefix):
        wait_for(lambda: listener.pump() or prefix in listener.table, 20, f"{listener} hears of {prefix}")

    def wait_withdrawn(self, listener, prefix):
        wait_for(lambda: listener.pump() or prefix in listener.withdrawn, 20, f"{prefix} is withdrawn at {listener}")

    def expect_its_kept(self):
        """What is told last comes behind every withdrawal."""
        self.peer.announce(LATER)
        self.wait_heard(self.ours, LATER)
        assert self.ours.withdrawn == []

    def expect_ours_kept(self):
        attributes = [(TRANSITIVE, 1, b"\0"), (TRANSITIVE, AS_PATH, b""), (TRANSITIVE, 5, bytes([0, 0, 0, 100]))]
        attributes.append((TRANSITIVE, NEXT_HOP, socket.inet_aton(OUR_LISTENER)))
        self.ours.send(update(b"".join(attribute(*each) for each in attributes), nlri(LATER)))
        self.wait_heard(self.its, LATER)
        assert self.its.withdrawn == []

    def expect_its_stale(self):
        self.router.wait(lambda: self.row()["restart"]["ipv4_stale"] == 1, 20, "its route is stale")
        self.ours.pump()
        assert self.ours.withdrawn == []


@pytest.fixture
def between(network, directory, make_router, make_peer, cleanup):
    return lambda kind: Between(Lab(network, directory, make_router, make_peer), kind, cleanup)


def test_routes_survive_the_peers_notification(between):
    it = between(Frr)
    it.peer.reset(REFLECTOR)
    it.wait_ended("received Cease/Administrative Reset")
    it.wait_sessions(2)
    it.expect_its_kept()


def test_routes_survive_until_the_peer_is_back(between):
    """GoBGP stays away for 5 s and more, and says then that it did not forward (RFC 4724 4.2)."""
    it = between(Gobgp)
    it.peer.reset(REFLECTOR)
    it.wait_ended("received Cease/Administrative Reset")
    it.expect_its_stale()


@pytest.mark.parametrize("kind", KINDS)
def test_routes_survive_our_notification(between, kind):
    it = between(kind)
    it.router.ctl("bgp", "clear", PEER)
    if kind is Gobgp:
        it.expect_its_stale()
    it.wait_sessions(2)
    it.expect_ours_kept()
    if kind is Frr:
        it.expect_its_kept()


def test_hard_reset_of_the_peer_ends_its_routes(between):
    """GoBGP sends none."""
    it = between(Frr)
    it.peer.shut_down(REFLECTOR)
    it.wait_ended("received Hard Reset: Cease/Administrative Shutdown")
    it.wait_withdrawn(it.ours, ITS)


@pytest.mark.parametrize("kind", KINDS)
def test_our_hard_reset_ends_all_routes(between, kind):
    it = between(kind)
    it.router.ctl("bgp", "shutdown", PEER)
    it.wait_withdrawn(it.its, OURS)
    it.wait_withdrawn(it.ours, ITS)
