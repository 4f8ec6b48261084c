#!/usr/bin/python3
"""The longest turn of a running vrouterd's control thread when one object concerns all others, or is large itself.

Beside many endpoints in groups of 50, one of them this host's: a policy names all of them, then one group, and goes; a
label that a profile gives all of them changes while a policy names it; a set of a million networks comes, is named, is
named no more, goes.  Figures as in resources.py.

    ./dev perf large_objects [-- --endpoints 50000 --nets 1000000]
SPDX-License-Identifier: Apache-2.0
"""

import argparse
import os
import pathlib
import sys
import tempfile

from control_turns import OneFile, mac, objects, report, running, step

from process import wait_for  # control_turns tells where the tests' modules are
from resources import profile, resource, rule, workload_endpoint

GROUP = 50
A_FILE = 100  # endpoints


def endpoint(number, node="host-b", **labels):
    labels["app"] = f"a{number // GROUP}"
    addresses = [f"10.{64 + number // 62500}.{number // 250 % 250}.{number % 250}/32", f"fd00:65::{number:x}/128"]
    return workload_endpoint(node, f"vm{number}", mac(number % 65536), addresses, labels=labels, profiles=["shared"])


def shared(env):
    return profile("shared", labels={"env": env}, ingress=[rule()], egress=[rule()])


def policy(selector, action="Allow"):
    spec = {"selector": "role == 'web'", "types": ["Ingress"], "ingress": [rule(action, source={"selector": selector})]}
    return resource("GlobalNetworkPolicy", "large", spec)


def large_set(count):
    half = count // 2
    nets = [f"11.{number // 65536}.{number // 256 % 256}.{number % 256}/32" for number in range(half)]
    nets += [f"fd00:66::{number // 65536:x}:{number % 65536:x}/128" for number in range(count - half)]
    return resource("GlobalNetworkSet", "million", {"nets": nets}, labels={"list": "blocked"})


def file_of(router, name, document):
    """Something that changes one file; it is removed where there is no document."""
    one = OneFile(router, name)
    return (lambda: one.put([document])) if document else (lambda: one.remove([]))


def rows(router, arguments):
    everybody = f"{arguments.endpoints} endpoints"
    named = file_of(router, "policy", policy("env == 'test'"))
    gone = file_of(router, "policy", None)
    nets = f"a set of {arguments.nets} networks"
    for name, change, quiet in [
        (f"a policy names {everybody}", file_of(router, "policy", policy("all()")), 5),
        (f"it names {GROUP} of them", file_of(router, "policy", policy("app == 'a7'")), 5),
        ("it goes", gone, 3),
        (f"it names {everybody} by a label", file_of(router, "policy", policy("env == 'prod'")), 5),
        (f"the label of {everybody} changes", file_of(router, "profile", shared("test")), 8),
        (f"a policy names {everybody} by the new label", named, 5),
        (f"the label of {everybody} is as before", file_of(router, "profile", shared("prod")), 8),
        ("it goes again", gone, 3),
        (f"{nets} comes", file_of(router, "set", large_set(arguments.nets)), 30),
        (f"a policy names {nets}", file_of(router, "policy", policy("list == 'blocked'", "Deny")), 15),
        (f"{nets} is named no more", gone, 10),
        (f"{nets} goes", file_of(router, "set", None), 5),
    ]:
        yield step(router, name, change, lambda: True, quiet)


def main():
    parser = argparse.ArgumentParser(description="the longest turn of the control thread when one object is large")
    parser.add_argument("--endpoints", type=int, default=50000)
    parser.add_argument("--nets", type=int, default=1000000)
    arguments = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("large_objects: needs root: network namespaces")
    with tempfile.TemporaryDirectory(prefix="vrp-") as directory, running(pathlib.Path(directory), False) as (router, _):
        OneFile(router, "profile").put([shared("prod")])
        OneFile(router, "own").put([endpoint(arguments.endpoints, "host-a", role="web")])
        for begin in range(0, arguments.endpoints, A_FILE):
            OneFile(router, f"e{begin}").put([endpoint(number) for number in range(begin, begin + A_FILE)])
        wait_for(lambda: objects(router) >= arguments.endpoints + 2, 120, "all endpoints are known")
        step(router, "(they are in force)", lambda: None, lambda: True, quiet=8)
        report(list(rows(router, arguments)))


if __name__ == "__main__":
    main()
