"""Crafted frames on an interface of a namespace: built and read with scapy, sent and captured here.

The socket is opened inside the namespace and stays there; no second process is needed.
SPDX-License-Identifier: Apache-2.0
"""

import contextlib
import ctypes
import os
import select
import socket
import struct
import time

from process import PATIENCE, Deadline
from scapy.layers.l2 import Ether

CLONE_NEWNET = 0x40000000
ETH_P_ALL = 3
SOL_PACKET = 263
PACKET_ADD_MEMBERSHIP = 1
PACKET_IGNORE_OUTGOING = 23
PACKET_MR_PROMISC = 1


@contextlib.contextmanager
def inside(namespace):
    """The calling thread is in the namespace until the end of the block."""
    libc = ctypes.CDLL(None, use_errno=True)
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    there = os.open(f"/run/netns/{namespace}", os.O_RDONLY)
    try:
        if libc.setns(there, CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f"cannot enter {namespace}")
        yield
        libc.setns(home, CLONE_NEWNET)
    finally:
        os.close(there)
        os.close(home)


class Wire:
    """Sends to and receives from one interface; sees all frames that arrive, not those sent."""

    def __init__(self, namespace, interface):
        with inside(namespace):
            self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
            index = socket.if_nametoindex(interface)
        self.socket.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
        member = struct.pack("iHH8s", index, PACKET_MR_PROMISC, 0, b"")
        self.socket.setsockopt(SOL_PACKET, PACKET_ADD_MEMBERSHIP, member)
        self.socket.bind((interface, ETH_P_ALL))
        self.unread = []

    def send(self, *frames):
        for frame in frames:
            self.socket.send(bytes(frame))

    def frames(self, seconds):
        """Yields arriving frames, first those that were passed over before, until the time is up."""
        passed, self.unread = self.unread, []
        yield from passed
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if select.select([self.socket], [], [], left)[0]:
                yield Ether(self.socket.recv(65536))

    def until(self, wanted, seconds=3):
        """All frames up to and with the first that satisfies `wanted`."""
        seen = []
        for frame in self.frames(seconds * PATIENCE):
            seen.append(frame)
            if wanted(frame):
                return seen
        text = "\n".join(frame.summary() for frame in seen[-20:])
        raise Deadline(f"no such frame in {seconds * PATIENCE} s; {len(seen)} others:\n{text}")

    def receive(self, wanted, seconds=3):
        """The first frame that satisfies `wanted`; frames before it can still be received later."""
        *before, frame = self.until(wanted, seconds)
        self.unread = before + self.unread
        return frame

    def clear(self):
        """Forgets what has arrived so far."""
        self.unread = []
        while select.select([self.socket], [], [], 0)[0]:
            self.socket.recv(65536)

    def close(self):
        self.socket.close()
