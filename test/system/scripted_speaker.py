"""A BGP speaker that says what a test tells it, byte for byte, and keeps a table of what it hears.

It does not know what is right: it sends messages as they come and decodes without judging, so that
what two routers tell it can be compared.  Hold time 0 unless a test wants another, so nothing has to be
sent in time.
SPDX-License-Identifier: Apache-2.0
"""

import ipaddress
import select
import socket
import struct

from process import wait_for
from wire import inside

OPEN, UPDATE, NOTIFICATION, KEEPALIVE, REFRESH = 1, 2, 3, 4, 5
ROUTE_REFRESH, ENHANCED_REFRESH = 2, 70  # capabilities
OPTIONAL, TRANSITIVE, PARTIAL, EXTENDED = 0x80, 0x40, 0x20, 0x10
AS_PATH, NEXT_HOP = 2, 3
MP_REACH, MP_UNREACH = 14, 15
LISTS = {8: 4, 16: 8, 32: 12}  # communities: octets of an element; their order means nothing
AS_TRANS = 23456
TCP_MD5SIG = 14


def md5_key(address, password):
    """The kernel's struct tcp_md5sig, for IPv4."""
    octets = struct.pack("=HH4s120x", socket.AF_INET, 0, socket.inet_aton(address))
    return octets + struct.pack("=BBHi80s", 0, 0, len(password), 0, password.encode())


def message(kind, body=b""):
    return b"\xff" * 16 + struct.pack("!HB", 19 + len(body), kind) + body


def attribute(flags, code, value):
    """An attribute with as many octets of length as it needs."""
    if len(value) > 255:
        return struct.pack("!BBH", flags | EXTENDED, code, len(value)) + value
    return struct.pack("!BBB", flags, code, len(value)) + value


def nlri(prefix):
    network = ipaddress.ip_network(prefix)
    octets = (network.prefixlen + 7) // 8
    return bytes([network.prefixlen]) + network.network_address.packed[:octets]


def networks(octets, size):
    """The prefixes of a field, as text; `size`: octets of an address."""
    while octets:
        length, count = octets[0], (octets[0] + 7) // 8
        address = ipaddress.ip_address(octets[1 : 1 + count].ljust(size, b"\0"))
        yield f"{address}/{length}"
        octets = octets[1 + count :]


def update(attributes=b"", announced=b"", withdrawn=b""):
    fields = struct.pack("!H", len(withdrawn)) + withdrawn + struct.pack("!H", len(attributes)) + attributes
    return message(UPDATE, fields + announced)


def route_refresh(family):
    return message(REFRESH, struct.pack("!HBB", family, 0, 1))


def unreach(prefixes):
    return attribute(OPTIONAL, MP_UNREACH, struct.pack("!HB", 2, 1) + b"".join(map(nlri, prefixes)))


def reach(next_hop, prefixes):
    hop = ipaddress.ip_address(next_hop).packed
    head = struct.pack("!HBB", 2, 1, len(hop)) + hop + b"\0"
    return attribute(OPTIONAL, MP_REACH, head + b"".join(map(nlri, prefixes)))


def attributes_of(octets):
    """(flags, code, value) of each attribute."""
    while octets:
        flags, code = octets[:2]
        wide = flags & EXTENDED
        length, start = (int.from_bytes(octets[2:4]), 4) if wide else (octets[2], 3)
        yield flags & ~EXTENDED, code, octets[start : start + length]
        octets = octets[start + length :]


def comparable(code, value):
    if code in LISTS:
        size = LISTS[code]
        return tuple(sorted(value[at : at + size].hex() for at in range(0, len(value), size)))
    return value.hex()


