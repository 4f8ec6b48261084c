"""Fixtures of the system tests: networks, guests, routers and peers of one test, ended with it.

Everything a fixture starts is registered with `cleanup`, which runs in reverse order after the test
also when it failed or was interrupted.  Logs of a failed test are kept in build/results/system/logs.
SPDX-License-Identifier: Apache-2.0
"""

import contextlib
import os
import pathlib
import shutil
import signal
import sys
import tempfile

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from fast_guest import FastGuest  # noqa: E402
from guest import Guest  # noqa: E402
from network import Network  # noqa: E402
from rack import Rack  # noqa: E402
from router import BUILD, Router  # noqa: E402
from wire import Wire  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
KEPT_LOGS = ROOT / "build/results/system/logs"
PROGRAMS = ("vrouterd", "vrouterctl", "vrouter-policyd")


def pytest_configure(config):
    """Lets fixtures clean up when the run is ended from outside, as they do on Ctrl-C."""
    config.addinivalue_line("markers", "alone: not beside other tests")

    def interrupted(_number, _frame):
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupted)
    signal.signal(signal.SIGHUP, interrupted)


def pytest_collection_modifyitems(items):
    """Reports what this machine cannot run as skipped, with the reason."""
    reason = None
    if os.geteuid() != 0:
        reason = "needs root: network namespaces, veth and TAP devices"
    elif not os.path.exists("/dev/net/tun"):
        reason = "needs /dev/net/tun"
    for item in items:
        if reason:
            item.add_marker(pytest.mark.skip(reason=reason))
        if not any(item.iter_markers("timeout")):
            item.add_marker(pytest.mark.timeout(180))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    if call.when == "call":
        item.failed_in_call = report.failed


@pytest.fixture
def directory(request):
    """A directory of the test for sockets, configurations and logs; short, as socket paths must be."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="vrt-"))
    yield path
    if getattr(request.node, "failed_in_call", True):
        kept = KEPT_LOGS / request.node.name
        shutil.rmtree(kept, ignore_errors=True)
        ignore = shutil.ignore_patterns("*.sock", "*.serial", "*.qmp", "etcd")
        with contextlib.suppress(shutil.Error, OSError):
            shutil.copytree(path, kept, ignore=ignore)
        print(f"logs are kept in {kept}")
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def cleanup(directory):
    """An ExitStack: cleanup.callback(process.stop) and the like."""
    with contextlib.ExitStack() as stack:
        yield stack


@pytest.fixture
def network(cleanup):
    network = Network()
    cleanup.callback(network.delete)
    return network


@pytest.fixture
def make_guest(cleanup, directory):
    """make_guest(name, socket, mac, addresses, gateways, ...): a Guest, not yet started."""

    def make(name, *arguments, **options):
        guest = Guest(name, directory, *arguments, **options)
        cleanup.callback(guest.stop)
        return guest

    return make


@pytest.fixture
def make_fast_guest(cleanup, directory, network):
    """make_fast_guest(name, socket, mac, addresses, gateways, ...): a FastGuest, not yet started."""

    def make(name, *arguments, **options):
        guest = FastGuest(network, directory, name, *arguments, **options)
        cleanup.callback(guest.stop)
        return guest

    return make


@pytest.fixture
def make_peer(cleanup, directory):
    """make_peer(Bird, namespace, asn, router_id, neighbors, ...): a BGP daemon, not yet started."""

    def make(kind, namespace, *arguments, **options):
        peer = kind(namespace, directory, *arguments, **options)
        cleanup.callback(peer.stop)
        return peer

    return make


@pytest.fixture
def make_router(cleanup, directory):
    """make_router(namespace, node, ...): a Router, not yet started."""
    missing = [program for program in PROGRAMS if not (BUILD / program).exists()]
    if missing:
        pytest.fail(f"not built: {', '.join(missing)}")

    def make(namespace, node, **options):
        router = Router(namespace, directory, node, **options)
        cleanup.callback(router.stop)
        return router

    return make


@pytest.fixture
def wire(cleanup):
    """wire(namespace, interface): a Wire."""

    def make(namespace, interface):
        opened = Wire(namespace, interface)
        cleanup.callback(opened.close)
        return opened

    return make


@pytest.fixture
def rack(network, directory, make_router):
    """One host and its link to the fabric, static routes between them; the router is not started."""
    return Rack(network, directory, make_router)


@pytest.fixture
def racks(network, directory, make_router):
    """Two hosts on one fabric."""
    first = Rack(network, directory, make_router)
    return [first, Rack(network, directory, make_router, first.fabric, 2)]
