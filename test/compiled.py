#!/usr/bin/env python3
"""Prints which of the named sources clang-tidy should look at: those that a build compiles.

usage: compiled.py BUILD DATABASE FILE...

A header stands for the sources of the same name (bgp/fsm.h for bgp/fsm.cc); a header-only file is
seen through the first source that includes it.  Writes DATABASE/compile_commands.json, which has a
command for each of them alone, without the precompiled header of tests: that is GCC's, and clang-tidy
does not even find it by its name.
SPDX-License-Identifier: Apache-2.0
"""

import json
import os
import pathlib
import re
import sys

import compile_commands


def main():
    build, database, names = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]), sys.argv[3:]
    root = pathlib.Path.cwd()
    entries = compile_commands.load(build)
    database.mkdir(parents=True, exist_ok=True)
    for entry in entries:
        entry["command"] = re.sub(r" (-fpch-preprocess|-Winvalid-pch|-include \S+)(?= )", "", entry["command"])
    text = json.dumps([{key: e[key] for key in ("directory", "command", "file")} for e in entries], indent=1)
    (database / "compile_commands.json").write_text(text)
    sources = [str(e["path"]) for e in entries]
    known = [os.path.relpath(s, root) for s in sources if s.startswith(f"{root}/")]
    known = [k for k in known if not k.startswith("build")]
    chosen = {}
    for name in names:
        own = name if name.endswith(".cc") else name[:-2] + ".cc"
        if own in known:
            chosen[own] = True
        elif name.endswith(".h"):
            user = next((k for k in known if f'"{name}"' in (root / k).read_text()), None)
            if user:
                chosen[user] = True
    print("\n".join(chosen), end="\n" if chosen else "")


if __name__ == "__main__":
    main()
