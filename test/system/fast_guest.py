"""A guest without a virtual machine: a namespace whose eth0 hangs on a vhost-user socket.

dpdk-testpmd moves frames between virtio-user (the guest's side of vhost-user) and a veth whose other
end is eth0.  It starts in half a second and polls, so it costs a core; its kernel is this machine's.
Commands run in it as in any namespace, and Wire(guest.namespace, "eth0") sends crafted frames.
SPDX-License-Identifier: Apache-2.0
"""

import subprocess

from namespace_guest import NamespaceGuest
from process import Process


class FastGuest(NamespaceGuest):
    def __init__(self, network, directory, name, socket_path, mac, addresses=(), gateways=(), **options):
        super().__init__(network, directory, name, mac)
        self.socket_path = socket_path
        self.listen = options.pop("listen", False)
        self.queues = options.pop("queues", 1)
        self.lcores = options.pop("lcores", "0,1")
        self.virtio = options.pop("virtio", "")  # further net_virtio_user arguments: ",packed_vq=1"
        assert not options, f"unknown options: {', '.join(options)}"
        network.link(self.namespace, "eth0", self.namespace, "behind")
        self.namespace.hand_over("behind")
        self.namespace.sh("ip", "link", "set", "dev", "eth0", "down", "address", mac)
        self.namespace.sh("ip", "link", "set", "dev", "eth0", "up")
        self.configure(addresses, gateways)
        self.process = None

    def start(self, seconds=10):
        server = ",server=1" if self.listen else ""
        device = f"net_virtio_user0,path={self.socket_path},mac={self.mac},queues={self.queues}{server}{self.virtio}"
        self.process = Process(
            [
                "dpdk-testpmd", "-l", self.lcores, "--no-pci", "--no-huge", "-m", "128", "--no-shconf",
                "--no-telemetry", "--vdev", device, "--vdev", "net_af_packet0,iface=behind",
                "--", "-i", "--total-num-mbufs=8192", "--nb-cores=1",
            ],
            self.directory / f"{self.name}.testpmd.log",
            self.namespace,
            stdin=subprocess.PIPE,
        )  # fmt: skip
        self.process.wait_for_output("testpmd>", seconds)
        self.order("start")
        return self

    def order(self, line):
        """A command to testpmd's own prompt."""
        self.process.child.stdin.write(f"{line}\n".encode())
        self.process.child.stdin.flush()

    def kill(self):
        self.process.kill()

    def stop(self):
        if self.process:
            self.process.stop(limit=2)
