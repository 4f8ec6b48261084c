#!/usr/bin/python3
"""vrouterd's BGP beside BIRD, FRR and GoBGP: what a table, many peers and a loss cost, in one run.

Every speaker gets the same load from the same generator (perf/bgp, bgp_load), in two network namespaces
of this run joined by a veth pair.  None of them has a data plane behind it: `dataplane: none`, no kernel
protocol, no zebra.  Imports: everything; exports: nothing to senders, sentinels or everything to the
receivers.  Times are wall time, CPU that of the speaker's process.

Then ours with its FIB behind it (perf/bgp, bgp_fib): a table until packets follow it, the loss of one of
four next hops, and another way to all next hops; with how long the control thread was busy with one thing, by
its own CPU time.  And with a guest: its vhost-user connection ends until peers hear of it (vhost_withdraw.py).

    ./dev perf bgp [-- --quick] [-- --speakers vrouterd,bird --rows accept]
SPDX-License-Identifier: Apache-2.0
"""

import argparse
import contextlib
import dataclasses
import json
import os
import pathlib
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

import vhost_withdraw

BUILD = pathlib.Path(os.environ.get("BUILD", "build-perf"))
SPEAKER = "10.99.0.1"
SENTINELS, EVERYTHING, LATE = "10.99.0.2", "10.99.0.3", "10.99.0.4"
RECEIVERS = {SENTINELS: 65100, EVERYTHING: 65101, LATE: 65102}
OWN_AS, SENDER_AS = 65000, 65001


@dataclasses.dataclass
class Row:
    """One load.  `figures`: what the table shows of it."""

    name: str
    senders: int
    prefixes: int
    receiver: str
    figures: tuple
    options: tuple = ()
    seconds: float = 0  # that GoBGP, the slowest, took: such rows are left out unless asked for


def rows(quick, churn):
    def size(number):
        return number // 10 if quick else number

    def count(number):
        return f"{number // 1000000}M" if number >= 1000000 else f"{number // 1000}k"

    million, hundred, sessions, idle = size(1000000), size(100000), size(500), 5 if quick else 20
    loss = ("--withdraw",)
    return [
        Row(f"accept {count(million)}", 1, million, SENTINELS, ("done_s", "cpu_s", "rss_mb"), ("--sentinels-only",), 29),
        Row(f"propagate {count(million)}", 1, million, EVERYTHING,
            ("done_s", "cpu_s", "gone_s", "first_update_ms", "whole_table_s", "messages", "rss_mb"),
            (*loss, "--late", LATE, "--late-as", str(RECEIVERS[LATE])), 153),
        Row(f"10 peers, same {count(hundred)}: accept", 10, hundred, SENTINELS, ("done_s", "cpu_s", "rss_mb"),
            ("--sentinels-only", "--same"), 105),
        Row(f"10 peers, same {count(hundred)}: propagate", 10, hundred, EVERYTHING,
            ("done_s", "cpu_s", "gone_s", "messages", "rss_mb"), (*loss, "--same"), 108),
        Row(f"{sessions} sessions", sessions, 0, EVERYTHING, ("up_s", "idle_rss_mb", "idle_cpu_percent"), ("--idle", str(idle))),
        Row(f"{sessions} x 64 routes", sessions, 64, EVERYTHING, ("done_s", "cpu_s", "gone_s", "rss_mb"), loss, 22),
        Row(f"churn, {size(200)} x 250 routes", size(200), 250, EVERYTHING,
            ("changes_rate", "lag_p50_ms", "lag_p99_ms", "lag_max_ms", "churn_cpu_percent", "churn_rss_mb"),
            ("--churn", str(churn)), churn + 10),
        Row(f"{size(200)} x 250 routes", size(200), 250, EVERYTHING, ("up_s", "done_s", "cpu_s", "gone_s", "rss_mb"), loss, 30),
    ]


def sender_addresses(count):
    return [f"10.99.{1 + i // 254}.{i % 254 + 1}" for i in range(count)]


