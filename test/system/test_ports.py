"""NIC ports of other kinds than net_af_packet, each as a router's way to the fabric.

SPDX-License-Identifier: Apache-2.0
"""

import pytest
from process import wait_for
from rack import FABRIC, ROUTER
from scapy.layers.inet import IP
from scapy.layers.l2 import Ether


def start(rack, driver="net_af_packet"):
    """Starts a rack with a guest; skips the test if this machine has no such device."""
    guest = rack.veth_guest(rack.workload(1), driver)
    rack.launch()
    wait_for(lambda: not rack.router.process.running or rack.router.answers(), 15, f"{rack.router} answers")
    if not rack.router.process.running:
        reason = next((line for line in rack.router.log.splitlines() if "cannot" in line), None)
        assert reason, rack.router.log
        pytest.skip(f"not on this machine: {reason.split('error ')[-1]}")
    rack.wait_ready()
    return guest


def check_traffic(rack, guest):
    """Small and large packets, both families, both directions."""
    address = rack.workload(1).address
    for family in (4, 6):
        guest.wait_reaches(FABRIC[family])
        wait_for(lambda: rack.fabric_reaches(ROUTER[family]), 5, "the router answers pings")
        for size in (0, 1400):
            guest.run("ping", "-c", 1, "-W", 10, "-s", size, FABRIC[family])
            rack.fabric.sh("ping", "-c", 1, "-W", 10, "-s", size, address[family])
    guest.listen_tcp(80)
    port = next(row for row in rack.router.show("ports") if row["name"] == "uplink0")
    assert port["rx_packets"] > 10 and port["tx_packets"] > 10


def use(rack, device):
    rack.router.config["ports"][0]["device"] = device


@pytest.mark.parametrize("driver", ["net_af_packet", "net_af_xdp", "net_pcap"])
def test_kernel_interface_by_driver(rack, driver):
    use(rack, f"{driver}0,iface=uplink")
    guest = start(rack)
    assert rack.router.show("ports")[0]["driver"] == driver
    check_traffic(rack, guest)


def test_tap(rack):
    """The other end of the router's port is a kernel interface, which goes to the fabric."""
    use(rack, "net_tap0,iface=wire")
    guest = start(rack)
    rack.fabric.sh("ip", "link", "del", rack.downlink)
    rack.host.sh("ip", "link", "set", "dev", "wire", "netns", str(rack.fabric))
    rack.fabric.sh("ip", "link", "set", "dev", "wire", "up")
    rack.fabric.add_address("wire", f"{FABRIC[4]}/24", f"{FABRIC[6]}/64")
    rack.fabric.add_route("10.65.1.0/24", ROUTER[4])
    rack.fabric.add_route("fd00:65:1::/64", ROUTER[6])
    check_traffic(rack, guest)


def test_memif_between_two_routers(racks, directory):
    """Shared memory, no interface at all: a link between two hosts' routers on one machine."""
    links = {4: ("203.0.113.1", "203.0.113.2", 24), 6: ("fd00:3::1", "fd00:3::2", 64)}
    for number, (rack, role) in enumerate(zip(racks, ("server", "client"))):
        socket = f"socket={directory}/memif.sock,socket-abstract=no"
        rack.router.config["ports"].append(
            {
                "name": "memif",
                "device": f"net_memif0,role={role},{socket}",
                "addresses": [f"{ends[number]}/{ends[2]}" for ends in links.values()],
            }
        )
        other = racks[1 - number].number
        rack.router.add_route(f"10.65.{other}.0/24", links[4][1 - number])
        rack.router.add_route(f"fd00:65:{other}::/64", links[6][1 - number])
    guests = [start(rack) for rack in racks]
    for family in (4, 6):
        guests[0].wait_reaches(racks[1].workload(1).address[family])
        guests[1].wait_reaches(racks[0].workload(1).address[family])
    ports = {row["name"]: row for row in racks[0].router.show("ports")}
    assert ports["memif"]["tx_packets"] >= 4


def test_fragments_of_an_allowed_packet_pass(rack):
    """Larger than any MTU, in both directions: later fragments follow their first one's verdict.

    net_pcap, since net_af_packet has the kernel put IPv4 fragments together.
    """
    use(rack, "net_pcap0,iface=uplink")
    guest = start(rack, "net_pcap")
    for family in (4, 6):
        guest.wait_reaches(FABRIC[family])
        rack.fabric.sh("ping", "-c", 1, "-W", 10, "-s", 4000, rack.workload(1).address[family])


@pytest.mark.parametrize(
    "fields, reason",
    [({"proto": 6, "frag": 1}, "fragment_overlap"), ({"proto": 17, "frag": 90}, "fragment_orphan")],
    ids=["over a TCP header", "without its first"],
)
def test_bad_fragment_is_counted(rack, wire, fields, reason):
    use(rack, "net_pcap0,iface=uplink")
    start(rack)
    line = wire(rack.fabric, rack.downlink)
    router = next(row["mac"] for row in rack.router.show("ports") if row["name"] == "uplink0")
    address = rack.workload(1).address[4]
    ether = Ether(src=rack.fabric.mac(rack.downlink), dst=router)
    line.send(ether / IP(src=FABRIC[4], dst=address, id=77, **fields) / (b"\0" * 24))
    wait_for(lambda: rack.router.drops().get(reason), 3, reason)
    assert rack.fabric_reaches(address, 3)
