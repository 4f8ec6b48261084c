#!/usr/bin/env python3
"""What merely moving packets costs here: dpdk-testpmd forwarding between two net_null ports.

The figure that stands beside those of pipeline_bench: TSC cycles a packet by CPU time of the forwarding
thread.  net_null's packets hold nothing and are not looked at, so pipeline_bench's own floor (its source
and sink without the router) is the fairer one to subtract.
SPDX-License-Identifier: Apache-2.0
"""

import json
import os
import pathlib
import re
import statistics
import subprocess
import sys
import time

SECONDS = 1.0
ROUNDS = 5


def tsc_hz():
    """The nominal clock rate, which is the TSC's on the machines that this is run on."""
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("cpu MHz"):
            return float(line.split(":")[1]) * 1e6
    sys.exit("testpmd_floor: /proc/cpuinfo has no clock rate")


def forwarding_seconds(pid):
    """CPU time of the busiest thread: the one that forwards."""
    tasks = pathlib.Path(f"/proc/{pid}/task").iterdir()
    return max(int((task / "schedstat").read_text().split()[0]) for task in tasks) * 1e-9


def ask(testpmd, command, until):
    testpmd.stdin.write(command + "\n")
    testpmd.stdin.flush()
    text = ""
    while not re.search(until, text):
        line = testpmd.stdout.readline()
        if not line:
            sys.exit(f"testpmd_floor: testpmd ended:\n{text}")
        text += line
    return text


def forwarded(testpmd):
    stats = ask(testpmd, "show port stats all", r"statistics for port 1(.|\n)*Tx-pps.*\n")
    return sum(int(n) for n in re.findall(r"TX-packets:\s*(\d+)", stats))


def main():
    cpus = sorted(os.sched_getaffinity(0))
    testpmd = subprocess.Popen(
        ["stdbuf", "-oL", "dpdk-testpmd", "--lcores", f"0@{cpus[0]},1@{cpus[-1]}", "--no-huge", "--no-shconf", "-m", "256",
         "--no-pci", "--no-telemetry", "--vdev", "net_null0", "--vdev", "net_null1", "--",
         "-i", "--nb-cores=1", "--total-num-mbufs=4096", "--forward-mode=io"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        ask(testpmd, "start", r"io packet forwarding - ports")
        samples = []
        for _ in range(ROUNDS):
            before = forwarding_seconds(testpmd.pid), forwarded(testpmd)
            time.sleep(SECONDS)
            after = forwarding_seconds(testpmd.pid), forwarded(testpmd)
            samples.append((after[0] - before[0]) * tsc_hz() / (after[1] - before[1]))
    finally:
        testpmd.kill()
        testpmd.wait()
    row = {"name": "dpdk-testpmd io, net_null", "unit": "TSC cycles/packet", "best": round(min(samples), 1),
           "median": round(statistics.median(samples), 1), "max": round(max(samples), 1)}
    print("{name:<56} {best:6.1f} {median:6.1f} {max:6.1f}".format(**row))
    if "BENCHMARK_OUT" in os.environ:
        pathlib.Path(os.environ["BENCHMARK_OUT"]).write_text(json.dumps({"benchmarks": [row]}, indent=1))


if __name__ == "__main__":
    main()
