"""A stream of numbered UDP packets through a router, of which each one is accounted for.

SPDX-License-Identifier: Apache-2.0
"""

import socket
import threading

from process import wait_for
from wire import inside

PORT = 9000
SO_RCVBUFFORCE = 33


class Stream:
    """From a namespace to an address of another one, while the `with` block runs.

    `received` grows while it runs; `lost` is the list of numbers that did not arrive.  An address that moves
    is listened for where it goes, too (also_at).
    """

    def __init__(self, source, destination, address, interval=0.002):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with inside(source):
            self.sender = socket.socket(family, socket.SOCK_DGRAM)
        self.address = address
        self.interval = interval
        self.sent = 0
        self.received = set()
        self.done = threading.Event()
        self.receivers = []
        self.threads = [threading.Thread(target=self.send), self.listener(destination)]

    def send(self):
        while not self.done.wait(self.interval):
            self.sent += 1  # first: who receives must not take all before it for all
            self.sender.sendto((self.sent - 1).to_bytes(4, "big"), (self.address, PORT))

    def listener(self, destination):
        """A thread, not yet started, that receives in a namespace."""
        with inside(destination):
            receiver = socket.socket(self.sender.family, socket.SOCK_DGRAM)
        receiver.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 4 << 20)
        receiver.bind((self.address, PORT))
        receiver.settimeout(0.5)
        self.receivers.append(receiver)
        return threading.Thread(target=self.receive, args=[receiver])

    def also_at(self, destination):
        """Receives in this namespace, too, from now on."""
        self.threads.append(self.listener(destination))
        self.threads[-1].start()

    def receive(self, receiver):
        while not (self.done.is_set() and len(self.received) == self.sent):
            try:
                self.received.add(int.from_bytes(receiver.recv(16), "big"))
            except TimeoutError:
                if self.done.is_set():
                    return  # nothing more on its way

    @property
    def lost(self):
        return sorted(set(range(self.sent)) - self.received)

    def wait_more(self, packets=50, seconds=10):
        """Until this many more have arrived."""
        wanted = len(self.received) + packets
        wait_for(lambda: len(self.received) >= wanted, seconds, f"{packets} more packets of the stream")

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        self.wait_more()
        return self

    def __exit__(self, *_):
        self.done.set()
        for thread in self.threads:
            thread.join()
        for end in (self.sender, *self.receivers):
            end.close()