class Speaker:
    """One program: how it is configured and started."""

    program = ""

    def __init__(self, directory, senders):
        self.directory = directory
        self.senders = sender_addresses(senders)

    def write(self, text, name="config"):
        path = self.directory / name
        path.write_text(text)
        return path

    def command(self):
        raise NotImplementedError


class Vrouterd(Speaker):
    program = str(BUILD / "vrouterd")

    def command(self):
        neighbors = [(address, SENDER_AS, "all", "none") for address in self.senders]
        exports = {SENTINELS: '["99.0.0.0/8 le 32"]', EVERYTHING: "all", LATE: "all"}
        neighbors += [(address, asn, "none", exports[address]) for address, asn in RECEIVERS.items()]
        lines = [
            "node: perf", "dataplane: none", "log: {level: warning}",
            f"control: {{socket: {self.directory}/control}}",
            f"bgp:\n  as: {OWN_AS}\n  router_id: {SPEAKER}\n  neighbors:",
        ]
        for address, asn, imports, exports in neighbors:
            lines.append(f"    - {{address: {address}, as: {asn}, passive: true, import: {imports}, export: {exports}}}")
        return [self.program, "--config", self.write("\n".join(lines) + "\n")]


class Bird(Speaker):
    program = "bird"

    def command(self):
        text = f"""
            log "{self.directory}/log" all; router id {SPEAKER}; protocol device {{ scan time 60; }}
            template bgp T {{ local {SPEAKER} as {OWN_AS}; passive on; error wait time 1, 2; ipv4 {{ import all; export none; }}; }}
        """
        exports = {SENTINELS: "where net ~ [99.0.0.0/8+]", EVERYTHING: "all", LATE: "all"}
        for number, (address, asn) in enumerate(RECEIVERS.items()):
            text += f"protocol bgp r{number} from T {{ neighbor {address} as {asn}; ipv4 {{ import none; export {exports[address]}; }}; }}\n"
        for number, address in enumerate(self.senders):
            text += f"protocol bgp s{number} from T {{ neighbor {address} as {SENDER_AS}; }}\n"
        return [self.program, "-f", "-c", self.write(text), "-s", self.directory / "control"]


class Frr(Speaker):
    program = "/usr/lib/frr/bgpd"

    def command(self):
        lines = [
            "ip prefix-list SENTINELS permit 99.0.0.0/8 le 32", "ip prefix-list NOTHING deny any", f"router bgp {OWN_AS}",
            f" bgp router-id {SPEAKER}", " no bgp ebgp-requires-policy", " no bgp network import-check",
            " neighbor S peer-group", f" neighbor S remote-as {SENDER_AS}", " neighbor S passive",
        ]
        for address, asn in RECEIVERS.items():
            lines += [f" neighbor {address} remote-as {asn}", f" neighbor {address} passive"]
        lines += [f" neighbor {address} peer-group S" for address in self.senders]
        lines += [" address-family ipv4 unicast", "  neighbor S prefix-list NOTHING out",
                  f"  neighbor {SENTINELS} prefix-list SENTINELS out", " exit-address-family"]
        # FRR puts its files where its user may write, whatever the options say.
        self.directory.chmod(0o777)
        shutil.chown(self.directory, "frr", "frr")
        config = self.write("\n".join(lines) + "\n")
        return [self.program, "-Z", "-f", config, "-i", self.directory / "pid", "-A", "127.0.0.1",
                "--vty_socket", self.directory]


