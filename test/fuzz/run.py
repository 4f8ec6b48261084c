#!/usr/bin/env python3
"""Runs fuzz targets: first over their corpus, then a few seconds of fuzzing from it.

usage: run.py [--seconds N] [--seed N] [--match WORD] [--junit FILE] TARGET...

The seed is always the same, so that a test run repeats; with --seed 0 each run takes a way of its own,
which is for runs of minutes.  The corpus of a target bgp_fuzz is the folder corpus/bgp_fuzz or
corpus/bgp beside this file, a dictionary is dict/<name>.dict.  What fuzzing finds is left in
build-san/fuzz-findings, to be added to the corpus together with the fix.
SPDX-License-Identifier: Apache-2.0
"""

import argparse
import concurrent.futures
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET

HERE = pathlib.Path(__file__).resolve().parent


def beside(kind, target, suffix=""):
    """The target's own file or folder below `kind`, if there is one."""
    for name in (target.name, target.name.removesuffix("_fuzz")):
        path = HERE / kind / (name + suffix)
        if path.exists():
            return path
    return None


def run(command, limit):
    """Returns (whether it failed, output)."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=limit)
        return done.returncode != 0, done.stdout + done.stderr
    except subprocess.TimeoutExpired as expired:
        return True, f"still running after {limit} s\n{(expired.stderr or b'').decode(errors='replace')}"


def steps_of(target, seconds, seed, scratch, findings):
    corpus, dictionary = beside("corpus", target), beside("dict", target, ".dict")
    options = [f"-artifact_prefix={findings}/{target.name}-", "-rss_limit_mb=2048", "-timeout=5"]
    if dictionary:
        options.append(f"-dict={dictionary}")
    if corpus:
        yield "corpus", [target, *options, "-runs=0", corpus], 120
    new = [scratch, corpus] if corpus else [scratch]
    yield "fuzzing", [target, *options, f"-max_total_time={seconds}", f"-seed={seed}", *new], seconds + 60


def fuzz(target, seconds, seed):
    """All steps of one target: [(test case, output)], the output empty where nothing failed."""
    findings = target.parents[2] / "fuzz-findings"
    findings.mkdir(exist_ok=True)
    cases = []
    with tempfile.TemporaryDirectory(prefix="vrouter-fuzz-") as scratch:
        for name, command, limit in steps_of(target, seconds, seed, scratch, findings):
            begun = time.monotonic()
            failed, output = run([str(word) for word in command], limit)
            spent = time.monotonic() - begun
            case = ET.Element("testcase", classname=target.name, name=name, time=f"{spent:.1f}")
            runs = re.search(r"Done (\d+) runs", output)
            told = f", {runs[1]} runs" if runs else ""
            print(f"{'FAILED' if failed else 'ok':6} {target.name} {name}, {spent:.1f} s{told}", flush=True)
            text = "".join(c for c in output[-4000:] if c.isprintable() or c in "\n\t") if failed else ""
            if failed:
                ET.SubElement(case, "failure", message=name).text = text
            cases.append((case, text))
    return cases


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--match", default="")
    parser.add_argument("--junit")
    parser.add_argument("targets", nargs="+", type=pathlib.Path)
    arguments = parser.parse_args()
    targets = [t.resolve() for t in arguments.targets if arguments.match in t.name]
    # Each runs on one core.
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        done = list(pool.map(lambda target: fuzz(target, arguments.seconds, arguments.seed), targets))
    suite = ET.Element("testsuite", name="fuzz")
    failures = 0
    for case, text in (pair for cases in done for pair in cases):
        suite.append(case)
        if case.find("failure") is not None:
            failures += 1
            print(f"{case.get('classname')} {case.get('name')}:\n{text}")
    if arguments.junit:
        ET.ElementTree(suite).write(arguments.junit)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
