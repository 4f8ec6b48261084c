#!/usr/bin/env python3
"""Checks that each header compiles alone, with the flags of its folder and its warnings.

usage: headers.py BUILD [HEADER...]

A header that its own source includes first is left to builds that compile files one by one (`./dev
perf` does, `./dev lint` of what changed, `meson setup -Dunity=off`); the others are compiled here.
Flags are those of the nearest source in BUILD/compile_commands.json.  A header that passed is not
compiled again until it, or a file of ours that it includes, changes (BUILD/headers-checked.json).
SPDX-License-Identifier: Apache-2.0
"""

import concurrent.futures
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile

import compile_commands

FOLDERS = ("vrouter", "bgp", "policy", "vhost", "ctl", "test", "perf")
DROPPED_WITH_VALUE = ("-o", "-MF", "-MQ", "-MT", "-include", "-include-pch")
DROPPED = ("-c", "-MD", "-MMD", "-g")


def flags_of(command):
    """The compiler and its options, without input, output and dependency files."""
    words, kept = shlex.split(command["command"]), []
    skip = False
    for word in words:
        if skip or word == command["file"] or word in DROPPED:
            skip = False
        elif word in DROPPED_WITH_VALUE:
            skip = True
        elif os.path.basename(word) != "ccache":
            kept.append(word)
    return kept


def nearest(header, entries):
    """The compile command to borrow flags from: the header's own source, else of the sources with the
    longest common path the one that knows most folders (another library of the folder may know less).
    """

    def closeness(command):
        common = os.path.commonpath([command["path"].parent, header.parent]).count("/")
        own = command["path"] == header.with_suffix(".cc")
        return own, common, len(command["flags"])

    return max(entries, key=closeness)


def check(header, command, root):
    """Compiles `header` alone; returns (errors, files of ours that it consists of)."""
    with tempfile.NamedTemporaryFile(suffix=".d") as dependencies:
        run = subprocess.run(
            [*command["flags"], f"-I{root}", "-fdiagnostics-color=never", "-fsyntax-only", "-MMD", "-MT", "x", "-MF", dependencies.name]
            + ["-include", str(header), "-x", "c++", "/dev/null"],
            cwd=command["directory"],
            capture_output=True,
            text=True,
        )
        listed = dependencies.read().decode().replace("\\\n", " ").split()[1:]
    paths = {os.path.realpath(os.path.join(command["directory"], p)) for p in listed}
    return (run.stderr if run.returncode else ""), sorted(paths - {os.path.realpath("/dev/null")})


def has_own_source(header, root, sources):
    """Whether a source of the build begins with this header: compiled alone, that proves it needs nothing."""
    source = header.with_suffix(".cc")
    if source not in sources:
        return False
    first = re.search(r"^#include (.+)$", source.read_text(), re.MULTILINE)
    return first is not None and first.group(1) == f'"{header.relative_to(root).as_posix()}"'


def stamp(paths):
    return {p: os.stat(p).st_mtime_ns for p in paths if os.path.exists(p)}


def main():
    build = pathlib.Path(sys.argv[1]).resolve()
    root = pathlib.Path(__file__).resolve().parent.parent
    headers = [pathlib.Path(h).resolve() for h in sys.argv[2:]]
    headers = headers or sorted(h for folder in FOLDERS for h in (root / folder).rglob("*.h"))
    entries = compile_commands.load(build)
    for entry in entries:
        entry["flags"] = flags_of(entry)
    cache_file = build / "headers-checked.json"
    cache = json.loads(cache_file.read_text()) if cache_file.exists() else {}

    def unchanged(header):
        entry = cache.get(str(header))
        return entry and stamp(entry) == entry

    sources = {entry["path"] for entry in entries}
    todo = [h for h in headers if not has_own_source(h, root, sources) and not unchanged(h)]
    failures = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for header, (errors, paths) in zip(todo, pool.map(lambda h: check(h, nearest(h, entries), root), todo)):
            cache.pop(str(header), None)
            if errors:
                failures += 1
                print(f"{header.relative_to(root)} does not compile alone:\n{errors}")
            else:
                cache[str(header)] = stamp(paths)
    cache_file.write_text(json.dumps(cache))
    print(f"headers: {len(headers)} headers, {len(todo)} compiled, {failures} failed")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
