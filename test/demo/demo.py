#!/usr/bin/env python3
"""The product at work, in a minute: two hosts, two guests, one policy, one fabric.

           guest-a (Linux in QEMU)                     guest-b (Linux in QEMU)
              | vhost-user                                | vhost-user
        +-----+------+      +-----------------+     +-----+------+
        |  vrouterd  +------+  BIRD, kernel   +-----+  vrouterd  |
        +------------+ BGP  +-----------------+ BGP +------------+
        namespace host-a     namespace fabric        namespace host-b

Everything lives in namespaces and a temporary directory of this run, and goes with it, also when it
is interrupted.
usage: demo.py [--keep]     --keep waits at the end, so that one can look around
SPDX-License-Identifier: Apache-2.0
"""

import contextlib
import pathlib
import re
import shutil
import signal
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "system"))

from guest import Guest, kvm_works  # noqa: E402
from network import Network  # noqa: E402
from peers import Bird, Neighbor  # noqa: E402
from process import wait_for  # noqa: E402
from resources import as_yaml, network_policy, rule, workload_endpoint  # noqa: E402
from router import Router  # noqa: E402

FABRIC_AS = 65000
GATEWAYS = ["169.254.1.1", "fe80::1"]
ALLOWED_PORT, DENIED_PORT = 5201, 8080
POLICY_FILE = "web-policy.yaml"


class Host:
    """One compute host of the demonstration: its addresses, its router, its guest."""

    def __init__(self, letter, asn, net4, net6, guest4, guest6, label):
        self.name = f"host-{letter}"
        self.letter = letter
        self.asn = asn
        self.addresses = [f"{net4}.1/24", f"{net6}::1/64"]
        self.own = [f"{net4}.1", f"{net6}::1"]
        self.fabric = [f"{net4}.254", f"{net6}::fe"]
        self.fabric_addresses = [f"{net4}.254/24", f"{net6}::fe/64"]
        self.guest_addresses = [f"{guest4}/32", f"{guest6}/128"]
        self.guest4, self.guest6 = guest4, guest6
        self.mac = f"02:00:00:00:0{letter}:01"
        self.label = label
        self.endpoint = f"prod/{self.name.replace('-', '--')}-openstack-guest--{letter}-eth0"
        self.router = self.guest = None


A = Host("a", 64512, "192.0.2", "fd00:2", "10.65.0.1", "fd00:65::1", "client")
B = Host("b", 64513, "198.51.100", "fd00:51", "10.65.0.2", "fd00:65::2", "server")
HOSTS = (A, B)


class Story:
    """Prints what happens and when."""

    def __init__(self):
        self.begun = time.monotonic()

    def step(self, text):
        print(f"\n[{time.monotonic() - self.begun:5.1f} s] {text}", flush=True)

    def show(self, text):
        for line in text.rstrip().splitlines():
            print(f"            {line}", flush=True)

    def command(self, words, output):
        self.show(f"$ {words}\n{output}")


def policy(*ports):
    """Guests labelled server accept pings, and these TCP ports, from guests labelled client."""
    clients = {"source": {"selector": "role == 'client'"}}
    ping = [rule(protocol=protocol, **clients) for protocol in ("ICMP", "ICMPv6")]
    return network_policy("web", "role == 'server'", ingress=[*ping, rule(protocol="TCP", ports=ports, **clients)])


def write_policy(*ports):
    """As a person would, in the watched directory of every host."""
    for host in HOSTS:
        host.router.write_file(POLICY_FILE, as_yaml(policy(*ports)))


def start_fabric(story, network, directory, stack):
    fabric = network.namespace("fabric")
    fabric.forward()
    neighbors = []
    for host in HOSTS:
        host.namespace = network.namespace(host.name)
        network.link(host.namespace, "uplink", fabric, host.letter)
        fabric.add_address(host.letter, *host.fabric_addresses)
        neighbors += [Neighbor(address, host.asn) for address in host.own]
    bird = Bird(fabric, directory, FABRIC_AS, "192.0.2.254", neighbors, install=True)
    stack.callback(bird.stop)
    bird.start()
    story.step("Three namespaces, two veth links, and BIRD as the fabric between them")
    story.show("\n".join(f"{n.asn:6} {n.address}" for n in neighbors))
    return bird


def start_router(host, directory, stack):
    router = host.router = Router(host.namespace, directory, host.name, lcore=HOSTS.index(host))
    router.add_uplink("uplink", host.addresses)
    lengths = (32, 128)
    router.add_host([f"{address}/{length}" for address, length in zip(host.own, lengths)])
    router.set_bgp(host.asn, host.own[0], {address: FABRIC_AS for address in host.fabric})
    for other in HOSTS:
        endpoint = workload_endpoint(
            other.name, f"guest-{other.letter}", other.mac, other.guest_addresses, {"role": other.label}
        )
        router.put(endpoint)
    stack.callback(router.stop)


def start_routers(story, directory, stack):
    for host in HOSTS:
        start_router(host, directory, stack)
    write_policy(ALLOWED_PORT)
    for host in HOSTS:
        host.router.start()
    story.step("A vrouterd on each host; the directory that it watches holds two endpoints and a policy")
    story.command("cat " + POLICY_FILE, (A.router.resources / POLICY_FILE).read_text())
    story.command("vrouterctl show endpoints", B.router.ctl("show", "endpoints"))


