"""vrouterd in a namespace: its configuration, its resources, its answers.

SPDX-License-Identifier: Apache-2.0
"""

import json
import os
import pathlib
import subprocess

import yaml

from resources import as_yaml
from process import Process, wait_for

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("VROUTER_BUILD", ROOT / "build"))
EAL = ["--no-huge"]  # the tests take no hugepages from whoever owns this machine's


class Router:
    """One vrouterd.  Change `config` (a dict) or use add_uplink() and the like, then start()."""

    def __init__(self, namespace, directory, node, lcore=1, **config):
        self.namespace = namespace
        self.node = node
        self.directory = pathlib.Path(directory) / node
        self.resources = self.directory / "resources"
        self.sockets = self.directory / "vhost"
        self.control_socket = self.directory / "control.sock"
        for folder in (self.resources, self.sockets):
            folder.mkdir(parents=True)
        self.process = None
        self.config = {
            "node": node,
            "eal": EAL,
            "workers": {"lcores": [lcore % os.cpu_count()], "idle": "adaptive"},
            "ports": [],
            "workloads": {"socket_directory": str(self.sockets), "gateway4": "169.254.1.1", "gateway6": "fe80::1"},
            "datastore": {"file": {"directory": str(self.resources)}},
            "control": {"socket": str(self.control_socket)},
            "log": {"level": "debug"},
            **config,
        }

    # Configuration

    def add_uplink(self, interface, addresses, name=None, driver="net_af_packet", mtu=1500):
        """A port on a kernel interface of the namespace; the kernel keeps its hands off it."""
        number = len(self.config["ports"])
        self.namespace.hand_over(interface)
        self.config["ports"].append(
            {
                "name": name or f"uplink{number}",
                "device": f"{driver}{number},iface={interface}",
                "addresses": list(addresses),
                "mtu": mtu,
            }
        )

    def add_host(self, addresses, tap="vr0"):
        """The way to the namespace's kernel, for the router's own addresses."""
        self.config["host"] = {"tap": tap, "addresses": list(addresses)}

    def add_route(self, prefix, *via):
        self.config.setdefault("routes", []).append({"prefix": prefix, "via": list(via)})

    def set_bgp(self, asn, router_id, neighbors):
        """neighbors: {address: asn}, or whole dicts as the configuration has them."""
        if isinstance(neighbors, dict):
            neighbors = [{"address": a, "as": n} for a, n in neighbors.items()]
        defaults = {"import": "all", "export": "local", "hold_time": 9, "connect_retry": 1}
        neighbors = [{**defaults, **neighbor} for neighbor in neighbors]
        self.config["bgp"] = {"as": asn, "router_id": router_id, "neighbors": neighbors}

    # Life

    def write_config(self):
        path = self.directory / "vrouter.yaml"
        path.write_text(yaml.safe_dump(self.config, sort_keys=False))
        return path

    def launch(self):
        """Starts vrouterd without waiting for it."""
        words = [BUILD / "vrouterd", "--config", self.write_config()]
        self.process = Process(words, self.directory / "log", self.namespace)
        return self

    def start(self, seconds=15):
        self.launch()
        self.wait_ready(seconds)
        return self

    def wait_ready(self, seconds=15):
        self.process.wait_for(self.answers, seconds, f"{self} answers on its control socket")
        self.favour_workers()

    def favour_workers(self):
        """Lets them run whenever there is a packet, as on a host where each has a CPU of its own.

        Beside compilers, the kernel has let one that could run wait for four seconds; what falls off the rings of its
        ports meanwhile, after half a second of a stream, nobody counts.
        """
        if self.config.get("workers", {}).get("idle") != "adaptive":
            return  # there are none, or they never sleep: others would not get the CPU at all
        for task in pathlib.Path(f"/proc/{self.process.pid}/task").iterdir():
            if "worker" in (task / "comm").read_text():
                os.sched_setscheduler(int(task.name), os.SCHED_RR, os.sched_param(1))

    def answers(self):
        return self.control_socket.exists() and self.ctl_status("show", "version")[0] == 0

    def stop(self):
        """Clean stop; returns the exit status."""
        return self.process.stop() if self.process else None

    def kill(self):
        self.process.kill()

    def check_running(self):
        self.process.check_running()

    @property
    def log(self):
        return self.process.output()

    # Resources

    def path_of(self, kind, name, namespace=None):
        return self.resources / f"{kind.lower()}-{namespace + '-' if namespace else ''}{name}.yaml"

    def write_file(self, name, text):
        """Puts a file into the watched directory as a whole, as an editor does: write, then rename."""
        draft = self.directory / "draft"
        draft.write_text(text)
        draft.rename(self.resources / name)

    def put(self, *documents):
        """Writes resources, one file each."""
        for document in documents:
            meta = document["metadata"]
            path = self.path_of(document["kind"], meta["name"], meta.get("namespace"))
            self.write_file(path.name, as_yaml(document))

    def remove(self, document):
        meta = document["metadata"]
        self.path_of(document["kind"], meta["name"], meta.get("namespace")).unlink()

    def socket_of(self, workload):
        """Where the guest of a workload_endpoint() connects."""
        return self.sockets / f"tap-{workload}.sock"

    # Questions

    def ctl_status(self, *words, input=None):
        """vrouterctl's exit status and output."""
        done = subprocess.run(
            [BUILD / "vrouterctl", "--socket", self.control_socket, *map(str, words)],
            capture_output=True,
            text=True,
            input=input,
            timeout=15,
        )
        return done.returncode, done.stdout + done.stderr

    def ctl(self, *words, input=None):
        status, output = self.ctl_status(*words, input=input)
        assert status == 0, f"vrouterctl {' '.join(map(str, words))}: status {status}\n{output}"
        return output

    def ask(self, *words):
        """What a command answers, as JSON; a listing as its list of rows."""
        answer = json.loads(self.ctl(*words, "--json"))
        return answer.get("rows", answer) if isinstance(answer, dict) else answer

    def show(self, *words):
        return self.ask("show", *words)

    def trace(self, origin, destination, protocol, port=0, **options):
        """The trace of a packet from endpoint or port `origin`: {steps, verdict, ...}.

        options: words of `vrouterctl trace`, such as source or icmp_type.
        """
        words = ["trace", "--from", origin, "-d", destination, "-p", protocol, "--dport", port]
        for name, value in options.items():
            words += [f"--{name.replace('_', '-')}", value]
        status, output = self.ctl_status(*words, "--json")
        assert status in (0, 4), f"trace: status {status}\n{output}"
        return json.loads(output)

    def drops(self):
        return {row["reason"]: row["packets"] for row in self.show("drops")}

    def bgp_state(self, neighbor):
        return next((row["state"] for row in self.show("bgp") if row["address"] == neighbor), None)

    def routes(self, prefix=None):
        """Prefix -> set of next hop addresses, of the routes in use."""
        rows = self.show("routes", *([prefix] if prefix else []))
        return {r["prefix"]: {hop["address"] for hop in r["next_hops"]} for r in rows if r["active"]}

    # Waiting

    def wait_established(self, neighbor, seconds=15):
        self.wait(lambda: self.bgp_state(neighbor).lower() == "established", seconds, f"BGP with {neighbor}")

    def wait_route(self, prefix, next_hop=None, seconds=10):
        def there():
            hops = self.routes().get(prefix)
            return hops is not None and (next_hop is None or next_hop in hops)

        self.wait(there, seconds, f"route to {prefix}")

    def wait_no_route(self, prefix, seconds=10):
        self.wait(lambda: prefix not in self.routes(), seconds, f"no route to {prefix}")

    def wait_endpoint(self, name, state="ready", seconds=10):
        def there():
            return any(row["name"] == name and row["state"] == state for row in self.show("endpoints"))

        self.wait(there, seconds, f"endpoint {name} is {state}")

    def wait_socket(self, workload, seconds=10):
        self.wait(self.socket_of(workload).exists, seconds, f"socket of {workload}")

    def wait_log(self, text, seconds=5):
        self.process.wait_for_output(text, seconds)

    def wait(self, predicate, seconds, what):
        self.process.wait_for(predicate, seconds, f"{self}: {what}")

    def __str__(self):
        return f"router {self.node}"


def wait_gone(path, seconds=5):
    wait_for(lambda: not pathlib.Path(path).exists(), seconds, f"{path} is gone")
