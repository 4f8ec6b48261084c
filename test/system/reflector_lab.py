"""vrouterd without a data plane on one side of a link, BIRDs of many addresses on the other.

SPDX-License-Identifier: Apache-2.0
"""

from peers import Bird

AS = 64512
REFLECTOR = "10.99.0.1"
CLIENTS = [f"10.99.1.{number}" for number in range(1, 25)]
LISTENER = "10.99.2.99"  # a client that only listens
STRANGER = "10.98.0.98"


def block(address):
    """What the client at this address announces."""
    return f"10.77.{address.split('.')[-1]}.0/24"


class Lab:
    """The reflector's namespace and that of the others, on one link."""

    def __init__(self, network, directory, make_router, make_peer):
        self.here, self.there = network.namespace("reflector"), network.namespace("clients")
        network.link(self.here, "up0", self.there, "down0")
        self.here.add_address("up0", f"{REFLECTOR}/8")
        self.there.add_address("down0", *[f"{address}/8" for address in (*CLIENTS, LISTENER, STRANGER)])
        self.directory, self.make_peer = directory, make_peer
        self.router = make_router(self.here, "reflector", dataplane="none")
        for key in ("eal", "workers", "ports", "workloads"):
            self.router.config.pop(key)

    def configure(self, **bgp):
        self.router.config["bgp"] = {"as": AS, "router_id": REFLECTOR, **bgp}

    def clients(self, sessions):
        """A BIRD for each session: (its address, its options), as if each were on a host of its own."""
        return [self.make_peer(Client, self.there, address, options) for address, options in sessions]

    def start_clients(self, sessions):
        return [client.start() for client in self.clients(sessions)]

    def told(self, address):
        return {row["prefix"] for row in self.router.ask("bgp", "routes", "--advertised", address)}

    def rows(self):
        return {row["address"]: row for row in self.router.ask("bgp", "summary")}

    def wait_sessions(self, count, seconds=30):
        def up():
            return sum(row["state"] == "established" for row in self.rows().values()) == count

        self.router.wait(up, seconds, f"{count} sessions are established")

    def wait_row(self, address, wanted, what, seconds=20):
        self.router.wait(lambda: address in self.rows() and wanted(self.rows()[address]), seconds, what)


class Client(Bird):
    """BIRD on one of the addresses, beside others; what it announces is its block.

    Options: `as`, its AS; `reflector`, what it takes for the router's; `text`, more of the session;
    `change`, what its export filter does to a route; `channel`, more of what is said of IPv4.
    """

    def __init__(self, namespace, directory, address, options):
        own = directory / address
        own.mkdir()
        super().__init__(namespace, own, options.get("as", AS), address, [], [block(address)])
        self.address, self.options = address, options

    def configuration(self):
        options = self.options
        routes = " ".join(f"route {network} blackhole;" for network in self.networks)
        change = options.get("change", "")
        return f"""router id {self.address};
            protocol device {{ }}
            protocol static own {{ ipv4; {routes} }}
            protocol bgp reflector {{
              local {self.address} as {self.asn}; neighbor {REFLECTOR} as {options.get("reflector", AS)}; strict bind;
              hold time 9; connect retry time 1; connect delay time 0; error wait time 1, 2; {options.get("text", "")}
              ipv4 {{ import all; export filter {{ if proto != "own" then reject; {change} accept; }}; next hop self;
                {options.get("channel", "")} }};
            }}
            """

    def shown(self):
        return self.ask("show", "protocols", "all", "reflector")
