#!/usr/bin/env python3
"""How long a host is not told of changes when its replica of vrouter-policyd is killed, or merely stops.

Two replicas over one directory and one vrouterd (without a data plane) on loopback.  In each run the
replica that the host follows is killed (SIGKILL) or frozen (SIGSTOP), an object is changed at the same
moment, and the time is taken until the host has the change, from the other replica.  That forwarding does
not notice is the business of test/system/test_policyd.py.

    ./dev perf policyd [-- --runs 10]
SPDX-License-Identifier: Apache-2.0
"""

import argparse
import contextlib
import json
import os
import pathlib
import signal
import socket
import statistics
import subprocess
import tempfile
import time

BUILD = pathlib.Path(os.environ.get("BUILD", "build-perf"))
HOST = "host-a"
PATIENCE = 60  # seconds until a run counts as failed
GOAL_MS = 2000
ENDS = {"killed": signal.SIGKILL, "frozen": signal.SIGSTOP}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(predicate, what):
    end = time.monotonic() + PATIENCE
    while not predicate():
        if time.monotonic() > end:
            raise SystemExit(f"policyd.py: not within {PATIENCE} s: {what}")
        time.sleep(0.002)


class Authority:
    """Issues certificates for 127.0.0.1 and a name."""

    def __init__(self, directory):
        self.directory = directory
        self.ca, self.key = directory / "ca.pem", directory / "ca.key"
        self.openssl("req", "-x509", *self.new_key(self.key), "-subj", "/CN=authority", "-out", self.ca)

    @staticmethod
    def openssl(*words):
        subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True)

    @staticmethod
    def new_key(path):
        return ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", path]

    def issue(self, name):
        key, request, certificate = (self.directory / f"{name}.{suffix}" for suffix in ("key", "csr", "pem"))
        extensions = self.directory / f"{name}.ext"
        extensions.write_text(f"subjectAltName=DNS:{name},IP:127.0.0.1\n")
        self.openssl("req", "-new", *self.new_key(key), "-subj", f"/CN={name}", "-out", request)
        words = ["x509", "-req", "-in", request, "-CA", self.ca, "-CAkey", self.key, "-CAcreateserial"]
        self.openssl(*words, "-extfile", extensions, "-days", 2, "-out", certificate)
        return {"ca": str(self.ca), "certificate": str(certificate), "key": str(key)}


class Program:
    """A program of ours with a config file, ended with the run."""

    def __init__(self, name, directory, config, cleanup):
        self.words = [BUILD / name, "--config", directory / f"{config['name']}.yaml"]
        self.socket = config["control"]["socket"]
        self.log = directory / f"{config['name']}.log"
        self.process = None
        path = pathlib.Path(self.words[-1])
        path.write_text(json.dumps({key: value for key, value in config.items() if key != "name"}))
        cleanup.callback(self.end)

    def start(self):
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(self.words, stdout=output, stderr=output)

    def end(self):
        if self.process:
            self.process.kill()
            self.process.wait()


class Replica(Program):
    def __init__(self, number, directory, resources, authority, cleanup):
        self.port = free_port()
        config = {
            "name": f"replica-{number}",
            "listen": [f"127.0.0.1:{self.port}"],
            **authority.issue(f"replica-{number}"),
            "datastore": {"file": {"directory": str(resources)}},
            "control": {"socket": str(directory / f"replica-{number}.sock")},
        }
        super().__init__("vrouter-policyd", directory, config, cleanup)

    def status(self):
        words = [BUILD / "vrouter-policyd", "status", "--json", "--socket", self.socket]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        return json.loads(done.stdout) if done.returncode == 0 else {"in_sync": False, "hosts": []}

    def is_listening(self):
        with socket.socket() as probe:
            return self.status()["in_sync"] and probe.connect_ex(("127.0.0.1", self.port)) == 0

    def is_followed(self):
        return any(host["connected"] for host in self.status()["hosts"])


class Site:
    """Both replicas and the host."""

    def __init__(self, directory, cleanup):
        self.resources = directory / "resources"
        self.resources.mkdir()
        self.change(0)
        authority = Authority(directory)
        self.replicas = [Replica(n, directory, self.resources, authority, cleanup) for n in (1, 2)]
        for replica in self.replicas:
            replica.start()
        for replica in self.replicas:
            wait_for(replica.is_listening, "a replica listens")
        servers = [f"127.0.0.1:{replica.port}" for replica in self.replicas]
        source = {"servers": servers, "state_file": str(directory / "state"), **authority.issue(HOST)}
        config = {
            "name": HOST,
            "node": HOST,
            "dataplane": "none",
            "datastore": {"policyd": source},
            "control": {"socket": str(directory / "host.sock")},
        }
        self.host = Program("vrouterd", directory, config, cleanup)
        self.host.start()
        wait_for(lambda: self.order() == 0, "the host is told")

    def change(self, order):
        draft = self.resources / ".draft"
        head = {"apiVersion": "projectcalico.org/v3", "kind": "Tier", "metadata": {"name": "probe"}}
        draft.write_text(json.dumps({**head, "spec": {"order": order}}))
        draft.rename(self.resources / "probe.json")

    def order(self):
        """Of the probe as the host was told it."""
        words = [BUILD / "vrouterctl", "--socket", self.host.socket, "get", "tier", "probe", "-o", "json"]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            return None
        return json.loads(done.stdout)[0]["document"]["spec"]["order"]

    def run(self, end, order):
        """Milliseconds until the host has the change although its replica met this end."""
        wait_for(lambda: any(replica.is_followed() for replica in self.replicas), "a replica is followed")
        followed = next(replica for replica in self.replicas if replica.is_followed())
        followed.process.send_signal(end)
        begin = time.monotonic()
        self.change(order)
        wait_for(lambda: self.order() == order, "the host has the change")
        took = (time.monotonic() - begin) * 1000
        followed.end()
        followed.start()
        wait_for(followed.is_listening, "the replica is back")
        return took


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=10)
    runs = parser.parse_args().runs
    rows = []
    with contextlib.ExitStack() as cleanup:
        directory = pathlib.Path(cleanup.enter_context(tempfile.TemporaryDirectory(prefix="policyd-")))
        site = Site(directory, cleanup)
        order = 0
        print(f"{'ms until the next change arrives':<34} {'p50':>6} {'max':>6}   of {runs} runs, goal {GOAL_MS}")
        for name, end in ENDS.items():
            times = []
            for _ in range(runs):
                order += 1
                times.append(site.run(end, order))
            p50, most = statistics.median(times), max(times)
            print(f"{'replica ' + name:<34} {p50:>6.0f} {most:>6.0f}", flush=True)
            rows.append({"name": f"failover/{name}", "time_unit": "ms", "runs": runs, "p50": p50, "max": most})
    if path := os.environ.get("BENCHMARK_OUT"):
        pathlib.Path(path).write_text(json.dumps({"benchmarks": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
