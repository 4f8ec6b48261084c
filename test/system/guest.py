"""A real Linux guest behind a vhost-user socket: QEMU microvm with the image of test/guest.

Commands run in the guest over its serial line; see test/guest/init for the other end.  Without KVM
the guest is emulated (TCG): about 2 s to boot.
SPDX-License-Identifier: Apache-2.0
"""

import base64
import fcntl
import itertools
import json
import os
import pathlib
import re
import socket
import threading

from process import Process, wait_for

ROOT = pathlib.Path(__file__).resolve().parents[2]
KVM_CREATE_VM = 0xAE01


class GuestError(AssertionError):
    """A command failed in the guest."""


def cpu_flag(*flags):
    words = pathlib.Path("/proc/cpuinfo").read_text().split()
    return any(flag in words for flag in flags)


def kvm_works():
    """Whether KVM can be used with the processor's help.

    /dev/kvm may exist and make no machine, or (seen inside other hypervisors) make machines that run
    far slower than emulation, because the processor's vmx or svm is missing.
    """
    if not cpu_flag("vmx", "svm"):
        return False
    try:
        with open("/dev/kvm", "rb+", buffering=0) as kvm:
            os.close(fcntl.ioctl(kvm, KVM_CREATE_VM, 0))
            return True
    except OSError:
        return False


