"""Network namespaces and veth pairs of one test run, taken away with it whatever happens.

SPDX-License-Identifier: Apache-2.0
"""

import ipaddress
import itertools
import json
import os
import re
import subprocess


def sh(*words, check=True, netns=None, input=None, timeout=30):
    """Runs a command, in a namespace if one is named, and returns its output."""
    command = [str(word) for word in words]
    if netns:
        command = ["ip", "netns", "exec", str(netns), *command]
    done = subprocess.run(command, capture_output=True, text=True, input=input, timeout=timeout)
    if check and done.returncode:
        raise AssertionError(f"{' '.join(command)}: status {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def link_local(mac):
    """What the kernel and the router make of a MAC address, RFC 2464 5."""
    octets = bytes.fromhex(mac.replace(":", ""))
    identifier = bytes([octets[0] ^ 2]) + octets[1:3] + b"\xff\xfe" + octets[3:]
    return str(ipaddress.IPv6Address(bytes.fromhex("fe80000000000000") + identifier))


class Namespace:
    """A network namespace as a host with a kernel in it."""

    def __init__(self, name):
        self.name = name
        sh("ip", "netns", "add", name)
        self.sh("ip", "link", "set", "lo", "up")
        self.write_sysctl("net/ipv6/conf/default/accept_dad", 0)
        self.write_sysctl("net/ipv6/conf/default/accept_ra", 0)

    def __str__(self):
        return self.name

    def sh(self, *words, **options):
        return sh(*words, netns=self.name, **options)

    def write_sysctl(self, path, value):
        self.sh("sh", "-c", f"echo {value} >/proc/sys/{path}")

    def hand_over(self, interface):
        """Leaves an interface to a router process that reads it beside the kernel.

        The kernel must neither answer ARP on it (it would, for the addresses of any interface) nor
        take its packets, nor speak IPv6 by itself.
        """
        self.sh("ip", "link", "set", "dev", interface, "arp", "off")
        self.write_sysctl(f"net/ipv6/conf/{interface}/disable_ipv6", 1)
        self.write_sysctl(f"net/ipv4/conf/{interface}/rp_filter", 1)

    def forward(self):
        """Makes the kernel a router."""
        self.write_sysctl("net/ipv4/ip_forward", 1)
        self.write_sysctl("net/ipv6/conf/all/forwarding", 1)

    def add_address(self, interface, *addresses):
        def line(address):
            nodad = "nodad" if ipaddress.ip_interface(address).version == 6 else ""
            return f"addr add {address} dev {interface} {nodad}\n"

        self.sh("ip", "-batch", "-", input="".join(map(line, addresses)))

    def add_route(self, prefix, via, interface=None):
        self.sh("ip", "route", "replace", prefix, "via", via, *(["dev", interface] if interface else []))

    def mac(self, interface):
        return json.loads(self.sh("ip", "-j", "link", "show", "dev", interface))[0]["address"]

    def routes(self, family=4):
        """Destination -> list of next hops of the kernel's main table."""
        table = {}
        for route in json.loads(self.sh("ip", "-j", f"-{family}", "route") or "[]"):
            hops = [hop.get("gateway") for hop in route.get("nexthops", [])] or [route.get("gateway")]
            table[route["dst"]] = hops
        return table

    def pids(self):
        return [int(pid) for pid in sh("ip", "netns", "pids", self.name, check=False).split()]

    def delete(self):
        for pid in self.pids():
            try:
                os.kill(pid, 9)
            except ProcessLookupError:
                pass
        sh("ip", "netns", "del", self.name, check=False)


class Network:
    """Makes namespaces and links with names of this run only; delete() takes all of them away."""

    def __init__(self, prefix="vrt"):
        self.prefix = f"{prefix}{os.getpid()}"
        self.namespaces = []
        self.numbers = itertools.count()
        self.sweep(prefix)

    @staticmethod
    def sweep(prefix):
        """Deletes what a killed run left: namespaces named after a process that is no more."""
        for name in re.findall(rf"^{prefix}\d+-\S+", sh("ip", "netns", "list"), re.MULTILINE):
            pid = re.match(rf"{prefix}(\d+)", name).group(1)
            if not os.path.exists(f"/proc/{pid}"):
                sh("ip", "netns", "del", name, check=False)

    def namespace(self, name):
        namespace = Namespace(f"{self.prefix}-{next(self.numbers)}-{name}")
        self.namespaces.append(namespace)
        return namespace

    def link(self, left, left_interface, right, right_interface, mtu=1500):
        """A veth pair between two namespaces, up, with the kernel's offloads off.

        A frame that a DPDK driver takes from a veth is as the kernel left it: with offloads on, TCP
        checksums are missing and segments are larger than the MTU.
        """
        sh("ip", "link", "add", left_interface, "netns", left, "type", "veth",
           "peer", "name", right_interface, "netns", right)  # fmt: skip
        for namespace, interface in ((left, left_interface), (right, right_interface)):
            namespace.sh("ip", "link", "set", "dev", interface, "mtu", mtu, "up")
            namespace.sh("ethtool", "-K", interface, "tx", "off", "tso", "off", "gso", "off", "gro", "off")

    def delete(self):
        for namespace in reversed(self.namespaces):
            namespace.delete()
        self.namespaces.clear()
