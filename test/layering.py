#!/usr/bin/env python3
"""Checks that #include lines go only where the layers of the house allow.

usage: layering.py [ROOT]

A folder may include itself and what ALLOWED names for it.  DPDK and Boost.Asio stay in the files
that need them, and nothing that vrouterctl is made of reaches the data path, except for the plain
structures that its offline tests judge packets with: the same programs and classifiers as a router's.
SPDX-License-Identifier: Apache-2.0
"""

import pathlib
import re
import sys

MACHINE = ["vrouter/net", "vrouter/dataplane", "vrouter/services", "vrouter"]

# folder -> folders that it may include beside itself; the longest prefix of a file's path counts
ALLOWED = {
    "vrouter/net": [],
    "vrouter/dataplane": ["vrouter/net"],
    "vrouter/services": ["vrouter/net"],
    "vrouter": MACHINE,
    "bgp": MACHINE,
    "policy": MACHINE,
    "vhost": MACHINE,
    "ctl": [*MACHINE, "bgp", "policy", "vhost"],
    "vrouter/daemon": [*MACHINE, "bgp", "policy", "vhost", "ctl"],
}
COMPOSITION_ROOT = re.compile(r"vrouter/main\.cc$")
OBSERVERS = ("test/", "perf/")  # may see everything, and nothing of the product may see them

DPDK = re.compile(r"rte_")
DPDK_FILES = re.compile(r"vrouter/dataplane/|vhost/|vrouter/(main|eal\w*)\.\w+$")

ASIO = re.compile(r"boost/(asio|beast)")
ASIO_FILES = re.compile(
    r"vrouter/(daemon/)?\w+\.\w+$|vhost/|ctl/"
    r"|bgp/((session|speaker|listener)\w*|bfd_sockets|asio_address)\.\w+$"
    r"|policy/(beside|directory_watch|file_store|publisher|saver)\w*\.\w+$"
    r"|policy/etcd/(connection|inbox|intake|ipam|reporter|session|store)\.\w+$"
    r"|policy/policyd/(client|link|program|reporters|server|status|tls)\.\w+$"
)

VROUTERCTL = (
    *("vrouterctl", "argument", "client", "command_parts", "commands", "completion", "exit_code", "framing", "grammar"),
    *("ipam_commands", "json", "kinds", "offline", "protocols", "socket_path", "table", "text", "yaml_json"),
)
DATA_PATH = ("vrouter/dataplane/", "vrouter/services/", "vhost/")
# No packets, no ports, no DPDK: tables.  `offline` judges by them.
JUDGES = tuple(
    f"vrouter/dataplane/{name}.h"
    for name in ("acl", "classifier", "groups", "host_hook", "qos", "reclaim", "workload_rules")
)

INCLUDE = re.compile(r'^\s*#\s*include\s+(["<])([^">]+)[">]', re.MULTILINE)


def read_includes(root):
    """File -> list of (bracket, included path), for every tracked source of the house."""
    top = [*sorted({folder.split("/")[0] for folder in ALLOWED}), "test", "perf"]
    files = (f for folder in top for f in (root / folder).rglob("*") if f.suffix in (".h", ".cc"))
    return {f.relative_to(root).as_posix(): INCLUDE.findall(f.read_text()) for f in files}


def folder_of(path):
    matches = [folder for folder in ALLOWED if path.startswith(folder + "/")]
    return max(matches, key=len, default=None)


def is_house_path(path):
    return folder_of(path) or path.startswith(OBSERVERS)


def wrong_edge(file, bracket, included):
    """Why `file` may not include `included`, or None."""
    if file.startswith(OBSERVERS):
        return None
    if bracket == '"' and "/" not in included:
        return "write the path from the repository's root"
    if DPDK.match(included) and not DPDK_FILES.match(file):
        return "DPDK headers belong to vrouter/dataplane, vhost and vrouter/eal"
    if ASIO.match(included) and not ASIO_FILES.match(file):
        return "this file is a pure core: Asio belongs to the shells"
    if not is_house_path(included) or COMPOSITION_ROOT.match(file):
        return None
    source, target = folder_of(file), folder_of(included)
    if target is None:
        return "the product does not include tests or benchmarks"
    if target != source and target not in ALLOWED[source]:
        return f"{source} may include only: {', '.join(ALLOWED[source]) or 'itself'}"
    return None


def reached_from(start, includes):
    """Every house file that `start` includes, directly or not, with the file that includes it."""
    reached, todo = {}, [start]
    while todo:
        file = todo.pop()
        for _, included in includes.get(file, []):
            if included in includes and included not in reached:
                reached[included] = file
                todo.append(included)
    return reached


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ".").resolve()
    includes = read_includes(root)
    wrong = [
        f"{file}: includes {included}: {why}"
        for file, edges in sorted(includes.items())
        for bracket, included in edges
        if (why := wrong_edge(file, bracket, included))
    ]
    for file in sorted(includes):
        path = pathlib.PurePath(file)
        if path.parent.as_posix() == "ctl" and path.stem in VROUTERCTL:
            judges = JUDGES if path.stem == "offline" else ()
            for reached, by in reached_from(file, includes).items():
                if reached.startswith(DATA_PATH) and reached not in judges:
                    wrong.append(f"{file}: reaches {reached} by {by}: vrouterctl knows no data path")
    for line in wrong:
        print(line)
    print(f"layering: {len(includes)} files, {len(wrong)} wrong includes")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
