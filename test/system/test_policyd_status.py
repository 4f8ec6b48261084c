"""What hosts tell of themselves through vrouter-policyd, as etcd has it then.

SPDX-License-Identifier: Apache-2.0
"""

import json
import socket
import ssl
import struct

import pytest
from etcd import MISSING, RESOURCES
from policyd import PORT
from process import wait_for
from rack import FABRIC, Workload
from resources import resource, workload_endpoint
from test_policyd import site  # noqa: F401
from wire import inside

pytestmark = [
    pytest.mark.alone,  # etcd's own time limits do not like a busy machine
    pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}"),
]

AGENT = "/calico/felix/v2/no-region/host/host-a/"
GUARDS = "/calico/felix/v1/host/host-a/endpoint/"
UP, DOWN, ERROR = ('{"status":"%s"}' % word for word in ("up", "down", "error"))


def endpoint_key(name, host="host-a"):
    return f"/calico/felix/v2/no-region/host/{host}/workload/openstack/prod%2f{name}/endpoint/eth0"


@pytest.fixture
def told(site):  # noqa: F811
    """told(...): a site with etcd that wants to know how endpoints are."""

    def make(**options):
        made = site(etcd=True, **options)
        wanted = {"kind": "FelixConfiguration", "spec": {"endpointReportingEnabled": True}}
        made.etcd.write(RESOURCES + "felixconfigurations/default", wanted)

        def wait(key, value):
            wait_for(lambda: made.etcd.get(key) == value, 10, f"{key} is {value}")

        made.wait_key = wait
        return made

    return make


def lease_of(etcd, key):
    items = json.loads(etcd.ctl("get", key, "-w", "json")).get("kvs", [])
    return items[0].get("lease", 0) if items else 0


def downed(site):  # noqa: F811
    return site.racks[0].workload(1).endpoint(annotations={**site.client.annotations, "vrouter.io/admin-state": "down"})


def test_status_is_written_back_for_hosts(told):
    site = told()
    site.racks[0].router.set_bgp(64512, "192.0.2.1", {FABRIC[4]: 65000})
    site.etcd.write(endpoint_key("gone"), {"status": "up"})
    site.etcd.write(GUARDS + "gone", {"status": "up"})
    guard = {"node": "host-a", "interfaceName": "uplink0", "profiles": ["projectcalico-default-allow"]}
    site.etcd.put(resource("HostEndpoint", "uplink", guard))
    site.etcd.put(resource("HostEndpoint", "elsewhere", {**guard, "interfaceName": "uplink9"}))
    site.start()
    site.wait_key(endpoint_key("vm1"), UP)
    site.wait_key(endpoint_key("vm2x1", "host-b"), UP)
    site.wait_key(GUARDS + "uplink", UP)
    site.wait_key(GUARDS + "elsewhere", DOWN)
    site.wait_key(endpoint_key("gone"), None)
    site.wait_key(GUARDS + "gone", None)
    status = json.loads(wait_for(lambda: site.etcd.get(AGENT + "status"), 10, "the agent lives"))
    assert status["first_update"] and 0 < status["uptime"] < 300 and status["time"].endswith("Z")
    assert site.etcd.get(AGENT + "last_reported_status")
    assert lease_of(site.etcd, AGENT + "status") and not lease_of(site.etcd, AGENT + "last_reported_status")
    node = json.loads(wait_for(lambda: site.etcd.get(RESOURCES + "nodes/host-a"), 10, "the Node is there"))
    assert node["spec"]["bgp"] == {"asNumber": 64512, "ipv4Address": "192.0.2.1/24", "ipv6Address": "fd00:2::1/64"}
    site.put(downed(site))
    site.wait_key(endpoint_key("vm1"), DOWN)
    hosts = {host["host"]: host for host in site.replicas[0].status()["hosts"]}
    assert (hosts["host-a"]["up"], hosts["host-a"]["down"]) == (1, 2)
    site.etcd.remove(site.racks[0].workload(1).endpoint())
    site.wait_key(endpoint_key("vm1"), None)


@pytest.mark.parametrize("end", ["kill", "freeze"])
def test_next_replica_writes_on_and_the_last_word_of_the_first_harms_nothing(told, end):
    site = told(replicas=2).start()
    first, second = site.replicas
    site.wait_followed(first)
    site.wait_key(endpoint_key("vm1"), UP)
    old = wait_for(lambda: lease_of(site.etcd, AGENT + "status"), 10, "the agent lives")
    getattr(first, end)()
    site.wait_followed(second)
    wait_for(lambda: lease_of(site.etcd, AGENT + "status") not in (0, old), 10, "the second replica has taken over")
    assert not json.loads(site.etcd.get(AGENT + "status"))["first_update"]
    site.etcd.ctl("lease", "revoke", f"{old:x}")  # as if its time were over
    assert site.etcd.get(AGENT + "status")
    site.put(downed(site))
    site.wait_key(endpoint_key("vm1"), DOWN)


# --- a host that lies ------------------------------------------------------------------------


def field(number, content):
    """Of a protobuf message: bytes or a small number."""
    if isinstance(content, int):
        return bytes([number << 3, content])
    return bytes([number << 3 | 2]) + varint(len(content)) + content


def varint(value):
    return bytes([value]) if value < 0x80 else bytes([value & 0x7F | 0x80]) + varint(value >> 7)


def object_id(kind, namespace, name):
    return field(1, kind.encode()) + field(2, namespace.encode()) + field(3, name.encode())


def frame(message):
    return struct.pack("!I", len(message)) + message


def speak(site, host, *reports):  # noqa: F811
    """A connection as `host`, which has told these things; closed when it is left."""
    files = site.authority.issue(host)
    context = ssl.create_default_context(cafile=files["ca"])
    context.load_cert_chain(files["certificate"], files["key"])
    address = site.replicas[0].addresses[1]
    with inside(site.racks[0].host):
        plain = socket.create_connection((address, PORT), 10)
    link = context.wrap_socket(plain, server_hostname=address)
    hello = field(1, 1) + field(2, host.encode())
    link.sendall(frame(field(1, hello)) + b"".join(frame(field(4, report)) for report in reports))
    return link


def test_host_that_lies_writes_of_its_own_endpoints_alone(told):
    site = told().start()
    site.wait_key(endpoint_key("vm1"), UP)
    own = workload_endpoint("host-c", "vm9", "02:00:00:00:03:09", ["10.65.3.9/32"])
    site.put(own)
    victim = Workload(1).endpoint_name.partition("/")[2]
    names = [victim, victim.replace("host--a", "host--c"), "host--c-openstack-vm0-eth0", own["metadata"]["name"]]
    updates = b"".join(
        field(1, field(6, field(1, object_id("WorkloadEndpoint", "prod", name)) + field(2, b"error"))) for name in names
    )
    in_sync = field(1, field(10, b""))
    with speak(site, "host-c", updates + in_sync):
        # One key at a time, in their order: what is not the host's would have been written before.
        site.wait_key(endpoint_key("vm9", "host-c"), ERROR)
        told_by_c = next(host for host in site.replicas[0].status()["hosts"] if host["host"] == "host-c")
        assert told_by_c["error"] == len(names)
    assert site.etcd.keys("/calico/felix/v2/no-region/host/host-c/workload/") == [endpoint_key("vm9", "host-c")]
    assert site.etcd.get(endpoint_key("vm1")) == UP
