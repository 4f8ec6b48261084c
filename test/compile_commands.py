"""The compile commands of a build directory, one for each source.

Where a build reads some files of a target as one (meson's unity=on), compile_commands.json names only
the file that includes them: its command stands for each of those.
SPDX-License-Identifier: Apache-2.0
"""

import json
import os
import pathlib
import re


def read_as_one(path):
    """The sources that the file meson made at `path` includes."""
    return [os.path.realpath(name) for name in re.findall(r"^#include ?<(.+)>$", path.read_text(), re.MULTILINE)]


def load(build):
    """Entries as of compile_commands.json, each with "path", the source's absolute path."""
    entries = []
    for entry in json.loads((build / "compile_commands.json").read_text()):
        path = pathlib.Path(os.path.realpath(os.path.join(entry["directory"], entry["file"])))
        if not re.fullmatch(r".*-unity\d+\.cpp", path.name):
            entries.append(entry | {"path": path})
        elif path.exists():
            entries += [
                entry | {"file": source, "command": entry["command"].replace(entry["file"], source), "path": pathlib.Path(source)}
                for source in read_as_one(path)
            ]
    return entries
