"""FRR's daemons that need its zebra: the BFD daemon, and a bgpd whose routes go into the kernel.

SPDX-License-Identifier: Apache-2.0
"""

import pathlib
import shutil
import tempfile

from process import Process, wait_for


class ZebraDaemon:
    """One of FRR's daemons with the zebra that it needs.

    They insist on being no root, so their files are elsewhere and theirs.
    """

    program = None

    def __init__(self, namespace, logs):
        self.namespace = namespace
        self.logs = logs
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="vrt-frr-"))
        shutil.chown(self.directory, "frr", "frr")
        self.processes = []

    def configuration(self):
        raise NotImplementedError

    def start(self, *words):
        (self.directory / f"{self.program}.conf").write_text("\n".join(self.configuration()) + "\n")
        self.start_zebra()
        self.launch(self.program, self.api, *words)
        return self

    def start_zebra(self):
        (self.directory / "zebra.conf").write_text("")
        self.launch("zebra", self.api)
        wait_for(self.api.exists, 10, "zebra's API")
        return self

    @property
    def api(self):
        return self.directory / "zserv.api"

    def launch(self, program, api, *words):
        command = [f"/usr/lib/frr/{program}", "-u", "frr", "-g", "frr", "-P", "0", "-z", api]
        command += ["-f", self.directory / f"{program}.conf", "-i", self.directory / f"{program}.pid"]
        command += ["--vty_socket", self.directory, "--log", "stdout", *words]
        self.processes.append(Process(command, self.logs / f"{program}.log", self.namespace))

    @property
    def process(self):
        return self.processes[-1]

    def stop(self):
        for process in reversed(self.processes):
            process.stop(limit=2)
        shutil.rmtree(self.directory, ignore_errors=True)


class Bfdd(ZebraDaemon):
    """FRR's BFD daemon; `peers` are addresses, or with what else its configuration says of whose session it is."""

    program = "bfdd"

    def __init__(self, namespace, logs, peers):
        super().__init__(namespace, logs)
        self.peers = peers

    def configuration(self):
        times = ["  transmit-interval 100", "  receive-interval 100", "  no shutdown"]
        return ["bfd", *(line for peer in self.peers for line in (f" peer {peer}", *times))]

    def start(self):
        return super().start("--bfdctl", self.directory / "bfdd.sock")


class UnnumberedFrr(ZebraDaemon):
    """FRR's bgpd: whoever advertises itself on `interface` is its neighbor; routes go into the kernel."""

    program = "bgpd"

    def __init__(self, namespace, logs, interface, asn, router_id, remote_as, networks):
        super().__init__(namespace, logs)
        self.interface = interface
        self.asn = asn
        self.router_id = router_id
        self.remote_as = remote_as
        self.networks = networks

    def configuration(self):
        yield "bgp route-map delay-timer 0"
        yield f"router bgp {self.asn}"
        yield f" bgp router-id {self.router_id}"
        yield from (" no bgp ebgp-requires-policy", " no bgp network import-check", " no bgp default ipv4-unicast")
        yield f" neighbor {self.interface} interface v6only remote-as {self.remote_as}"
        yield from (f" neighbor {self.interface} {words}" for words in ("timers 3 9", "timers connect 1"))
        yield f" neighbor {self.interface} advertisement-interval 0"
        for family in (4, 6):
            yield f" address-family ipv{family} unicast"
            yield from (f"  network {network}" for network in self.networks if (":" in network) == (family == 6))
            yield f"  neighbor {self.interface} activate"
            yield " exit-address-family"
