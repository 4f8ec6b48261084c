"""Endpoints that come, change and go, right and wrong ones, beside one that forwards all the time.

SPDX-License-Identifier: Apache-2.0
"""

import pytest
from namespace_guest import VethGuest
from process import wait_for
from rack import FABRIC, GATEWAYS, ROUTER, Workload
from router import wait_gone
from stream import Stream

# Counts every packet of a stream: what else runs on a small machine would cost some.
pytestmark = pytest.mark.alone


@pytest.fixture
def busy(rack):
    """A started rack whose workload 9 sends a stream to the fabric."""
    guest = rack.veth_guest(rack.workload(9))
    rack.start()
    guest.wait_reaches(FABRIC[4])
    return rack, Stream(guest.namespace, rack.fabric, FABRIC[4])


def state(rack, workload):
    rows = rack.router.show("endpoints")
    return next((row for row in rows if row["name"] == workload.endpoint_name), None)


def test_many_endpoints_come_and_go_while_another_forwards(busy):
    rack, stream = busy
    workloads = [rack.workload(number) for number in range(20, 60)]
    with stream:
        for _ in range(2):
            rack.router.put(*(workload.endpoint() for workload in workloads))
            for workload in workloads:
                rack.router.wait_socket(workload.name)
            rack.router.wait_endpoint(workloads[-1].endpoint_name)
            for workload in workloads:
                rack.router.remove(workload.endpoint())
            for workload in workloads:
                wait_gone(rack.router.socket_of(workload.name))
        stream.wait_more()
    assert not stream.lost
    assert len(rack.router.show("endpoints")) == 1
    assert len(rack.router.show("ports")) == 3


def test_port_that_comes_and_goes_while_another_forwards(busy):
    """The same kernel interface, opened and closed again and again."""
    rack, stream = busy
    workload = rack.workload(1)
    guest = rack.veth_guest(workload)
    endpoint = workload.endpoint(annotations=guest.annotations)
    with stream:
        for _ in range(3):
            guest.wait_reaches(FABRIC[4])
            rack.router.remove(endpoint)
            rack.router.wait_no_route(workload.addresses[0])
            assert not guest.reaches(FABRIC[4], 0.2)
            rack.router.put(endpoint)
            rack.router.wait_endpoint(workload.endpoint_name)
        guest.wait_reaches(FABRIC[6])
    assert not stream.lost


def test_port_that_cannot_be_opened_yet_is_tried_again(busy, network, directory):
    rack, stream = busy
    workload = rack.workload(1)
    endpoint = workload.endpoint(annotations={"vrouter.io/port": "net_af_packet_vm1,iface=to-vm1"})
    with stream:
        rack.router.put(endpoint)
        wait_for(lambda: state(rack, workload), 5, "the endpoint is shown")
        assert state(rack, workload)["state"] == "failed"
        assert "net_af_packet_vm1" in state(rack, workload)["problem"]
        names = (network, directory, "vm1", rack.host)
        guest = VethGuest(*names, workload.mac, workload.addresses, GATEWAYS)
        rack.router.wait_endpoint(workload.endpoint_name)
        guest.wait_reaches(FABRIC[4])
    assert not stream.lost


def test_device_of_another_port_is_left_alone(busy):
    rack, stream = busy
    workload = rack.workload(1)
    device = rack.router.config["ports"][0]["device"]
    with stream:
        rack.router.put(workload.endpoint(annotations={"vrouter.io/port": device}))
        wait_for(lambda: state(rack, workload), 5, "the endpoint is shown")
        assert state(rack, workload)["state"] == "failed"
        assert "another port has" in state(rack, workload)["problem"]
        stream.wait_more()
    assert not stream.lost


def test_interface_of_a_guest_vanishes(busy):
    """As when a container's namespace goes before its endpoint does."""
    rack, stream = busy
    workload = rack.workload(1)
    guest = rack.veth_guest(workload)
    guest.wait_reaches(FABRIC[4])
    with stream:
        rack.host.sh("ip", "link", "del", guest.interface)
        assert not rack.fabric_reaches(workload.address[4], 0.3)
        rack.router.remove(workload.endpoint(annotations=guest.annotations))
        rack.router.wait_no_route(workload.addresses[0])
        stream.wait_more()
    assert not stream.lost
    rack.router.check_running()


def test_changed_addresses_take_effect(busy):
    rack, stream = busy
    workload = rack.workload(1)
    guest = rack.veth_guest(workload)
    guest.wait_reaches(FABRIC[4])
    later = Workload(2)
    guest.namespace.add_address("eth0", *later.addresses)
    changed = workload.endpoint(annotations=guest.annotations)
    changed["spec"]["ipNetworks"] = later.addresses
    with stream:
        rack.router.put(changed)
        for old, new in zip(workload.addresses, later.addresses):
            rack.router.wait_route(new)
            rack.router.wait_no_route(old)
        for family in (4, 6):
            wait_for(lambda: rack.fabric_reaches(later.address[family]), 5, "the new address is reached")
            assert not rack.fabric_reaches(workload.address[family], 0.3)
    assert not stream.lost


def test_admin_down_closes_and_up_opens(busy):
    rack, stream = busy
    workload = rack.workload(1)
    guest = rack.veth_guest(workload)
    guest.wait_reaches(FABRIC[4])
    down = workload.endpoint(annotations={**guest.annotations, "vrouter.io/admin-state": "down"})
    with stream:
        rack.router.put(down)
        rack.router.wait_endpoint(workload.endpoint_name, "inactive")
        assert not guest.reaches(FABRIC[4], 0.3)
        assert not rack.fabric_reaches(workload.address[4], 0.3)
        rack.router.put(workload.endpoint(annotations=guest.annotations))
        guest.wait_reaches(FABRIC[4])
    assert not stream.lost


def test_interface_name_cannot_lead_out_of_the_socket_directory(busy):
    rack, stream = busy
    workload = rack.workload(1)
    before = sorted(rack.router.directory.rglob("*"))
    with stream:
        rack.router.put(workload.endpoint(interface="../escaped"))
        rack.router.put(rack.workload(2).endpoint())
        rack.router.wait_endpoint(rack.workload(2).endpoint_name)
    new = {path.name for path in rack.router.directory.rglob("*")} - {path.name for path in before}
    assert not [name for name in new if "escaped" in name]
    assert (state(rack, workload) or {"state": "invalid"})["state"] == "invalid"
    assert not stream.lost


def test_address_of_the_host_or_of_a_neighbor_is_nobody_elses(busy):
    rack, stream = busy
    thief = rack.workload(5)
    with stream:
        for stolen in (ROUTER[4], FABRIC[4]):
            thief.addresses = [f"{stolen}/32"]
            rack.router.put(thief.endpoint())
            wait_for(lambda a=stolen: a in (state(rack, thief) or {}).get("problem", ""), 10, f"{stolen} is told")
            assert state(rack, thief)["state"] == "failed"
        thief.addresses = [f"{thief.address[4]}/32"]
        rack.router.put(thief.endpoint())
        rack.router.wait_endpoint(thief.endpoint_name)
        stream.wait_more()
    assert not stream.lost
