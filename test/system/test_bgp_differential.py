"""The same stream of UPDATEs to vrouterd and to BIRD: whatever they export must be the same.

Two equal networks, one with each router; in each the same speakers, with the same addresses, send the
same octets: random routes of both families to few prefixes, from peers of all kinds, also malformed
ones that RFC 7606 takes for withdrawals.  Now and then all is quiet, and then every speaker must have
been told the same by both: prefixes, next hops and all attributes with their flags.  Not compared are the
order of communities, which means nothing, and BIRD's link-local next hop beside the global one.
SPDX-License-Identifier: Apache-2.0
"""

import dataclasses
import functools
import ipaddress
import random
import struct
import subprocess

import pytest
from peers import Bird
from process import Deadline, wait_for
from router import BUILD
from scripted_speaker import (
    MP_REACH, OPTIONAL, PARTIAL, TRANSITIVE, ScriptedSpeaker, attribute, attributes_of, nlri, reach, unreach, update,
)  # fmt: skip

AS, ROUTER, ROUTER6 = 64512, "10.99.0.1", "fd00:99::1"
WIDE_AS = 4200000001
UNKNOWN = 201  # an attribute
ROUNDS, MESSAGES = 3, 250  # messages in a round
NO_EXPORT, NO_ADVERTISE, NO_EXPORT_SUBCONFED = 0xFFFFFF01, 0xFFFFFF02, 0xFFFFFF03
WELL_KNOWN, OPTIONAL_TRANSITIVE = TRANSITIVE, OPTIONAL | TRANSITIVE
PREFIXES = {
    4: ["0.0.0.0/0", *(f"10.77.{n}.0/24" for n in range(16)), *(f"192.0.2.{n}/32" for n in range(4))],
    6: ["::/0", *(f"fd00:77:{n:x}::/48" for n in range(1, 10)), *(f"2001:db8::{n:x}/128" for n in range(1, 4))],
}
# Nobody can be reached there (RFC 4271 6.3): such a prefix is ignored, and the others of its message count.
MARTIANS = {
    4: ["127.0.0.0/8", "127.1.2.3/32", "224.0.0.0/4", "239.1.2.0/24", "255.255.255.255/32"],
    6: ["::1/128", "fe80::/10", "fe80::1/128", "ff00::/8", "ff02::1/128"],
}
# MEDs that differ are compared here only, where all paths begin with one AS.  Where paths of several ASes
# compete, BIRD's choice depends on the order of arrival, or with `deterministic med on` (2.0.12) now and
# then falls on a path whose LOCAL_PREF is lower; there each AS has one MED.
RIVALS_AS = 65002
RIVALS = {
    4: [f"172.16.{n}.128/25" for n in range(6)],
    6: [f"2001:db8:{n:x}::/64" for n in range(1, 5)],
}


@dataclasses.dataclass
class Role:
    """What a speaker is to the router."""

    number: int
    asn: int
    client: bool = False
    sends: bool = True
    wide: bool = True  # knows AS numbers of four octets

    @property
    def address(self):
        return f"10.99.1.{self.number}"

    @property
    def address6(self):
        return f"fd00:99::1:{self.number}"

    @property
    def internal(self):
        return self.asn == AS

    @property
    def rival(self):
        return self.internal or self.asn == RIVALS_AS


ROLES = [
    Role(1, 65001),
    Role(2, RIVALS_AS),
    Role(3, RIVALS_AS),
    Role(4, WIDE_AS),
    Role(5, AS, client=True),
    Role(6, AS, client=True),
    Role(7, AS),
    Role(8, 65008, sends=False),
    Role(9, 65009, sends=False, wide=False),
    Role(10, AS, sends=False, client=True),
    Role(11, AS, sends=False),
]
SENDERS = [role for role in ROLES if role.sends]