class ScriptedSpeaker:
    """A session in both families from `own`, an address of the namespace, to the router at `router`.

    table: prefix -> {code of the attribute: (flags, value)}; the next hop of either family is 3.
    withdrawn: every prefix withdrawn, in the order heard.
    refreshes: of each ROUTE-REFRESH heard, whether it is a request (0), a beginning (1) or an end (2).
    """

    def __init__(self, namespace, own, router, asn, wide=True, **options):
        self.namespace, self.own, self.router, self.asn, self.wide = namespace, own, router, asn, wide
        self.capabilities = options.pop("capabilities", b"")  # beside families and AS number
        self.hold_time = options.pop("hold_time", 0)
        self.receive_buffer = options.pop("receive_buffer", 0)  # octets that wait to be read; 0: as the kernel likes
        self.password = options.pop("password", "")  # TCP MD5, RFC 2385
        assert not options, f"unknown options: {', '.join(options)}"
        self.socket, self.unread, self.up, self.table = None, b"", False, {}
        self.withdrawn, self.refreshes = [], []

    def __str__(self):
        return f"{self.own} in {self.namespace}"

    def open(self):
        capabilities = self.capabilities + b"".join(bytes([1, 4, 0, family, 0, 1]) for family in (1, 2))
        if self.wide:
            capabilities += bytes([65, 4]) + self.asn.to_bytes(4)
        number = self.asn if self.asn < 65536 else AS_TRANS
        identifier = ipaddress.ip_address(self.own).packed
        parameters = bytes([2, len(capabilities)]) + capabilities
        fixed = struct.pack("!BHH4sB", 4, number, self.hold_time, identifier, len(parameters))
        return message(OPEN, fixed + parameters)

    def connect(self):
        """Calls once; whether the session is there tells established() later."""
        self.close()
        with inside(self.namespace):
            self.socket = socket.socket()
        if self.receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self.receive_buffer)
        if self.password:
            self.socket.setsockopt(socket.IPPROTO_TCP, TCP_MD5SIG, md5_key(self.router, self.password))
        self.socket.bind((self.own, 0))
        try:
            self.socket.connect((self.router, 179))
        except OSError:
            self.close()
            return
        self.socket.sendall(self.open() + message(KEEPALIVE))
        self.socket.setblocking(False)

    def established(self):
        """Calls again where the router did not listen yet or was not ready to take the session."""
        if self.socket is None:
            self.connect()
        else:
            self.pump()
        return self.up

    def close(self):
        if self.socket:
            self.socket.close()
        self.socket, self.unread, self.up = None, b"", False

    def send(self, octets):
        """Takes what comes in meanwhile, so that neither end waits for the other."""
        while octets:
            try:
                octets = octets[self.socket.send(octets) :]
            except BlockingIOError:
                wait_for(lambda: self.pump() or self.writable(), 10, f"{self}: the router reads", every=0.001)

    def writable(self):
        return bool(select.select([], [self.socket], [], 0)[1])

    def pump(self):
        """Reads what has arrived; true when there was something."""
        got = False
        while self.socket is not None:
            try:
                octets = self.socket.recv(65536)
            except BlockingIOError:
                break
            except ConnectionError:
                octets = b""
            if not octets:
                assert not self.up, f"{self}: the router closed the session"
                self.close()
                break
            got = True
            self.unread += octets
            self.take_messages()
        return got

    def take_messages(self):
        while len(self.unread) >= 19:
            length, kind = struct.unpack("!HB", self.unread[16:19])
            if len(self.unread) < length:
                return
            body, self.unread = self.unread[19:length], self.unread[length:]
            assert not (self.up and kind == NOTIFICATION), f"{self}: the router ends the session: {body.hex()}"
            self.up = self.up or kind == KEEPALIVE
            if kind == UPDATE:
                self.take_update(body)
            if kind == REFRESH:
                self.refreshes.append(body[2])

    def take_update(self, body):
        middle = 2 + int.from_bytes(body[:2])
        end = middle + 2 + int.from_bytes(body[middle : middle + 2])
        gone, told, hops, common = list(networks(body[2:middle], 4)), [], {}, {}
        for flags, code, value in attributes_of(body[middle + 2 : end]):
            if code == MP_UNREACH:
                gone += networks(value[3:], 16)
            elif code == MP_REACH:
                told += networks(value[5 + value[3] :], 16)
                hops[6] = value[4:20].hex()  # a link-local one may follow
            elif code == NEXT_HOP:
                hops[4] = value.hex()
            else:
                common[code] = (flags, comparable(code, value))
        told += networks(body[end:], 4)
        for prefix in gone:
            self.table.pop(prefix, None)
        self.withdrawn += gone
        for prefix in told:
            self.table[prefix] = {**common, NEXT_HOP: hops[6 if ":" in prefix else 4]}