class Gobgp(Speaker):
    program = "gobgpd"

    def command(self):
        def neighbor(address, asn):
            return (f'[[neighbors]]\n [neighbors.config]\n  neighbor-address = "{address}"\n  peer-as = {asn}\n'
                    " [neighbors.transport.config]\n  passive-mode = true\n"
                    " [neighbors.timers.config]\n  idle-hold-time-after-reset = 1\n")

        listening = ", ".join(f'"{address}"' for address in RECEIVERS)
        text = f'[global.config]\n as = {OWN_AS}\n router-id = "{SPEAKER}"\n'
        text += "".join(neighbor(address, asn) for address, asn in RECEIVERS.items())
        text += "".join(neighbor(address, SENDER_AS) for address in self.senders)
        text += f"""
[[defined-sets.prefix-sets]]
 prefix-set-name = "sentinels"
 [[defined-sets.prefix-sets.prefix-list]]
  ip-prefix = "99.0.0.0/8"
  masklength-range = "8..32"
[[defined-sets.neighbor-sets]]
 neighbor-set-name = "listening"
 neighbor-info-list = [{listening}]
[[defined-sets.neighbor-sets]]
 neighbor-set-name = "sentinels-only"
 neighbor-info-list = ["{SENTINELS}"]
[[policy-definitions]]
 name = "out"
 [[policy-definitions.statements]]
  [policy-definitions.statements.conditions.match-neighbor-set]
   neighbor-set = "listening"
   match-set-options = "invert"
  [policy-definitions.statements.actions]
   route-disposition = "reject-route"
 [[policy-definitions.statements]]
  [policy-definitions.statements.conditions.match-neighbor-set]
   neighbor-set = "sentinels-only"
  [policy-definitions.statements.conditions.match-prefix-set]
   prefix-set = "sentinels"
   match-set-options = "invert"
  [policy-definitions.statements.actions]
   route-disposition = "reject-route"
[global.apply-policy.config]
 export-policy-list = ["out"]
 default-export-policy = "accept-route"
"""
        return [self.program, "-f", self.write(text), "--api-hosts", "127.0.0.1:50052", "--log-level", "warn"]


SPEAKERS = {"vrouterd": Vrouterd, "bird": Bird, "frr": Frr, "gobgp": Gobgp}
SLOW = ("gobgp",)


def ip(*words, batch=None):
    subprocess.run(["ip", *words], check=True, input=batch, text=True)


@contextlib.contextmanager
def namespaces():
    """Two namespaces joined by a veth pair: the speaker's, and one that owns all peers' addresses."""
    speaker, tester = (f"vrperf-{os.getpid()}-{role}" for role in "st")
    made = []
    try:
        for name in (speaker, tester):
            ip("netns", "add", name)
            made.append(name)
            ip("-n", name, "link", "set", "lo", "up")
        ip("link", "add", "perf0", "netns", speaker, "type", "veth", "peer", "name", "perf1", "netns", tester)
        ip("-n", speaker, "addr", "add", f"{SPEAKER}/16", "dev", "perf0")
        addresses = [*RECEIVERS, *sender_addresses(508)]
        ip("-n", tester, "-batch", "-", batch="".join(f"addr add {a}/16 dev perf1\n" for a in addresses))
        ip("-n", speaker, "link", "set", "perf0", "up")
        ip("-n", tester, "link", "set", "perf1", "up")
        yield speaker, tester
    finally:
        for name in made:
            ip("netns", "del", name)


def listening(namespace):
    words = ["ip", "netns", "exec", namespace, "ss", "-Hltn", "sport", "=", ":179"]
    return bool(subprocess.run(words, capture_output=True, text=True, check=True).stdout)


def measure(kind, row, speaker_space, tester_space, limit):
    """Runs one load against a fresh speaker; its figures, or None when it failed."""
    with tempfile.TemporaryDirectory(prefix="vrperf-") as name:
        directory = pathlib.Path(name)
        directory.chmod(0o755)
        speaker = SPEAKERS[kind](directory, row.senders)
        with open(directory / "output", "wb") as output:
            process = subprocess.Popen(
                ["ip", "netns", "exec", speaker_space, *map(str, speaker.command())],
                stdout=output, stderr=subprocess.STDOUT, start_new_session=True)
        try:
            end = time.monotonic() + 20
            while not listening(speaker_space):
                if process.poll() is not None or time.monotonic() > end:
                    print(f"bgp: {kind} does not start: {(directory / 'output').read_text()[-2000:]}", file=sys.stderr)
                    return None
                time.sleep(0.05)
            time.sleep(1)  # BIRD listens before its sessions wait
            load = subprocess.run(
                ["ip", "netns", "exec", tester_space, BUILD / "perf/bgp/bgp_load", "--pid", str(process.pid),
                 "--receiver", row.receiver, "--receiver-as", str(RECEIVERS[row.receiver]),
                 "--senders", str(row.senders), "--prefixes", str(row.prefixes), "--limit", str(limit), *row.options],
                capture_output=True, text=True, check=False)
            if load.stderr:
                print(f"bgp: {kind}, {row.name}: {load.stderr.strip()}", file=sys.stderr)
            return json.loads(load.stdout) if load.returncode == 0 else None
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()


