"""BGP daemons of others as peers: BIRD 2, FRR's bgpd and GoBGP, each in a namespace of the test.

One description (Neighbor, networks) makes the configuration of each; each answers the same two
questions, whether a session is up and which routes it has.
SPDX-License-Identifier: Apache-2.0
"""

import dataclasses
import ipaddress
import json
import re

from process import Process, wait_for
from zebra import ZebraDaemon


def family_of(text):
    return ipaddress.ip_network(text.partition("%")[0], strict=False).version


@dataclasses.dataclass
class Neighbor:
    """A session; `families` that it carries are by default that of its address."""

    address: str
    asn: int
    passive: bool = False
    families: tuple = ()
    multihop: bool = False
    hold_time: int = 9
    reflector_client: bool = False
    password: str = ""
    add_path: bool = False  # several paths per prefix, both ways
    restart_time: int = 0  # seconds; graceful restart when not 0
    restart_families: tuple = (4, 6)  # for which it restarts gracefully; BIRD and GoBGP
    long_lived: int = 0  # seconds after that, RFC 9494; BIRD only
    bfd: bool = False  # every 100 ms, three lost are too many; BIRD only
    local: str = ""  # the peer's own address, where it has several; BIRD wants it for BFD over several hops
    ttl_security: bool = False  # RFC 5082
    as_override: bool = False  # FRR and GoBGP; BIRD 2 has no such option
    two_octets: bool = False  # a speaker from before RFC 6793; BIRD only

    def __post_init__(self):
        self.families = self.families or (family_of(self.address),)

    @property
    def word(self):
        return "n" + re.sub(r"\W", "_", self.address)


class Peer:
    """What the three daemons have in common.

    networks: prefixes that it originates.  next_hops: {4: address, 6: address}, the next hop it gives
    to routes of a family that is not the session's own.
    """

    def __init__(self, namespace, directory, asn, router_id, neighbors, networks=(), **options):
        self.namespace = namespace
        self.directory = directory / f"{type(self).__name__.lower()}-{namespace}"
        self.directory.mkdir()
        self.asn = asn
        self.router_id = router_id
        self.neighbors = neighbors
        self.networks = list(networks)
        self.next_hops = options.pop("next_hops", {})
        self.install = options.pop("install", False)  # BIRD and FRR: routes go into the kernel
        self.cluster = options.pop("cluster", "")  # of a reflector; empty: its own
        self.keep_next_hop = options.pop("keep_next_hop", False)  # BIRD: as a reflector should, and FRR's does
        assert not options, f"unknown options: {', '.join(options)}"
        self.hidden, self.refused = [], []
        self.process = None

    def write(self, name, text):
        path = self.directory / name
        path.write_text(text)
        return path

    def start(self, returning=False):
        """`returning`: graceful restart, its routes are forwarded still."""
        raise NotImplementedError

    def launch(self, *command, **options):
        self.process = Process(command, self.directory / "log", self.namespace, **options)
        return self

    def announce(self, network):
        """From now on."""
        self.networks.append(network)
        self.apply_network(network)

    def withdraw(self, network):
        self.networks.remove(network)
        self.apply_network(network)

    def apply_network(self, network):
        """Tells it, or no more, as `networks` says."""
        raise NotImplementedError

    def established(self, address):
        raise NotImplementedError

    def as_path(self, prefix):
        """Of the best route to it, in IPv4; empty when there is none."""
        raise NotImplementedError

    def last_words(self):
        """Where it shows why its first session ended."""
        raise NotImplementedError

    def routes(self, family=4):
        """Prefix -> set of next hops, of the best routes."""
        raise NotImplementedError

    def set_policies(self, hidden, refused):
        """Of IPv4: networks that it tells nobody, and such as it takes from nobody; sessions stay."""
        self.hidden, self.refused = hidden, refused
        self.apply_policies()

    def apply_policies(self):
        raise NotImplementedError

    def restart_sessions(self):
        """All of them, from this end."""
        raise NotImplementedError

    def reset(self, address):
        """That session, with a NOTIFICATION that graceful restart covers (RFC 8538); not BIRD."""
        raise NotImplementedError

    def shut_down(self, address):
        """That session, for good and with a Hard Reset; FRR only."""
        raise NotImplementedError

    def heard_refreshes(self):
        """How often it was asked for its routes."""
        raise NotImplementedError

    def heard_updates(self):
        raise NotImplementedError

    def wait_established(self, address, seconds=15):
        self.process.wait_for(lambda: self.established(address), seconds, f"{self} with {address}")

    def wait_route(self, prefix, next_hop=None, seconds=10):
        def there():
            hops = self.routes(family_of(prefix)).get(prefix)
            return hops is not None and (next_hop is None or next_hop in hops)

        self.process.wait_for(there, seconds, f"{self} has {prefix}")

    def wait_no_route(self, prefix, seconds=10):
        wait_for(lambda: prefix not in self.routes(family_of(prefix)), seconds, f"{self} forgets {prefix}")

    def stop(self):
        if self.process:
            self.process.stop(limit=2)

    def __str__(self):
        return f"{type(self).__name__} in {self.namespace}"