def tsc_khz():
    """The kernel cannot measure it reliably under emulation and hangs silently if it fails."""
    match = re.search(r"^cpu MHz\s*:\s*([\d.]+)", pathlib.Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return int(float(match.group(1)) * 1000) if match else 2000000


class Guest:
    """One guest; start() returns when its network is configured.

    addresses and gateways: lists of text, both families.  socket: the vhost-user socket, to which
    QEMU connects, or on which it listens if `listen`; the machine runs from the moment when the
    router is there.  None: a guest without network.
    """

    def __init__(self, name, directory, socket_path, mac, addresses=(), gateways=(), **options):
        self.name = name
        self.directory = pathlib.Path(directory)
        self.socket_path = socket_path
        self.mac = mac
        self.addresses = list(addresses)
        self.gateways = list(gateways)
        self.listen = options.pop("listen", False)
        self.queues = options.pop("queues", 1)
        self.memory = options.pop("memory", 192)
        self.mtu = options.pop("mtu", None)
        self.device = options.pop("device", "")  # further virtio-net-device properties
        self.incoming = options.pop("incoming", None)  # the guest of which this one takes over the machine
        self.image = pathlib.Path(options.pop("image", ROOT / "build/guest"))
        assert not options, f"unknown options: {', '.join(options)}"
        self.process = None
        self.serial = None
        self.received = b""
        self.ids = itertools.count(1)
        self.lock = threading.Lock()

    @property
    def log(self):
        return self.directory / f"{self.name}.log"

    def command_line(self):
        kvm = kvm_works()
        words = ["console=ttyS0", "quiet", "loglevel=1", "panic=-1", "mitigations=off", "random.trust_cpu=on"]
        if not kvm:
            words.append(f"tsc_early_khz={tsc_khz()}")
        words.append(f"g.addresses={','.join(self.addresses)}")
        words.append(f"g.gateways={','.join(self.gateways)}")
        if self.mtu:
            words.append(f"g.mtu={self.mtu}")
        return [
            "qemu-system-x86_64", "-name", self.name, "-nodefaults", "-display", "none",
            "-M", "microvm,rtc=on,memory-backend=ram", "-global", "virtio-mmio.force-legacy=false",
            "-accel", "kvm" if kvm else "tcg", "-cpu", "host" if kvm else "max",
            "-m", self.memory, "-smp", self.queues,
            "-object", f"memory-backend-memfd,id=ram,size={self.memory}M,share=on",
            "-kernel", self.image / "vmlinux", "-initrd", self.image / "initrd.cpio",
            "-append", " ".join(words),
            "-chardev", f"socket,id=serial,path={self.directory / self.name}.serial,server=on,wait=off"
            f",logfile={self.directory / self.name}.serial.log",
            "-serial", "chardev:serial",
            "-qmp", f"unix:{self.directory / self.name}.qmp,server=on,wait=off",
            *(self.network_device() if self.socket_path else []),
            *(["-incoming", f"unix:{self.migration_socket}"] if self.incoming else []),
        ]  # fmt: skip

    @property
    def migration_socket(self):
        return self.directory / f"{self.name}.migration"

    def migrate_to(self, other, seconds=30):
        """Live: returns when the guest runs in the QEMU of `other`, which was launched with incoming=self."""
        self.qmp("migrate", uri=f"unix:{other.migration_socket}")

        def ended():
            status = self.qmp("query-migrate")["return"].get("status")
            return status if status in ("completed", "failed") else None

        status = wait_for(ended, seconds, f"{self.name} has migrated")
        if status == "failed":
            raise GuestError(f"{self.name}: migration failed")

    def network_device(self):
        mode = "server=on,wait=off" if self.listen else "reconnect=1"
        multi = "on" if self.queues > 1 else "off"
        return [
            "-chardev", f"socket,id=net,path={self.socket_path},{mode}",
            "-netdev", f"vhost-user,id=net,chardev=net,queues={self.queues}",
            "-device", f"virtio-net-device,netdev=net,mac={self.mac},mq={multi}{self.device}",
        ]  # fmt: skip

    def launch(self):
        """Starts QEMU without waiting for the guest."""
        self.received = b""
        self.process = Process(self.command_line(), self.log)
        self.serial = self.connect("serial")

    def start(self, seconds=30):
        self.launch()
        self.wait_booted(seconds)
        return self

    def connect(self, what):
        path = str(self.directory / f"{self.name}.{what}")
        connection = socket.socket(socket.AF_UNIX)

        def connected():
            try:
                connection.connect(path)
                return True
            except OSError:
                return False

        self.process.wait_for(connected, 5, f"{self.name}: {path}")
        return connection

    def read_until(self, pattern, seconds):
        """Reads the serial line up to a match of `pattern`; returns it and what came before."""
        self.serial.settimeout(0.05)

        def matched():
            found = re.search(pattern, self.received, re.DOTALL)
            if found:
                return found
            try:
                self.received += self.serial.recv(65536)
            except TimeoutError:
                pass
            return re.search(pattern, self.received, re.DOTALL)

        what = f"{self.name}: {pattern!r}; last seen: {self.received[-200:]!r}"
        found = self.process.wait_for(matched, seconds, what)
        before = self.received[: found.start()]
        self.received = self.received[found.end() :]
        return found, before

    def wait_booted(self, seconds=30):
        self.read_until(rb"\x01up [\d.]+\r?\n", seconds)

    def run(self, command, seconds=10, check=True):
        """Runs a shell command in the guest; returns its output, or (status, output) if not `check`."""
        with self.lock:
            key = next(self.ids)
            encoded = base64.b64encode(command.encode()).decode()
            self.serial.sendall(f"{key} {seconds} {encoded}\n".encode())
            self.read_until(rb"\x01begin %d\r?\n" % key, 5)
            found, before = self.read_until(rb"\x01end %d (\d+)\r?\n" % key, seconds + 5)
        output, status = before.decode(errors="replace").replace("\r\n", "\n"), int(found.group(1))
        if not check:
            return status, output
        if status:
            raise GuestError(f"{self.name}: '{command}' ended with status {status}:\n{output}")
        return output

    def reaches(self, address, seconds=5):
        """Whether one ping is answered; a test that expects it to be lost names fewer seconds."""
        return self.run(f"ping -c 1 -W {seconds} {address} >/dev/null", seconds + 2, check=False)[0] == 0

    def wait_reaches(self, address, seconds=10):
        wait_for(lambda: self.reaches(address), seconds, f"{self.name} reaches {address}")

    def opens(self, address, port, seconds=5):
        """Whether a TCP connection comes about (busybox nc, no data); see reaches()."""
        command = f"nc -w {seconds} {address} {port} </dev/null >/dev/null"
        return self.run(command, seconds + 2, check=False)[0] == 0

    def listen_tcp(self, *ports):
        """Accepts TCP connections on ports in the background, in both families, until the guest ends."""
        for port in ports:
            # 0A is the state LISTEN; a socket of both families is in tcp6 alone.
            listening = f"grep -q ':{port:04X} 0*:0000 0A' /proc/net/tcp6"
            self.run(f"nc -ll -p {port} -e true >/dev/null 2>&1 & until {listening}; do sleep 0.05; done")

    def restart_network_driver(self):
        """Takes the virtio device down and up again: its rings are reset and set up anew."""
        self.run("rmmod virtio_net && insmod /modules/virtio_net.ko && network-up")

    def qmp(self, command, **arguments):
        """One command to QEMU itself, such as stop, cont or system_reset."""
        with self.connect("qmp") as connection:
            lines = connection.makefile("rw")
            lines.readline()
            for request in ({"execute": "qmp_capabilities"}, {"execute": command, "arguments": arguments}):
                lines.write(json.dumps(request) + "\n")
                lines.flush()
                answer = json.loads(lines.readline())
                while "event" in answer:
                    answer = json.loads(lines.readline())
        return answer

    def reset(self, seconds=30):
        """Presses the reset button and waits for the next boot."""
        self.qmp("system_reset")
        self.wait_booted(seconds)

    def kill(self):
        """Ends QEMU without warning, as a crash would."""
        if self.process:
            self.process.kill()

    def stop(self):
        if self.serial:
            self.serial.close()
        if self.process:
            self.process.stop(limit=2)
