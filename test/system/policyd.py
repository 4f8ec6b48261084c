"""vrouter-policyd in a namespace of its own, with a link to each host and certificates for all.

SPDX-License-Identifier: Apache-2.0
"""

import json
import pathlib
import signal
import subprocess

import yaml
from network import sh
from process import Process
from router import BUILD

PORT = 5474


class Authority:
    """Issues certificates: files NAME.pem and NAME.key in a directory."""

    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        self.directory.mkdir()
        self.ca = self.directory / "ca.pem"
        self.key = self.directory / "ca.key"
        self.openssl("req", "-x509", *self.new_key(self.key), "-subj", "/CN=authority", "-out", self.ca)

    @staticmethod
    def new_key(path):
        return ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", path]

    @staticmethod
    def openssl(*words):
        sh("openssl", *words)

    def issue(self, name, *addresses):
        """{ca, certificate, key} for a host or server."""
        key, request, certificate = (self.directory / f"{name}.{suffix}" for suffix in ("key", "csr", "pem"))
        names = ",".join([f"DNS:{name}", *(f"IP:{address}" for address in addresses)])
        extensions = self.directory / f"{name}.ext"
        extensions.write_text(f"subjectAltName={names}\n")
        self.openssl("req", "-new", *self.new_key(key), "-subj", f"/CN={name}", "-out", request)
        self.openssl(
            "x509", "-req", "-in", request, "-CA", self.ca, "-CAkey", self.key, "-CAcreateserial",
            "-extfile", extensions, "-days", "2", "-out", certificate,
        )  # fmt: skip
        return {"ca": str(self.ca), "certificate": str(certificate), "key": str(key)}


class Policyd:
    """One replica.  Replica 1 is 172.31.11.1 for host 1 and 172.31.12.1 for host 2."""

    def __init__(self, network, directory, authority, datastore, number=1):
        self.number = number
        self.name = f"control-{number}"
        self.network = network
        self.namespace = network.namespace(self.name)
        self.directory = pathlib.Path(directory) / self.name
        self.directory.mkdir()
        self.control_socket = self.directory / "control.sock"
        self.addresses = {}  # by number of the host
        self.authority = authority
        self.datastore = datastore  # as in the config file
        self.process = None
        self.starts = 0

    def link(self, rack):
        """A wire of its own to a host; returns the address that the host calls."""
        net = f"172.31.{self.number}{rack.number}"
        self.network.link(self.namespace, f"host{rack.number}", rack.host, f"control{self.number}")
        self.namespace.add_address(f"host{rack.number}", f"{net}.1/24")
        rack.host.add_address(f"control{self.number}", f"{net}.2/24")
        self.addresses[rack.number] = f"{net}.1"
        return self.addresses[rack.number]

    def start(self):
        config = {
            "listen": [f"0.0.0.0:{PORT}"],
            **self.authority.issue(self.name, *self.addresses.values()),
            "datastore": self.datastore,
            "control": {"socket": str(self.control_socket)},
        }
        path = self.directory / "policyd.yaml"
        path.write_text(yaml.safe_dump(config))
        words = [BUILD / "vrouter-policyd", "--config", path]
        self.starts += 1  # a log for each: what an earlier life said is not waited for
        self.process = Process(words, self.directory / f"log-{self.starts}", self.namespace)
        self.process.wait_for_output("listening on", 10)
        return self

    def status(self):
        words = [BUILD / "vrouter-policyd", "status", "--json", "--socket", self.control_socket]
        return json.loads(subprocess.run(words, capture_output=True, text=True, check=True, timeout=10).stdout)

    def connected(self):
        return {host["host"] for host in self.status()["hosts"] if host["connected"]}

    def cut_off(self):
        """Its wires lose every packet from now on, and nobody is told."""
        for number in self.addresses:
            self.namespace.sh("ip", "link", "set", "dev", f"host{number}", "down")

    def freeze(self):
        self.process.signal(signal.SIGSTOP)

    def kill(self):
        self.process.kill()

    def stop(self):
        return self.process.stop() if self.process else None