def text_of(row, figures):
    if figures is None:
        return "failed"
    units = {"rate": " changes/s", "s": " s", "mb": " MB", "ms": " ms", "percent": " %", "messages": " messages"}
    names = {"done": "", "cpu": "cpu ", "gone": "gone ", "first_update": "first UPDATE ", "whole_table": "new peer's table ",
             "rss": "", "idle_rss": "", "up": "", "idle_cpu": "cpu ", "messages": "",
             "changes": "", "lag_p50": "heard after ", "lag_p99": "99 % ", "lag_max": "all ", "churn_cpu": "cpu ", "churn_rss": ""}
    words = []
    for key in row.figures:
        name, _, unit = key.rpartition("_")
        name, unit = (name, unit) if name else (unit, unit)
        digits = 0 if unit in ("mb", "messages", "rate") else 2
        if key in figures:
            words.append(f"{names[name]}{figures[key]:.{digits}f}{units[unit]}")
    return ", ".join(words)


@dataclasses.dataclass
class FibRow:
    """One run of bgp_fib, of which each figure is the median of several; `text` is made of the figures."""

    name: str
    words: tuple
    text: str


def fib_rows(quick):
    million, share = (100000, 20000) if quick else (1000000, 200000)
    table = ("first {first_ms:.1f} ms, last {last_s:.2f} s, cpu {cpu_s:.2f} s, gone {gone_s:.2f} s; longest turn "
             "{turn_max_ms:.1f} ms, 99.9 % {turn_p999_ms:.1f} ms, while it goes {gone_turn_max_ms:.1f} ms")  # fmt: skip
    loss = ("last packet to it after {silent_ms:.1f} ms, {fib_changes_until_silent:.0f} FIB entries written by then, "
            "{fib_changes:.0f} in all after {settled_ms:.0f} ms, {missing:.0f} packets lost")
    rows = [
        FibRow(f"FIB: {million} routes of IPv4", ("table", "--ip4", million), table),
        FibRow(f"FIB: {share} routes of IPv6", ("table", "--ip6", share), table),
        FibRow(f"FIB: {share} hosts of IPv6", ("table", "--ip6", share, "--prefix-length", 128), table),
        FibRow(f"FIB: bgp restart, {million} routes", ("table", "--ip4", million, "--event", "restart"), table),
    ]
    ways = "last packet the old way after {moved_ms:.0f} ms; longest turn {turn_max_ms:.1f} ms, 99.9 % {turn_p999_ms:.1f} ms"
    rows.append(FibRow("FIB: route to 16384 next hops changes", ("ways", "--ip4", 16384), ways))
    for event in ("session", "station"):
        for routes in (1000, 100000):
            words = ("loss", "--ip4", routes, "--event", event)
            rows.append(FibRow(f"FIB: one {event} of 4 lost, {routes} routes", words, loss))
    return rows