class Bird(Peer):
    def configuration(self):
        lines = [
            "log stderr all;",
            f"router id {self.router_id};",
            "protocol device { scan time 1; }",
            "protocol direct { ipv4; ipv6; }",
        ]
        if any(neighbor.bfd for neighbor in self.neighbors):
            times = "min rx interval 100 ms; min tx interval 100 ms; multiplier 3;"
            lines.append(f'protocol bfd {{ interface "*" {{ {times} }}; multihop {{ {times} }}; }}')
        for family in (4, 6):
            export = "all" if self.install else "none"
            own = [n for n in self.networks if family_of(n) == family]
            routes = " ".join(f"route {network} blackhole;" for network in own)
            lines.append(f"protocol kernel {{ ipv{family} {{ export {export}; }}; }}")
            lines.append(f"protocol static own{family} {{ ipv{family}; {routes} }}")
        for neighbor in self.neighbors:
            lines += self.session(neighbor)
        return "\n".join(lines) + "\n"

    def session(self, neighbor):
        yield f"protocol bgp {neighbor.word} {{"
        yield "  debug { packets };"
        address, _, interface = neighbor.address.partition("%")
        yield f"  local {neighbor.local} as {self.asn}; neighbor {address} as {neighbor.asn};"
        if interface:
            yield f'  interface "{interface}";'
        yield f"  hold time {neighbor.hold_time}; connect retry time 1; connect delay time 0; error wait time 1, 2;"
        yield f"  {'multihop' if neighbor.multihop else 'direct'};"
        if neighbor.passive:
            yield "  passive;"
        if neighbor.ttl_security:
            yield "  ttl security on;"
        if neighbor.two_octets:
            yield "  enable as4 off;"
        if neighbor.reflector_client:
            yield "  rr client;"
            if self.cluster:
                yield f"  rr cluster id {self.cluster};"
        if neighbor.password:
            yield f'  password "{neighbor.password}";'
        paths = "add paths on;" if neighbor.add_path else ""
        if neighbor.restart_time:
            yield f"  graceful restart on; graceful restart time {neighbor.restart_time};"
        if neighbor.long_lived:
            yield f"  long lived graceful restart on; long lived stale time {neighbor.long_lived};"
        if neighbor.bfd:
            yield "  bfd on;"
        for family in neighbor.families:
            hop = "next hop keep;" if self.keep_next_hop else "next hop self;"
            if family in self.next_hops:
                hop = f"next hop address {self.next_hops[family]};"
            if family == 4 and (interface or ":" in self.next_hops.get(4, "")):
                hop += " extended next hop on;"
            if neighbor.restart_time and family not in neighbor.restart_families:
                hop += " graceful restart off;"
            taken, told = (self.all_but(networks, family) for networks in (self.refused, self.hidden))
            export = f"source ~ [RTS_BGP, RTS_STATIC] && {told}"
            yield f"  ipv{family} {{ import where {taken}; export where {export}; {hop} {paths} }};"
        yield "}"

    @staticmethod
    def all_but(networks, family):
        found = ", ".join(network for network in networks if family_of(network) == family)
        return f"net !~ [{found}]" if found else "true"

    def start(self, returning=False):
        configuration = self.write("bird.conf", self.configuration())
        flags = ["-R"] if returning else []
        return self.launch("bird", "-f", *flags, "-c", configuration, "-s", self.directory / "ctl")

    def ask(self, *words):
        return self.namespace.sh("birdc", "-r", "-s", self.directory / "ctl", *words, check=False)

    def order(self, *words):
        """Waits until it listens: just started, it may not have come to its socket yet."""
        self.process.wait_for(lambda: "Router ID" in self.ask("show", "status"), 10, f"{self} takes orders")
        return self.namespace.sh("birdc", "-s", self.directory / "ctl", *words)

    def reconfigure(self):
        """Takes over changed neighbors and networks."""
        self.write("bird.conf", self.configuration())
        self.order("configure")

    def apply_network(self, network):
        self.reconfigure()

    def apply_policies(self):
        self.reconfigure()

    def restart_sessions(self):
        self.order("restart", '"n*"')

    def heard_refreshes(self):
        return self.process.output().count("Got ROUTE-REFRESH")

    def heard_updates(self):
        return self.process.output().count("Got UPDATE")

    def established(self, address):
        word = Neighbor(address, 0).word
        return bool(re.search(rf"^{word} .*Established", self.ask("show", "protocols"), re.MULTILINE))

    def as_path(self, prefix):
        found = re.search(r"BGP.as_path: (.*)", self.ask("show", "route", prefix, "primary", "all"))
        return found.group(1).strip() if found else ""

    def last_words(self):
        return self.ask("show", "protocols", "all", self.neighbors[0].word)

    def routes(self, family=4):
        table, prefix, best = {}, None, False
        for line in self.ask("show", "route", "table", f"master{family}").splitlines():
            first = re.match(r"(\S+/\d+)?\s+(unicast|blackhole) \[[^\]]*\]( \*)?", line)
            if first:
                prefix, best = first.group(1) or prefix, bool(first.group(3))
            hop = re.match(r"\s+via (\S+)", line)
            if prefix and best:
                table.setdefault(prefix, set()).update({hop.group(1)} if hop else ())
        return table

    def next_hops_of(self, prefix):
        """Of the best route to an IPv6 prefix: the global address and, if it was told one, the link-local."""
        told = re.search(r"BGP\.next_hop: (.*)", self.ask("show", "route", prefix, "all"))
        return told.group(1).split() if told else []