class Stream:
    """What is sent: messages for a sender, from a random source that is all they depend on."""

    def __init__(self, seed):
        self.random = random.Random(seed)

    def chance(self, of_hundred):
        return self.random.randrange(100) < of_hundred

    def some(self, values, least, most):
        return [self.random.choice(values) for _ in range(self.random.randint(least, most))]

    def message(self, role):
        rival = role.rival and self.chance(40)
        prefixes = RIVALS if rival else PREFIXES
        if self.chance(30):
            return self.withdrawal(prefixes)
        if self.chance(3):
            return self.nothing(role, rival)
        attributes = self.attributes(role, rival)
        if self.chance(12):
            attributes = self.broken(attributes)
        return self.announcement(role, attributes, prefixes)

    def nothing(self, role, rival):
        """Attributes without prefixes, one of them broken, but such that it costs only itself.

        Without AS_PATH: to BIRD one that does not begin with the peer's AS is broken, to vrouterd just not usable.
        """
        attributes = [each for each in self.attributes(role, rival) if each[1] not in (2, 6, 7)]
        broken = self.random.choice([(WELL_KNOWN, 6, b"\0"), (OPTIONAL_TRANSITIVE, 7, b"\0\0\0")])
        return update(b"".join(attribute(*each) for each in [*attributes, broken]))

    def withdrawal(self, prefixes):
        """Often of what was never said."""
        if self.chance(50):
            return update(withdrawn=b"".join(map(nlri, self.some(prefixes[4], 1, 4))))
        return update(unreach(self.some(prefixes[6], 1, 3)))

    def announcement(self, role, attributes, prefixes):
        families = self.random.choice([(4,), (4,), (6,), (4, 6)])
        octets = [attribute(*each) for each in attributes]
        if self.chance(20):
            self.random.shuffle(octets)
        announced, withdrawn = b"", b""
        hop4, hop6 = self.next_hops(role)
        told = {family: set_of(self.some(prefixes[family], 1, 4)) for family in families}
        if self.chance(8):
            for family in families:
                told[family].insert(self.random.randint(0, len(told[family])), self.random.choice(MARTIANS[family]))
        if 4 in families:
            announced = b"".join(map(nlri, told[4]))
            octets.append(attribute(WELL_KNOWN, 3, ipaddress.ip_address(hop4).packed))
            if self.chance(15):  # also, perhaps, of what the same message announces: that is there then
                withdrawn = b"".join(map(nlri, self.some(prefixes[4], 1, 8)))
        if 6 in families:
            octets.insert(0, reach(hop6, told[6]))
        return update(b"".join(octets), announced, withdrawn)

    def next_hops(self, role):
        """The sender's or a third party's; another speaker's, which that one must not be told; the
        router's own, which it must refuse.
        """
        if self.chance(4):
            return ROUTER, ROUTER6
        number = role.number
        if self.chance(25):
            number = self.random.choice([*range(100, 104), *(other.number for other in ROLES)])
        return f"10.99.1.{number}", f"fd00:99::1:{number}"

    def attributes(self, role, rival):
        """All but the next hop: (flags, code, value)."""
        number = self.random.randrange
        path = self.path(role, rival)
        found = [(WELL_KNOWN, 1, bytes([number(10) // 8 if rival else number(3)])), (WELL_KNOWN, 2, path)]
        if rival and self.chance(60):
            found.append((OPTIONAL, 4, struct.pack("!I", number(4) * 10)))
        elif not rival and path[:1] == b"\2" and path[5] > 0x60:  # some ASes
            found.append((OPTIONAL, 4, b"\0\0\0" + path[5:6]))
        if self.chance(80 if role.internal else 10):  # from eBGP it means nothing
            found.append((WELL_KNOWN, 5, struct.pack("!I", 100 if rival else 100 + number(-1, 2))))
        if self.chance(30):
            found.append((WELL_KNOWN, 6, b""))
        if self.chance(25):
            found.append((self.flags(), 7, struct.pack("!I4s", number(1, 1 << 32), bytes([10, 1, 1, 1]))))
        return found + self.communities() + self.reflected(role) + self.unknown()

    def flags(self):
        """With the Partial bit, somebody on the way did not know the attribute (RFC 4271 5)."""
        return OPTIONAL_TRANSITIVE | (PARTIAL if self.chance(25) else 0)

    def doubled(self, values):
        values = set_of(values)
        return values + (self.some(values, 1, 2) if self.chance(40) else [])

    def path(self, role, rival):
        numbers = [65101, 65102, 65103, 4200000777, role.asn if not role.internal else 65104]
        own = RIVALS_AS if rival else role.asn
        first = [] if own == AS else [own] * self.random.choice([1, 1, 1, 2, 3])
        path = first[:1] + self.some(numbers, 1, 1) if rival else first + self.some(numbers, 0, 3)
        if self.chance(3) and not role.internal:
            path = path[1:]  # must begin with the peer's AS, and may still
        if self.chance(3):
            path.append(AS)  # a loop
        octets = segment(2, path) if path else b""
        if self.chance(15):
            octets += segment(1, sorted(set_of(self.some(numbers, 1, 3))))
            if self.chance(30):
                octets += segment(2, self.some(numbers, 1, 2))
        return octets

    def communities(self):
        number, found = self.random.randrange, []
        if self.chance(40):
            values = [64512 << 16 | number(4) for _ in range(number(1, 5))]
            if self.chance(15):
                values.append(self.random.choice([NO_EXPORT, NO_ADVERTISE, NO_EXPORT_SUBCONFED]))
            found.append((self.flags(), 8, b"".join(struct.pack("!I", v) for v in self.doubled(values))))
        if self.chance(25):  # route targets, and such as are not transitive
            values = [(self.random.choice([0x0002, 0x0102, 0x4002]) << 48) | number(1, 5) for _ in range(number(1, 4))]
            found.append((self.flags(), 16, b"".join(struct.pack("!Q", v) for v in self.doubled(values))))
        if self.chance(25):
            values = [(WIDE_AS, number(3), number(3)) for _ in range(number(1, 4))]
            found.append((self.flags(), 32, b"".join(struct.pack("!III", *v) for v in self.doubled(values))))
        return found

    def reflected(self, role):
        """What another reflector has added; from eBGP it means nothing."""
        if not self.chance(25 if role.internal else 4):
            return []
        originator = ROUTER if self.chance(5) else f"10.99.9.{self.random.randrange(1, 4)}"
        clusters = [f"10.99.8.{n}" for n in self.some(range(1, 4), 1, 3)]
        packed = [ipaddress.ip_address(text).packed for text in (originator, *clusters)]
        return [(OPTIONAL, 9, packed[0]), (OPTIONAL, 10, b"".join(packed[1:]))]

    def unknown(self):
        """Attributes that nobody knows: transitive ones travel on as partial, others end here."""
        found = []
        if self.chance(15):
            partial = self.random.choice([0, PARTIAL])
            value = self.random.randbytes(self.random.choice([0, 3, 300]))
            found.append((OPTIONAL_TRANSITIVE | partial, UNKNOWN, value))
        if self.chance(10):
            found.append((OPTIONAL, 202, self.random.randbytes(4)))
        return found

    def broken(self, attributes):
        """RFC 7606: costs the route, or the attribute, but never the session.

        Without AS 0 in a path: BIRD 2.0.12 takes it, RFC 7607 and vrouterd do not.
        """
        rest = [each for each in attributes if each[1] not in (1, 2)]
        by_code = {each[1]: each for each in attributes}
        origin, path = by_code[1], by_code[2]
        good = lambda code: [each for each in attributes if each[1] != code]  # noqa: E731
        return self.random.choice(
            [
                [(WELL_KNOWN, 1, b"\3"), path, *rest],
                [(WELL_KNOWN, 1, b"\0\0"), path, *rest],
                [(OPTIONAL_TRANSITIVE, 1, b"\0"), path, *rest],  # flags
                [path, *rest],  # ORIGIN is missing
                [origin, *rest],  # AS_PATH is missing
                [origin, (WELL_KNOWN, 2, path[2] + b"\2\5\0\0"), *rest],  # overrun
                [origin, (WELL_KNOWN, 2, path[2] + segment(2, [])), *rest],  # empty segment
                [origin, (WELL_KNOWN, 2, path[2] + segment(9, [65101])), *rest],  # unknown segment
                [origin, (WELL_KNOWN, 2, path[2] + segment(3, [65101])), *rest],  # of a confederation
                [*good(4), (OPTIONAL, 4, b"\0\0\0")],
                [*good(5), (WELL_KNOWN, 5, b"\0\0\0")],  # from eBGP not even looked at
                [*good(6), (WELL_KNOWN, 6, b"\0")],  # the attribute is dropped
                [*good(7), (OPTIONAL_TRANSITIVE, 7, b"\0\0\0")],  # the same
                [*good(8), (OPTIONAL_TRANSITIVE, 8, b"\0\0\0")],
                [*good(8), (OPTIONAL_TRANSITIVE, 8, b"")],
                [*good(16), (OPTIONAL_TRANSITIVE, 16, b"\0\0\0")],
                [*good(32), (OPTIONAL_TRANSITIVE, 32, b"\0" * 13)],
                [*attributes, (WELL_KNOWN, 1, b"\0")],  # twice: the first counts
            ]
        )


def set_of(values):
    """Without repetitions, in the order of their first appearance (that of a set is not repeatable)."""
    return list(dict.fromkeys(values))


def segment(kind, numbers):
    return bytes([kind, len(numbers)]) + b"".join(number.to_bytes(4) for number in numbers)


class Comparison(Bird):
    """BIRD as vrouterd is configured below."""

    def configuration(self):
        lines = [f"router id {ROUTER};", "protocol device { }"]
        for role in ROLES:
            hop = "" if role.internal else "next hop self;"
            first = "" if role.internal else "enforce first as on;"
            client = "rr client;" if role.client else ""
            lines.append(f"""protocol bgp s{role.number} {{
              local {ROUTER} as {AS}; neighbor {role.address} as {role.asn};
              direct; strict bind; passive; connect delay time 0; error wait time 1, 2; {client}
              {first}
              ipv4 {{ import all; export all; {hop} }};
              ipv6 {{ import all; export all; next hop address {ROUTER6}; {hop} }};
            }}""")
        return "\n".join(lines) + "\n"


def configure(router):
    for key in ("eal", "workers", "ports", "workloads", "datastore"):
        router.config.pop(key)
    neighbors = [
        {
            "address": role.address,
            "as": role.asn,
            "passive": True,
            "import": "all",
            "export": "all",
            "next_hop": "auto" if role.internal else "self",
            "next_hop6": ROUTER6,
            "route_reflector_client": role.client,
        }
        for role in ROLES
    ]
    router.config["bgp"] = {"as": AS, "router_id": ROUTER, "listen": [ROUTER], "neighbors": neighbors}


def speakers(network, name, cleanup):
    """The router's namespace and, by number, the speakers in another one, not yet connected."""
    here, there = network.namespace(name), network.namespace(f"{name}-peers")
    network.link(here, "up0", there, "down0")
    here.add_address("up0", f"{ROUTER}/16", f"{ROUTER6}/64")
    for role in ROLES:
        there.add_address("down0", f"{role.address}/16", f"{role.address6}/64")
    made = {role.number: ScriptedSpeaker(there, role.address, ROUTER, role.asn, role.wide) for role in ROLES}
    for speaker in made.values():
        cleanup.callback(speaker.close)
    return here, made


def righted(theirs, ours):
    """A route as BIRD 2.0.12 would tell it by the standards: a large community once (RFC 8092 3), and the Partial bit
    of an AGGREGATOR kept where its wide AS number goes into AS4_AGGREGATOR (RFC 4271 5).
    """
    if not theirs or not ours:
        return theirs
    told = dict(theirs)
    if 32 in told:
        told[32] = (told[32][0], tuple(sorted(set(told[32][1]))))
    if 18 in told and 7 in told and 7 in ours:
        told[7] = (told[7][0] | ours[7][0] & PARTIAL, told[7][1])
    return told


def differences(ours, theirs):
    """What the routers have told their speakers and is not the same, for a person to read."""
    found = []
    for number in ours:
        a, b = ours[number].table, theirs[number].table
        for prefix in sorted({*a, *b}):
            if a.get(prefix) != righted(b.get(prefix), a.get(prefix)):
                found.append(f"to {number}, {prefix}:\n  ours {a.get(prefix)}\n  BIRD {b.get(prefix)}")
    return found


def marker(role, round_):
    """The last prefix that a sender announces in a round: it tells all that the rest has been said."""
    return f"198.18.{role.number}.{round_}/32"


def mark(role, round_):
    attributes = attribute(WELL_KNOWN, 1, b"\0") + attribute(
        WELL_KNOWN, 2, b"" if role.internal else segment(2, [role.asn])
    )
    hop = attribute(WELL_KNOWN, 3, ipaddress.ip_address(role.address).packed)
    return update(attributes + hop, nlri(marker(role, round_)))


def hears(listener, sender):
    """Whether the sender's routes can reach the listener at all: not itself, not from iBGP to iBGP."""
    inside = listener.internal and sender.internal
    return listener is not sender and (not inside or listener.client or sender.client)


def check_variety(made):
    """That something has been compared: routes of both families to all, every attribute that travels."""
    for speaker in made.values():
        for separator in ".:":
            assert sum(separator in prefix for prefix in speaker.table) > 4, f"few routes to {speaker}"
    told = {code for speaker in made.values() for attributes in speaker.table.values() for code in attributes}
    assert told == {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 16, 17, 18, 32, UNKNOWN}
    routes = [route for speaker in made.values() for route in speaker.table.values()]
    known = [route[code] for route in routes for code in (8, 16) if code in route]
    assert any(flags & PARTIAL for flags, _ in known), "a Partial bit"
    assert any(len(set(values)) < len(values) for _, values in known), "a community twice"


def is_told_everywhere(round_, *networks):
    """Whether in each the last prefix of the round has come from every sender to all that can hear of it."""
    for speaker in (each for made in networks for each in made.values()):
        speaker.pump()
    return all(
        marker(sender, round_) in made[listener.number].table
        for made in networks
        for listener in ROLES
        for sender in SENDERS
        if hears(listener, sender)
    )


def all_established(*networks):
    return all([speaker.established() for made in networks for speaker in made.values()])


def both(network, cleanup, make_router, make_peer):
    """Our router and BIRD with all sessions up, and the speakers of each."""
    here, ours = speakers(network, "ours", cleanup)
    there, theirs = speakers(network, "bird", cleanup)
    router = make_router(here, "ours", dataplane="none")
    configure(router)
    router.launch()
    bird = make_peer(Comparison, there, AS, ROUTER, []).start()
    bird.process.wait_for(lambda: all_established(ours, theirs), 30, "all sessions are established")
    return router, bird, ours, theirs


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_exported_tables_equal_those_of_bird(network, cleanup, make_router, make_peer, seed):
    router, bird, ours, theirs = both(network, cleanup, make_router, make_peer)
    stream = Stream(seed)
    for round_ in range(ROUNDS):
        for _ in range(MESSAGES):
            role = stream.random.choice(SENDERS)
            octets = stream.message(role)
            for each in (ours, theirs):
                each[role.number].send(octets)
        for role in SENDERS:
            for each in (ours, theirs):
                each[role.number].send(mark(role, round_))
        heard = functools.partial(is_told_everywhere, round_, ours, theirs)
        wait_for(heard, 30, f"round {round_} has been heard by all")

        def equal():
            return heard() and not differences(ours, theirs)

        try:
            wait_for(equal, 5, "the tables are equal")
        except Deadline:
            found = differences(ours, theirs)
            pytest.fail(f"round {round_}, {len(found)} differences:\n" + "\n".join(found[:10]), pytrace=False)
        router.check_running()
        bird.process.check_running()
    check_variety(ours)


def records(dump):
    """(subtype, body) of each record of a TABLE_DUMP_V2 file, RFC 6396 2 and 4.3."""
    while dump:
        _, kind, subtype, length = struct.unpack("!IHHI", dump[:12])
        assert kind == 13
        yield subtype, dump[12 : 12 + length]
        dump = dump[12 + length :]


def dumped_peers(body):
    """The addresses by index, as text."""
    at = 6 + int.from_bytes(body[4:6])
    addresses = []
    for _ in range(int.from_bytes(body[at : at + 2])):
        kind = body[at + 2]
        size = 16 if kind & 1 else 4
        addresses.append(str(ipaddress.ip_address(body[at + 7 : at + 7 + size])))
        at += 5 + size + (4 if kind & 2 else 2)
    return addresses


def replayed(dump):
    """(peer's address, UPDATE) of each path in the dump; in an MP_REACH_NLRI it has the next hop alone."""
    peers = []
    for subtype, body in records(dump):
        if subtype == 1:
            peers = dumped_peers(body)
            continue
        prefix = body[4 : 5 + (body[4] + 7) // 8]
        paths = body[4 + len(prefix) + 2 :]
        while paths:
            peer, _, length = struct.unpack("!HIH", paths[:8])
            octets, announced = b"", prefix
            for flags, code, value in attributes_of(paths[8 : 8 + length]):
                if code == MP_REACH:
                    value, announced = struct.pack("!HB", 2, 1) + value + b"\0" + prefix, b""
                octets += attribute(flags, code, value)
            yield peers[peer], update(octets, announced)
            paths = paths[8 + length :]


def test_dumped_table_is_replayed(network, cleanup, make_router, make_peer):
    """What `bgp dump` has of a router's table, told to another one of ours and to BIRD, makes them tell the same."""
    here, dumped = speakers(network, "dumped", cleanup)
    there, ours = speakers(network, "ours", cleanup)
    beyond, theirs = speakers(network, "bird", cleanup)
    routers = [make_router(space, name, dataplane="none") for space, name in ((here, "dumped"), (there, "ours"))]
    for router in routers:
        configure(router)
        router.launch()
    bird = make_peer(Comparison, beyond, AS, ROUTER, []).start()
    bird.process.wait_for(lambda: all_established(dumped, ours, theirs), 30, "all sessions are established")
    stream = Stream(4)
    for _ in range(MESSAGES):
        role = stream.random.choice(SENDERS)
        dumped[role.number].send(stream.message(role))
    for role in SENDERS:
        dumped[role.number].send(mark(role, 0))
    wait_for(lambda: is_told_everywhere(0, dumped), 30, "all has been heard")
    dump = subprocess.run(
        [BUILD / "vrouterctl", "--socket", routers[0].control_socket, "bgp", "dump"],
        capture_output=True, timeout=15, check=True,
    ).stdout  # fmt: skip
    numbers = {role.address: role.number for role in ROLES}
    for address, octets in replayed(dump):
        for made in (ours, theirs):
            made[numbers[address]].send(octets)

    def equal():
        told = is_told_everywhere(0, ours, theirs)
        return told and not differences(dumped, ours) and not differences(dumped, theirs)

    try:
        wait_for(equal, 10, "the tables are equal")
    except Deadline:
        found = differences(dumped, ours)[:10] + differences(dumped, theirs)[:10]
        pytest.fail("\n".join(found), pytrace=False)


# RFC 7606 5.2: the prefixes that such a message is about may be in what cannot be read.
HIDING = {
    1: attribute(WELL_KNOWN, 1, b"\3"),
    2: attribute(WELL_KNOWN, 1, b"\0") + attribute(OPTIONAL_TRANSITIVE, 8, b"\0\0\0"),
    3: unreach(PREFIXES[6][:2])[:-1],
    4: attribute(WELL_KNOWN, 1, b"\3") + unreach(PREFIXES[6][:2]),
}


def test_errors_that_hide_the_prefixes_end_the_session(network, cleanup, make_router, make_peer):
    router, bird, ours, theirs = both(network, cleanup, make_router, make_peer)
    for number, octets in HIDING.items():
        for made in (ours, theirs):
            made[number].send(update(octets))
            with pytest.raises(AssertionError, match="ends the session: 0301"):
                wait_for(lambda made=made, number=number: made[number].pump() and False, 10)