def measure_fib(row, rounds):
    """Medians of `rounds` runs in a namespace of its own, or None when one failed."""
    space, runs = f"vrperf-{os.getpid()}-f", []
    ip("netns", "add", space)
    try:
        ip("-n", space, "link", "set", "lo", "up")
        ip("-n", space, "-batch", "-", batch="".join(f"addr add {a}/16 dev lo\n" for a in [SPEAKER, *sender_addresses(4)]))
        for _ in range(rounds):
            words = ["ip", "netns", "exec", space, BUILD / "perf/bgp/bgp_fib", *map(str, row.words)]
            run = subprocess.run(words, capture_output=True, text=True, check=False)
            if run.returncode != 0:
                print(f"bgp: {row.name}: {run.stderr.strip()}", file=sys.stderr)
                return None
            figures = json.loads(run.stdout)
            for part in ("gone", "load"):
                for key, value in figures.pop(part, {}).items():
                    figures[f"{part}_{key}"] = value
            runs.append(figures)
    finally:
        ip("netns", "del", space)
    return {key: statistics.median(run[key] for run in runs) for key in runs[0]}


def main():
    parser = argparse.ArgumentParser(description="BGP speakers under the same load")
    parser.add_argument("--quick", action="store_true", help="tables and peers a tenth as large")
    parser.add_argument("--slow", action="store_true", help="also what takes GoBGP minutes")
    parser.add_argument("--speakers", default=",".join(SPEAKERS), help="which of them, with commas")
    parser.add_argument("--rows", default="", help="only rows whose name contains this")
    parser.add_argument("--rounds", type=int, default=3, help="runs of which the rows about the FIB show the median")
    parser.add_argument("--churn", type=int, default=20, help="seconds in which 1,000 routes a second come or go")
    parser.add_argument("--limit", type=float, default=200, help="seconds that a phase may take")
    arguments = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("bgp: needs root: network namespaces")
    if not all((BUILD / "perf/bgp" / name).exists() for name in ("bgp_load", "bgp_fib")) or not (BUILD / "vrouterd").exists():
        sys.exit(f"bgp: vrouterd, bgp_load or bgp_fib is not built in {BUILD}: run ./dev perf bgp")
    kinds = []
    for kind in arguments.speakers.split(","):
        if shutil.which(SPEAKERS[kind].program):
            kinds.append(kind)
        else:
            print(f"bgp: {kind} is not installed: left out")
    results = []
    with namespaces() as (speaker_space, tester_space):
        for row in rows(arguments.quick, arguments.churn):
            if arguments.rows not in row.name:
                continue
            print(f"{row.name}", flush=True)
            for kind in kinds:
                if kind in SLOW and row.seconds > 25 and not arguments.quick and not arguments.slow:
                    print(f"  {kind:<9} left out: takes minutes (--slow)")
                    continue
                figures = measure(kind, row, speaker_space, tester_space, arguments.limit)
                load = os.getloadavg()[0]
                print(f"  {kind:<9} {text_of(row, figures)} (load {load:.1f})", flush=True)
                results.append({"name": row.name, "speaker": kind, "load_average": load, **(figures or {"failed": True})})
    for row in fib_rows(arguments.quick) if "vrouterd" in kinds else []:
        if arguments.rows in row.name:
            figures = measure_fib(row, arguments.rounds)
            load = os.getloadavg()[0]
            print(f"{row.name}\n  {'vrouterd':<9} {row.text.format(**figures) if figures else 'failed'} (load {load:.1f})", flush=True)
            results.append({"name": row.name, "speaker": "vrouterd", "load_average": load, **(figures or {"failed": True})})
    if "vrouterd" in kinds and arguments.rows in vhost_withdraw.ROW:
        figures = vhost_withdraw.figures(10 if arguments.quick else 100)
        load = os.getloadavg()[0]
        print(f"{vhost_withdraw.ROW}\n  {'vrouterd':<9} {vhost_withdraw.TEXT.format(**figures)} (load {load:.1f})", flush=True)
        results.append({"name": vhost_withdraw.ROW, "speaker": "vrouterd", "load_average": load, **figures})
    if "BENCHMARK_OUT" in os.environ:
        pathlib.Path(os.environ["BENCHMARK_OUT"]).write_text(json.dumps({"benchmarks": results}, indent=1))
    return 1 if any("failed" in result for result in results) else 0


if __name__ == "__main__":
    sys.exit(main())