class Frr(Peer):
    """bgpd; routes go into the kernel with `install`, for which it must hear IPv6 ones.

    It has a zebra where it hears IPv6 routes: without, it knows no interfaces, and takes a link-local next hop beside
    the global one (RFC 2545 3) for an error.
    """

    zebra = None

    def configuration(self, shut=False):
        lines = ["bgp route-map delay-timer 0"]  # else they apply after five seconds
        # Before those who name them: a route map that is not there yet lets nothing out.
        for family, word in ((4, "ip next-hop"), (6, "ipv6 next-hop global")):
            if family in self.next_hops:
                lines += [f"route-map next-hop{family} permit 10", f" set {word} {self.next_hops[family]}"]
        lines += [f"router bgp {self.asn}", f" bgp router-id {self.router_id}", " no bgp ebgp-requires-policy"]
        lines += [" no bgp default ipv4-unicast", " no bgp network import-check"]
        if self.cluster:
            lines.append(f" bgp cluster-id {self.cluster}")
        if restart_time := max(n.restart_time for n in self.neighbors):
            lines += [" bgp graceful-restart", f" bgp graceful-restart restart-time {restart_time}"]
            lines.append(" bgp graceful-restart preserve-fw-state")
            lines.append(" no bgp hard-administrative-reset")  # RFC 8538: 'clear' costs no routes
        for n in self.neighbors:
            lines.append(f" neighbor {n.address} remote-as {n.asn}")
            lines.append(f" neighbor {n.address} timers {max(1, n.hold_time // 3)} {n.hold_time}")
            lines.append(f" neighbor {n.address} timers connect 1")
            lines.append(f" neighbor {n.address} advertisement-interval 0")
            if shut:
                lines.append(f" neighbor {n.address} shutdown")
            if n.passive:
                lines.append(f" neighbor {n.address} passive")
            if n.local:
                lines.append(f" neighbor {n.address} update-source {n.local}")
            if n.multihop:
                lines.append(f" neighbor {n.address} disable-connected-check")
            if n.password:
                lines.append(f" neighbor {n.address} password {n.password}")
            if n.ttl_security:
                lines.append(f" neighbor {n.address} ttl-security hops 1")
            if ":" in n.address and 4 in n.families and 4 not in self.next_hops:
                lines.append(f" neighbor {n.address} capability extended-nexthop")
        for family in (4, 6):
            lines.append(f" address-family ipv{family} unicast")
            lines += [f"  network {network}" for network in self.networks if family_of(network) == family]
            for n in self.neighbors:
                if family in n.families:
                    lines.append(f"  neighbor {n.address} activate")
                    if n.reflector_client:
                        lines.append(f"  neighbor {n.address} route-reflector-client")
                    if n.add_path:
                        lines.append(f"  neighbor {n.address} addpath-tx-all-paths")
                    if n.as_override:
                        lines.append(f"  neighbor {n.address} as-override")
                    if family in self.next_hops:
                        lines.append(f"  neighbor {n.address} route-map next-hop{family} out")
            lines.append(" exit-address-family")
        return "\n".join(lines) + "\n"

    def start(self, returning=False):
        configuration = self.write("bgpd.conf", self.configuration(shut=returning))
        if self.zebra is None and any(6 in n.families for n in self.neighbors):
            self.zebra = ZebraDaemon(self.namespace, self.directory).start_zebra()
        kernel = [] if self.install else ["-n"]
        interfaces = [*kernel, "-z", self.zebra.api] if self.zebra else ["-Z"]
        self.launch(
            "/usr/lib/frr/bgpd", *interfaces, "-S", "-u", "root", "-g", "root", "-P", "0",
            "-f", configuration, "-i", self.directory / "pid",
            "--vty_socket", self.directory, "--log", "stdout",
        )  # fmt: skip
        if returning:
            # On a busy machine it may say End-of-RIB before it has chosen its own routes.
            for network in self.networks:
                self.wait_route(network, seconds=9)
            told = self.order(f"router bgp {self.asn}", *(f"no neighbor {n.address} shutdown" for n in self.neighbors))
            assert "%" not in told, told
        return self

    def ask(self, *commands):
        words = [word for command in commands for word in ("-c", command)]
        return self.namespace.sh("vtysh", "--vty_socket", self.directory, "-d", "bgpd", *words, check=False)

    def order(self, *lines):
        """Configuration lines, such as 'router bgp 65001', 'neighbor 10.0.0.1 shutdown'."""
        return self.ask("configure terminal", *lines)

    def apply_network(self, network):
        no = "" if network in self.networks else "no "
        family = f"address-family ipv{family_of(network)} unicast"
        told = self.order(f"router bgp {self.asn}", family, f"{no}network {network}")
        assert "%" not in told, told

    def apply_policies(self):
        lines = []
        for name, networks in (("hidden", self.hidden), ("refused", self.refused)):
            lines += [f"no ip prefix-list {name}", *(f"ip prefix-list {name} deny {network}" for network in networks)]
            lines += [f"ip prefix-list {name} permit 0.0.0.0/0 le 32"]
        lines += [f"router bgp {self.asn}", "address-family ipv4 unicast"]
        for n in self.neighbors:
            lines += [f"neighbor {n.address} prefix-list hidden out", f"neighbor {n.address} prefix-list refused in"]
        told = self.order(*lines)
        assert "%" not in told, told
        for n in self.neighbors:
            self.ask(f"clear bgp ipv4 unicast {n.address} soft")

    def restart_sessions(self):
        self.ask("clear bgp *")

    def reset(self, address):
        self.ask(f"clear bgp {address}")

    def shut_down(self, address):
        self.order(f"router bgp {self.asn}", f"neighbor {address} shutdown")

    def statistics(self):
        address = self.neighbors[0].address
        return self.ask_json(f"show bgp neighbors {address}")[address]["messageStats"]

    def heard_refreshes(self):
        return self.statistics()["routeRefreshRecv"]

    def heard_updates(self):
        return self.statistics()["updatesRecv"]

    def ask_json(self, command):
        text = self.ask(f"{command} json")
        start = text.find("{")
        return json.loads(text[start:]) if start >= 0 else {}

    def established(self, address):
        state = self.ask_json(f"show bgp neighbors {address}").get(address, {})
        return state.get("bgpState") == "Established"

    def as_path(self, prefix):
        best = [p for p in self.ask_json(f"show bgp ipv4 unicast {prefix}").get("paths", []) if p.get("bestpath")]
        return best[0]["aspath"]["string"] if best else ""

    def last_words(self):
        return self.ask(f"show bgp neighbors {self.neighbors[0].address} json")

    def routes(self, family=4):
        routes = self.ask_json(f"show bgp ipv{family} unicast").get("routes", {})
        best = {p: [r for r in paths if r.get("bestpath")] for p, paths in routes.items()}
        return {p: {h["ip"] for r in paths for h in r["nexthops"]} for p, paths in best.items() if paths}

    def next_hops_of(self, prefix):
        """As BIRD's."""
        best = [p for p in self.ask_json(f"show bgp ipv6 unicast {prefix}").get("paths", []) if p.get("bestpath")]
        by_scope = {hop["scope"]: hop["ip"] for path in best for hop in path["nexthops"]}
        return [by_scope[scope] for scope in ("global", "link-local") if scope in by_scope]

    def stop(self):
        super().stop()
        if self.zebra:
            self.zebra.stop()
            self.zebra = None


