#!/usr/bin/env python3
"""Sums up a test run: what was skipped and why, what failed, and one closing line of totals.

usage: totals.py RESULTS
       totals.py --record-failure FILE.xml PART NAME LOG

RESULTS holds one folder per part of the run.  JUnit files (gtest, pytest, the fuzz runner) count
case by case; meson.json (meson's log) adds the programs that left no such file, because they are no
gtest or because they crashed, and gtest programs that failed outside any case.
--record-failure writes a JUnit file for a step that is no test itself, such as a failed compilation.
SPDX-License-Identifier: Apache-2.0
"""

import json
import pathlib
import sys
import xml.etree.ElementTree as ET


class Totals:
    def __init__(self):
        self.passed = 0
        self.failed = []
        self.skipped = []

    def add_junit(self, part, root):
        """Counts the cases of one JUnit file; returns whether any of them failed."""
        before = len(self.failed)
        for case in root.iter("testcase"):
            name = f"{part}: {case.get('classname', '')}.{case.get('name')}"
            skip = case.find("skipped")
            if case.get("status") == "notrun":  # excluded by a filter
                continue
            if case.find("failure") is not None or case.find("error") is not None:
                self.failed.append(name)
            elif skip is not None or case.get("result") == "skipped":
                message = (skip.get("message") or skip.text or "") if skip is not None else ""
                self.skipped.append((name, " ".join(message.split()) or "no reason given"))
            else:
                self.passed += 1
        return len(self.failed) > before

    def add_meson(self, part, lines, gtest):
        """Counts what meson ran and `gtest` (program -> had a failed case) does not explain."""
        for line in lines:
            test = json.loads(line)
            name, result = f"{part}: {test['name']}", test["result"]
            failed_cases = gtest.get(pathlib.PurePath(test["command"][0]).name)
            if result == "OK":
                self.passed += failed_cases is None
            elif result == "SKIP":
                self.skipped.append((name, "meson skipped it"))
            elif not failed_cases:
                self.failed.append(f"{name} ({result}, exit status {test.get('returncode')})")

    def add_part(self, folder):
        gtest = {}
        for file in sorted(folder.glob("*.xml")):
            try:
                gtest[file.stem] = self.add_junit(folder.name, ET.parse(file).getroot())
            except ET.ParseError as error:
                self.failed.append(f"{folder.name}: {file.name} is no whole result file: {error}")
        log = folder / "meson.json"
        if log.exists():
            self.add_meson(folder.name, log.read_text().splitlines(), gtest)


def print_totals(results):
    totals = Totals()
    for folder in sorted(p for p in results.iterdir() if p.is_dir()):
        totals.add_part(folder)
    for name, reason in totals.skipped:
        print(f"skipped {name}: {reason}")
    for name in totals.failed:
        print(f"failed {name}")
    print(f"{totals.passed} passed, {len(totals.failed)} failed, {len(totals.skipped)} skipped")
    return 1 if totals.failed or not totals.passed else 0


def record_failure(file, part, name, log):
    suite = ET.Element("testsuite", name=part, tests="1", failures="1")
    case = ET.SubElement(suite, "testcase", classname="step", name=name)
    text = pathlib.Path(log).read_text(errors="replace")[-4000:]
    ET.SubElement(case, "failure", message=f"see {log}").text = "".join(c for c in text if c.isprintable() or c in "\n\t")
    ET.ElementTree(suite).write(file)
    return 0


def main():
    if sys.argv[1] == "--record-failure":
        return record_failure(*sys.argv[2:6])
    return print_totals(pathlib.Path(sys.argv[1]))


if __name__ == "__main__":
    sys.exit(main())
