"""Pools with natOutgoing: what their guests begin with the world goes out in the name of the host.

SPDX-License-Identifier: Apache-2.0
"""

import pytest
from process import Process, wait_for
from rack import ROUTER
from resources import resource

FAR = {4: "203.0.113.80", 6: "fd00:203::80"}  # beyond the fabric, and beyond a link of MTU 1300
POOLED = {4: "10.66.0.80", 6: "fd00:66::80"}  # the same machine, by addresses of another pool
PORTS = range(61000, 65536)

# Tells callers who they are.
SERVER = """
import socket
with socket.create_server(("", 7000), family=socket.AF_INET6, dualstack_ipv6=True) as server:
    while True:
        client, name = server.accept()
        with client:
            client.sendall(f"{name[0].removeprefix('::ffff:')} {name[1]}".encode())
"""
ASK = """
import socket, sys
try:
    with socket.create_connection((sys.argv[1], 7000), 5) as client:
        print(client.makefile().read())
except OSError as error:
    print(error)
"""
KNOCK = """
import socket, sys
family, kind, _, _, address = socket.getaddrinfo(sys.argv[1], 9, type=socket.SOCK_DGRAM)[0]
with socket.socket(family, kind) as knocker:
    knocker.settimeout(2)
    knocker.connect(address)
    try:
        knocker.send(b"anybody?")
        knocker.recv(1)
    except OSError as error:
        print(error)
"""

# The same by a protocol without ports, one of those for experiments (RFC 3692).
ECHO = """
import select, socket
sockets = [socket.socket(family, socket.SOCK_RAW, 253) for family in (socket.AF_INET, socket.AF_INET6)]
while True:
    for ready in select.select(sockets, [], [])[0]:
        _, name = ready.recvfrom(100)
        ready.sendto(name[0].encode(), name)
"""
ASK_RAW = """
import socket, sys
family, _, _, _, address = socket.getaddrinfo(sys.argv[1], 0)[0]
with socket.socket(family, socket.SOCK_RAW, 253) as asker:
    asker.settimeout(2)
    asker.connect(address)
    try:
        asker.send(b"who am I?")
        answer = asker.recv(100)
        print((answer[20:] if family == socket.AF_INET else answer).decode())
    except OSError as error:
        print(error)
"""


def pool(name, cidr, nat):
    return resource("IPPool", name, {"cidr": cidr, "natOutgoing": nat})


@pytest.fixture
def far(rack, network, directory):
    """A machine beyond the fabric that knows no way to the guests but by their pool's or the host's name."""
    machine = network.namespace("far")
    network.link(machine, "eth0", rack.fabric, "beyond", mtu=1300)
    machine.add_address("eth0", f"{FAR[4]}/24", f"{FAR[6]}/64")
    machine.add_address("lo", f"{POOLED[4]}/32", f"{POOLED[6]}/128")
    rack.fabric.add_address("beyond", "203.0.113.1/24", "fd00:203::1/64")
    for family, gateway in ((4, "203.0.113.1"), (6, "fd00:203::1")):
        machine.add_route("default", gateway)
        rack.fabric.add_route(POOLED[family], FAR[family])
    server = Process(["/usr/bin/python3", "-c", SERVER], directory / "server.log", machine)
    server.wait_for(lambda: ":7000" in machine.sh("ss", "-Hltn"), 10, "the server listens")
    return machine


def seen(guest, address):
    """Who the guest is for the machine at `address`: address and port; nothing: not reached."""
    words = guest.run("/usr/bin/python3", "-c", ASK, address).split()
    return (words[0], int(words[1])) if len(words) == 2 and words[1].isdigit() else None


def test_guest_of_a_private_pool_speaks_to_the_world_in_the_hosts_name(rack, far):
    workload = rack.workload(1)
    guest = rack.veth_guest(workload)
    rack.router.put(
        pool("private4", "10.65.0.0/16", True),
        pool("private6", "fd00:65::/32", True),
        pool("other4", "10.66.0.0/16", False),
        pool("other6", "fd00:66::/32", False),
    )
    rack.start()
    for family in (4, 6):
        guest.wait_reaches(FAR[family])
        address, port = wait_for(lambda f=family: seen(guest, FAR[f]), 15, "the far machine answers")
        assert address == ROUTER[family]
        assert port in PORTS
        address, _ = wait_for(lambda f=family: seen(guest, POOLED[f]), 15, "so does it in its pool")
        assert address == workload.address[family]
        rows = rack.router.show("flows", FAR[family])
        assert {row.get("mapping") for row in rows} == {ROUTER[family]}
        trace = rack.router.trace(workload.endpoint_name, FAR[family], "tcp", 7000)
        assert any(f"becomes {ROUTER[family]}" in step["detail"] for step in trace["steps"])


def test_protocols_without_ports_go_out_in_the_hosts_name(rack, far, directory):
    guest = rack.veth_guest(rack.workload(1))
    rack.router.put(pool("private4", "10.65.0.0/16", True), pool("private6", "fd00:65::/32", True))
    rack.start()
    Process(["/usr/bin/python3", "-c", ECHO], directory / "echo.log", far)
    for family in (4, 6):
        guest.wait_reaches(FAR[family])

        def name(address=FAR[family]):
            return guest.run("/usr/bin/python3", "-c", ASK_RAW, address).strip()

        wait_for(lambda f=family: name() == ROUTER[f], 15, "the far machine knows the host alone")


def test_errors_about_what_went_out_in_the_hosts_name_reach_the_guest(rack, far):
    guest = rack.veth_guest(rack.workload(1))
    rack.router.put(pool("private4", "10.65.0.0/16", True), pool("private6", "fd00:65::/32", True))
    rack.start()
    for family in (4, 6):
        guest.wait_reaches(FAR[family])

        def refused(address=FAR[family]):
            return "refused" in guest.run("/usr/bin/python3", "-c", KNOCK, address)

        def path_mtu(address=FAR[family]):
            guest.run("ping", "-M", "do", "-c", 1, "-W", 1, "-s", 1352, address, check=False)
            return "mtu 1300" in guest.run("ip", "route", "get", address)

        wait_for(refused, 15, "nobody is at port 9")
        wait_for(path_mtu, 15, "the narrow link is told of")