class Gobgp(Peer):
    def configuration(self):
        def session(n):
            return {
                "config": {"neighbor-address": n.address, "peer-as": n.asn, "auth-password": n.password},
                "transport": {"config": {"passive-mode": n.passive, "local-address": n.local}},
                "ttl-security": {"config": {"enabled": n.ttl_security, "ttl-min": 255}},
                "as-path-options": {"config": {"replace-peer-as": n.as_override}},
                "ebgp-multihop": {"config": {"enabled": n.multihop, "multihop-ttl": 64 if n.multihop else 0}},
                "timers": {"config": {"connect-retry": 1, "hold-time": n.hold_time, "idle-hold-time-after-reset": 1}},
                "afi-safis": [
                    {
                        "config": {"afi-safi-name": f"ipv{family}-unicast"},
                        "mp-graceful-restart": {
                            "config": {"enabled": bool(n.restart_time) and family in n.restart_families}
                        },
                        "add-paths": {"config": {"receive": n.add_path, "send-max": 8 if n.add_path else 0}},
                    }
                    for family in n.families
                ],
                "graceful-restart": {
                    "config": {
                        "enabled": bool(n.restart_time),
                        "restart-time": n.restart_time,
                        "notification-enabled": bool(n.restart_time),
                    }
                },
                "route-reflector": {
                    "config": {
                        "route-reflector-client": n.reflector_client,
                        "route-reflector-cluster-id": self.cluster or self.router_id,
                    }
                },
            }

        document = {
            "global": {"config": {"as": self.asn, "router-id": self.router_id}},
            "neighbors": [session(n) for n in self.neighbors],
        }
        return json.dumps(document, indent=1)

    def start(self, returning=False):
        configuration = self.write("gobgpd.json", self.configuration())
        words = ["gobgpd", "-t", "json", "-f", configuration, "--api-hosts", "127.0.0.1:50051", "--pprof-disable"]
        self.launch(*words, *(["-r"] if returning else []))
        self.process.wait_for(lambda: self.ask("global"), 10, f"{self}: its API")
        for network in self.networks:
            self.apply_network(network)
        return self

    def ask(self, *words):
        return self.namespace.sh("gobgp", *words, check=False)

    def apply_network(self, network):
        family = family_of(network)
        hop = ["nexthop", self.next_hops[family]] if family in self.next_hops else []
        words = ["add", network, "origin", "igp", *hop] if network in self.networks else ["del", network]
        self.namespace.sh("gobgp", "global", "rib", *words, "-a", f"ipv{family}")

    def restart_sessions(self):
        for n in self.neighbors:
            self.reset(n.address)

    def reset(self, address):
        self.namespace.sh("gobgp", "neighbor", address, "reset")

    def heard_refreshes(self):
        return self.received("refresh")

    def heard_updates(self):
        return self.received("update")

    def received(self, kind):
        return int(self.ask_json("neighbor")[0]["state"]["messages"]["received"].get(kind, 0))

    def ask_json(self, *words):
        text = self.ask(*words, "-j")
        return json.loads(text) if text.lstrip()[:1] in ("{", "[") else {}

    def established(self, address):
        sessions = self.ask_json("neighbor")
        return any(s["state"].get("session_state") == 6 for s in sessions if s["state"]["neighbor_address"] == address)

    def as_path(self, prefix):
        paths = self.ask_json("global", "rib", prefix).get(prefix, [])
        segments = (s for path in paths[:1] for a in path["attrs"] for s in a.get("as_paths", []))
        return " ".join(str(asn) for segment in segments for asn in segment["asns"])

    def last_words(self):
        return self.process.output()

    def routes(self, family=4):
        table = self.ask_json("global", "rib", "-a", f"ipv{family}")
        return {prefix: {self.next_hop(paths[0])} for prefix, paths in table.items()}

    @staticmethod
    def next_hop(path):
        hops = (a.get("nexthop") for a in path["attrs"] if a.get("nexthop"))
        return next(hops, None)