def launch_guests(story, directory, stack):
    story.step(f"Two Linux guests boot ({'KVM' if kvm_works() else 'emulated: no KVM here'}), one behind each host")
    for host in HOSTS:
        host.router.wait_socket(f"guest-{host.letter}")
        name = f"guest-{host.letter}"
        socket = host.router.socket_of(name)
        host.guest = Guest(name, directory, socket, host.mac, host.guest_addresses, GATEWAYS)
        stack.callback(host.guest.stop)
        host.guest.launch()


def show_routes(story, bird):
    for host in HOSTS:
        for address in host.fabric:
            host.router.wait_established(address)
    story.step("BGP is up, in both families, on both hosts")
    story.command("vrouterctl show bgp          # on host-a", A.router.ctl("show", "bgp"))
    for here, there in ((A, B), (B, A)):
        for prefix in there.guest_addresses:
            here.router.wait_route(prefix)
    story.step("Each host knows the other's guest; the fabric knows both")
    story.command("vrouterctl show routes       # on host-a", A.router.ctl("show", "routes"))
    for family in (4, 6):
        routes = bird.ask("show", "route", "where", "source", "=", "RTS_BGP", "table", f"master{family}")
        story.command(f"birdc show route             # family {family}", routes)


def ping(story, host, address):
    output = host.guest.run(f"ping -c 3 -i 0.2 -W 2 {address}", 10)
    story.command(f"ping {address}              # in guest-{host.letter}", output)


def show_allowed(story):
    for host in HOSTS:
        host.guest.wait_booted(60)
    A.guest.wait_reaches(B.guest4)
    A.guest.wait_reaches(B.guest6)
    story.step("Policy lets clients ping servers")
    ping(story, A, B.guest4)
    ping(story, A, B.guest6)
    B.guest.run(f"iperf3 -s -D -p {ALLOWED_PORT}")
    B.guest.listen_tcp(DENIED_PORT)
    story.step(f"Policy lets clients open TCP port {ALLOWED_PORT}: a transfer of 3 s")
    output = A.guest.run(f"iperf3 -c {B.guest4} -p {ALLOWED_PORT} -t 3 -f m", 20)
    story.show("\n".join(line for line in output.splitlines() if re.search("sender|receiver", line)))


def trace(port):
    """What would become of a packet from guest-a to guest-b, on both hosts: (allowed, text)."""
    words = ["-s", A.guest4, "-d", B.guest4, "-p", "tcp", "--dport", port, "--sport", 40000]
    status, text = B.router.ctl_status("trace", "--from", "uplink0", *words)
    return status == 0, text


def show_denied(story):
    assert not A.guest.opens(B.guest4, DENIED_PORT, 1), f"port {DENIED_PORT} should be closed by policy"
    story.step(f"Policy says nothing of TCP port {DENIED_PORT}: the connection does not come about, and why")
    allowed, text = trace(DENIED_PORT)
    assert not allowed, text
    words = f"vrouterctl trace --from uplink0 -s {A.guest4} -d {B.guest4} -p tcp --dport {DENIED_PORT}"
    story.command(f"{words}   # on host-b", text)
    story.command("vrouterctl show drops        # on host-b", B.router.ctl("show", "drops"))


def open_port(story):
    story.step(f"The policy file is edited: port {DENIED_PORT} is added")
    edited = time.monotonic()
    write_policy(ALLOWED_PORT, DENIED_PORT)
    wait_for(lambda: trace(DENIED_PORT)[0], 10, "the new policy", every=0.001)
    took = (time.monotonic() - edited) * 1000
    assert A.guest.opens(B.guest4, DENIED_PORT, 1), "the connection should come about now"
    assert A.guest.opens(B.guest6, DENIED_PORT), "the connection should come about now"
    story.show(f"in force {took:.0f} ms after the edit, as seen by vrouterctl trace; guest-a connects, in both families")


def run(story, keep):
    with contextlib.ExitStack() as stack:
        directory = pathlib.Path(tempfile.mkdtemp(prefix="vrdemo-"))
        stack.callback(shutil.rmtree, directory, ignore_errors=True)
        network = Network("vrdemo")
        stack.callback(network.delete)
        bird = start_fabric(story, network, directory, stack)
        start_routers(story, directory, stack)
        launch_guests(story, directory, stack)
        show_routes(story, bird)
        show_allowed(story)
        show_denied(story)
        open_port(story)
        if keep:
            story.step(f"Everything is in {directory}; press Enter to take it down")
            sys.stdin.readline()
        story.step("Taking everything down")
    story.step("Done: nothing is left of it")


def main():
    def interrupted(number, _frame):
        raise KeyboardInterrupt(signal.Signals(number).name)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupted)
    try:
        run(Story(), "--keep" in sys.argv[1:])
    except KeyboardInterrupt as interrupt:
        print(f"\ndemo: interrupted ({interrupt}); everything is taken down", file=sys.stderr)
        return 130
    except AssertionError as error:
        print(f"\ndemo: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
