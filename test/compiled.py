#!/usr/bin/env python3
"""Prints which of the named sources clang-tidy should look at: those that a build compiles.

usage: compiled.py BUILD FILE...

A header stands for the sources of the same name (bgp/fsm.h for bgp/fsm.cc); a header-only file is
seen through the first source that includes it.
SPDX-License-Identifier: Apache-2.0
"""

import json
import os
import pathlib
import sys


def main():
    build, names = pathlib.Path(sys.argv[1]).resolve(), sys.argv[2:]
    root = pathlib.Path.cwd()
    commands = json.loads((build / "compile_commands.json").read_text())
    sources = [os.path.realpath(os.path.join(c["directory"], c["file"])) for c in commands]
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
