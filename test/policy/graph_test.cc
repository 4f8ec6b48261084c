// The calculation graph: what is published follows from the present objects alone, is told in a safe
// order, and changes no more than it must.
// SPDX-License-Identifier: Apache-2.0
#include "policy/graph.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "test/policy/cluster.h"
#include "test/policy/cluster_writer.h"

namespace vr::policy::graph_test {
namespace {

std::string object(std::string_view kind, std::string_view metadata, std::string_view spec) {
    return fmt::format(
        "---\napiVersion: projectcalico.org/v3\nkind: {}\nmetadata: {{{}}}\nspec: {{{}}}\n",
        kind,
        metadata,
        spec);
}

std::string endpoint(std::string_view name, std::string_view labels, std::string_view more) {
    return object(
        "WorkloadEndpoint",
        fmt::format("name: {}, namespace: a, labels: {{{}}}", name, labels),
        fmt::format("interfaceName: tap{}, {}", name, more));
}

const std::string kLocal = endpoint("vm", "role: web", "node: h1, ipNetworks: [10.0.0.1]");
const std::string kTwin = endpoint("twin", "role: web", "node: h1, ipNetworks: [10.0.0.2]");
const std::string kRemote = endpoint(
    "db",
    "role: db",
    "node: h2, ipNetworks: [10.0.0.3, 'fd00::3'], ports: [{name: sql, protocol: TCP, port: 3306}]");
const std::string kToDb = object(
    "NetworkPolicy",
    "name: to-db, namespace: a",
    "selector: \"role == 'web'\", types: [Egress], egress: [{action: Allow, protocol: TCP, "
    "destination: {selector: \"role == 'db'\", ports: [sql]}}]");

const std::string kFloating = endpoint(
    "vm",
    "role: web",
    "orchestrator: k8s, node: h1, ipNetworks: [10.0.0.1], ipNATs: [{internalIP: 10.0.0.1, "
    "externalIP: 203.0.113.9}]");

const std::string kSpoofing = endpoint(
    "vm",
    "role: web",
    "node: h1, ipNetworks: [10.0.0.1], allowSpoofedSourcePrefixes: [192.0.2.0/28, 'fd00:2::/64']");

const std::string kMoving = endpoint(
    "vm",
    "role: web",
    "node: h1, orchestrator: openstack, workload: vm7, endpoint: p9, ipNetworks: [10.0.0.1]");

std::string migration(std::string_view name, std::string_view from, std::string_view to) {
    const auto end = [](std::string_view host) {
        return fmt::format(
            "{{workloadEndpoint: {{hostname: {}, orchestratorID: openstack, workloadID: a/vm7, "
            "endpointID: p9}}}}",
            host);
    };
    return object(
        "LiveMigration",
        fmt::format("name: {}, namespace: a", name),
        fmt::format("source: {}, target: {}", end(from), end(to)));
}

std::string felix(std::string_view name, std::string_view spec) {
    return object("FelixConfiguration", fmt::format("name: {}", name), spec);
}

const std::string kPools =
    object("IPPool", "name: private", "cidr: 10.1.0.0/16, natOutgoing: true") +
    object("IPPool", "name: private6", "cidr: 'fd01::/64', natOutgoing: true") +
    object("IPPool", "name: public", "cidr: 198.51.100.0/24") +
    object("IPPool", "name: beyond", "cidr: 172.16.0.0/12, disabled: true");
const std::string kNodes =
    object("Node", "name: h1", "bgp: {ipv4Address: 192.0.2.1/24, ipv6Address: 'fd02::1/64'}") +
    object(
        "Node",
        "name: h2",
        "bgp: {ipv4Address: 192.0.2.2/24}, addresses: [{address: 192.0.2.2/24}, {address: "
        "192.0.2.20, type: InternalIP}, {address: h2.example}]");

const std::string kEth0 = object(
    "HostEndpoint",
    "name: eth0, labels: {role: host}",
    "node: h1, interfaceName: eth0, expectedIPs: [10.9.0.1, 'fd00:9::1']");

/// A host endpoint with a policy at each hook.
const std::string kHost =
    kEth0 +
    object(
        "GlobalNetworkPolicy",
        "name: host-in",
        "selector: \"role == 'host'\", ingress: [{action: Allow}]") +
    object(
        "GlobalNetworkPolicy",
        "name: through",
        "selector: \"role == 'host'\", applyOnForward: true, ingress: [{action: Deny}], egress: "
        "[{action: Pass}]") +
    object(
        "GlobalNetworkPolicy",
        "name: fast",
        "selector: has(role), applyOnForward: true, doNotTrack: true, ingress: [{action: Allow}], "
        "egress: [{action: Allow, source: {selector: \"role == 'host'\"}}]") +
    object(
        "GlobalNetworkPolicy",
        "name: early",
        "selector: all(), applyOnForward: true, preDNAT: true, types: [Ingress], ingress: "
        "[{action: Deny}]");

/// The named states that walks go through.
const std::map<std::string, std::string>& states() {
    static const std::map<std::string, std::string> kStates{
        {"empty", ""},
        {"one endpoint", kLocal},
        {"policy without endpoints", kToDb + kRemote},
        {"two endpoints, one list", kLocal + kTwin + kRemote + kToDb},
        {"another port number",
         kLocal + kToDb +
             endpoint(
                 "db",
                 "role: db",
                 "node: h2, ipNetworks: [10.0.0.3], ports: [{name: sql, protocol: TCP, port: "
                 "5432}]")},
        {"two numbers for one name",
         kLocal + kToDb + kRemote +
             endpoint(
                 "db2",
                 "role: db",
                 "node: h2, ipNetworks: [10.0.0.4], ports: [{name: sql, protocol: TCP, port: "
                 "5432}]")},
        {"label from a profile",
         kToDb + kRemote +
             endpoint("vm", "x: y", "node: h1, ipNetworks: [10.0.0.1], profiles: [p]") +
             object(
                 "Profile", "name: p", "labelsToApply: {role: web}, ingress: [{action: Allow}]")},
        {"profile unknown",
         kToDb + endpoint("vm", "x: y", "node: h1, ipNetworks: [10.0.0.1], profiles: [p]")},
        {"moved away", kToDb + endpoint("vm", "role: web", "node: h2, ipNetworks: [10.0.0.1]")},
        {"without address", kToDb + endpoint("vm", "role: web", "node: h1")},
        {"admin down",
         "---\napiVersion: projectcalico.org/v3\nkind: WorkloadEndpoint\nmetadata:\n  name: vm\n"
         "  namespace: a\n  annotations: {vrouter.io/admin-state: down}\n"
         "spec: {node: h1, interfaceName: tapvm, ipNetworks: [10.0.0.1]}\n"},
        {"tiers",
         kLocal + kToDb + object("Tier", "name: sec", "order: 1, defaultAction: Pass") +
             object(
                 "GlobalNetworkPolicy",
                 "name: block",
                 "tier: sec, ingress: [{action: Deny, source: {selector: \"bad == 'yes'\"}}]") +
             object("GlobalNetworkSet", "name: bad, labels: {bad: 'yes'}", "nets: [192.0.2.0/24]")},
        {"tier known by name only",
         kLocal +
             object(
                 "GlobalNetworkPolicy",
                 "name: block",
                 "tier: sec, ingress: [{action: Deny, source: {selector: has(bad)}}]") +
             object(
                 "NetworkSet",
                 "name: bad, namespace: a, labels: {bad: 'yes'}",
                 "nets: [192.0.2.7]")},
        {"host endpoint", kHost},
        {"host endpoint without policy", kEth0},
        {"host endpoint, staged at each hook",
         kHost + kLocal +
             object(
                 "StagedGlobalNetworkPolicy",
                 "name: host-in",
                 "selector: \"role == 'host'\", applyOnForward: true, ingress: [{action: Deny, "
                 "source: {selector: \"role == 'web'\"}}], egress: [{action: Allow}]") +
             object("StagedGlobalNetworkPolicy", "name: fast", "stagedAction: Delete") +
             object("StagedGlobalNetworkPolicy", "name: early", "stagedAction: Delete")},
        {"host endpoint of another node",
         object(
             "HostEndpoint",
             "name: eth0, labels: {role: host}",
             "node: h2, interfaceName: eth0, expectedIPs: [10.9.0.1]") +
             kLocal},
        {"host endpoint, own failsafe ports",
         kHost + kLocal +
             object(
                 "FelixConfiguration",
                 "name: default",
                 "defaultEndpointToHostAction: Accept, failsafeInboundHostPorts: []") +
             object(
                 "FelixConfiguration",
                 "name: node.h1",
                 "failsafeInboundHostPorts: [{protocol: tcp, port: 2222}]")},
        {"pools without translation",
         kNodes + object("IPPool", "name: private", "cidr: 10.1.0.0/16")},
        {"pools with translation", kLocal + kNodes + kPools},
        {"pools with translation but to hosts",
         kNodes + kPools + felix("default", "natOutgoingExclusions: IPPoolsAndHostIPs")},
        {"pools with translation, from a place",
         kPools + felix("default", "natOutgoingAddress: 192.0.2.9") +
             felix("node.h1", "natPortRange: '20000:29999'")},
        {"log lines", felix("default", "logPrefix: x, logActionRateLimit: 5/second")},
        {"log lines of a node", felix("node.h1", "logPrefix: y")},
        {"floating address that is not allowed", kFloating},
        {"floating address", kFloating + felix("node.h1", "floatingIPs: Enabled")},
        {"spoofing that is not allowed", kSpoofing + kToDb + kRemote},
        {"spoofing", kSpoofing + kToDb + kRemote + felix("default", "workloadSourceSpoofing: Any")},
        {"spoofing that one node does not allow",
         kSpoofing + kTwin + kToDb + felix("default", "workloadSourceSpoofing: Any") +
             felix("node.h1", "workloadSourceSpoofing: Disabled")},
        {"a rule that names hosts",
         kEth0 + kLocal +
             object(
                 "GlobalNetworkPolicy",
                 "name: from-hosts",
                 "ingress: [{action: Allow, source: {selector: \"role == 'host'\"}}]")},
        {"staged in its place",
         kLocal + kRemote + kToDb +
             object(
                 "StagedNetworkPolicy",
                 "name: to-db, namespace: a",
                 "selector: \"role == 'none'\", types: [Egress], egress: [{action: Deny}]")},
        {"staged away",
         kLocal + kTwin + kRemote + kToDb +
             object("StagedNetworkPolicy", "name: to-db, namespace: a", "stagedAction: Delete")},
        {"service",
         kLocal +
             object(
                 "NetworkPolicy",
                 "name: to-db, namespace: a",
                 "types: [Egress], egress: [{action: Allow, destination: {services: {name: "
                 "db}}}]") +
             "---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: db-1, "
             "namespace: a, labels: {kubernetes.io/service-name: db}}\nendpoints: [{addresses: "
             "[10.0.0.3]}]\nports: [{port: 3306}]\n"},
        {"an endpoint moves here", kMoving + migration("m", "h2", "h1")},
        {"an endpoint moves away", kMoving + migration("m", "h1", "h2")},
        {"an endpoint moves on", kMoving + migration("m", "h2", "h1") + migration("n", "h1", "h3")},
        {"an endpoint of that name moves elsewhere", kMoving + migration("m", "h2", "h3")},
        {"moves without the endpoint", kLocal + migration("m", "h2", "h1")},
        {"one address, two owners",
         kLocal + kToDb + kRemote +
             endpoint("db3", "role: db", "node: h2, ipNetworks: [10.0.0.3]")},
    };
    return kStates;
}

/// Everything that the machine has, with the members of a group in place of its number.
std::string summary(const RememberingSink& sink) {
    const auto group = [&](const std::optional<GroupId>& id) {
        if (!id) {
            return std::string("-");
        }
        std::string text = "{";
        if (const auto found = sink.members.find(*id); found != sink.members.end()) {
            for (const auto& member : found->second) {
                text += to_string(member) + " ";
            }
        }
        return text + "}";
    };
    const auto side = [&](const acl::SideMatch& s) {
        std::string text = group(s.group) + " !" + group(s.not_group);
        for (const auto& range : s.ports) {
            text += fmt::format(" {}-{}", range.first.value(), range.last.value());
        }
        return text;
    };
    std::string text = fmt::format("to host {}\n", static_cast<int>(sink.rules.to_host));
    text += fmt::format("log {} {}\n", sink.log_terms.prefix, sink.log_terms.rate.value_or(0));
    if (const auto& nat = sink.rules.nat_outgoing) {
        text += fmt::format(
            "nat {} {} {} {} {} {}\n",
            nat->first_port.value(),
            nat->last_port.value(),
            nat->spares_hosts,
            nat->address ? to_string(*nat->address) : "-",
            nat->node4 ? to_string(*nat->node4) : "-",
            nat->node6 ? to_string(*nat->node6) : "-");
    }
    const auto add = [&](const acl::Program& program) {
        for (const auto& rule : program.rules) {
            const auto& origin = program.origins[rule.origin];
            text += fmt::format(
                "  {} {} [{}] [{}] -> {} {} {}\n",
                rule.match.ip4,
                rule.match.ip6,
                side(rule.match.source),
                side(rule.match.destination),
                static_cast<int>(rule.action),
                origin.policy,
                origin.rule);
        }
    };
    for (const auto& [name, workload] : sink.workloads) {
        text += fmt::format(
            "{} {} active={} migration={} floating={} spoofable={}\n",
            name,
            workload.interface_name,
            workload.active,
            static_cast<int>(workload.migration),
            workload.floating.size(),
            workload.spoofable4.size() + workload.spoofable6.size());
        add(*workload.ingress);
        add(*workload.egress);
        for (const auto& staged : {workload.staged_ingress, workload.staged_egress}) {
            text += staged ? " staged\n" : " nothing staged\n";
            if (staged) {
                add(*staged);
            }
        }
    }
    for (const auto& [name, guard] : sink.hosts) {
        text += fmt::format("host {} {}\n", name, guard.interface_name);
        for (const HostHook hook : kAllHostHooks) {
            text += fmt::format(" {} {}\n", vr::name(hook), is_ingress(hook));
            if (guard.program(hook)) {
                add(*guard.program(hook));
            }
            if (const auto& staged = guard.staged[static_cast<std::size_t>(hook)]) {
                text += " staged\n";
                add(*staged);
            }
        }
    }
    for (const GroupId id : {kNatPools, kAllPools, kClusterHosts}) {
        text += group(id) + "\n";
    }
    // Every other group with members is named by a program in use.
    for (const auto& [id, members] : sink.members) {
        text += members.empty() ? "" : fmt::format("group of {}\n", members.size());
    }
    return text;
}

/// What a graph says that knows nothing but `state`.
std::string fresh(const std::string& state) {
    const Cluster cluster(states().at(state));
    return summary(cluster.sink);
}

/// Groups are listed in the order of their ids, which is history.
std::string sorted_lines(const std::string& text) {
    std::vector<std::string> lines;
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t end = text.find('\n', at);
        lines.push_back(text.substr(at, end - at));
        at = end + 1;
    }
    const auto groups = std::ranges::partition(
        lines, [](const auto& line) { return !line.starts_with("group of"); });
    std::ranges::sort(groups);
    return fmt::format("{}", fmt::join(lines, "\n"));
}

/// Is over as soon as it has begun.
const Slice kOneStep{std::chrono::microseconds{0}};

/// Leads a graph from state to state.
class Walker {
  public:
    explicit Walker(unsigned seed) : random_(seed) { cluster_.graph.take(InSync{}); }

    enum class Step { Flush, Hold, FlushEachEvent, Slices };

    void go(const std::string& state, Step step) {
        std::map<Key, ResourcePtr> wanted;
        for (const auto& resource : objects(states().at(state))) {
            wanted[resource->key] = resource;
        }
        Events events;
        for (const auto& [key, resource] : present_) {
            if (!wanted.contains(key)) {
                events.emplace_back(Delete{key});
            }
        }
        for (const auto& [key, resource] : wanted) {
            events.emplace_back(Upsert{resource});
        }
        // Twice, in any order, with deletes of what was never there.
        const auto again = events;
        events.insert(events.end(), again.begin(), again.end());
        events.emplace_back(Delete{{Kind::NetworkPolicy, "a", "never"}});
        events.emplace_back(Delete{{Kind::WorkloadEndpoint, "a", "never"}});
        std::ranges::shuffle(events, random_);
        for (const auto& event : events) {
            cluster_.graph.take(event);
            if (step == Step::FlushEachEvent) {
                cluster_.graph.flush();
            }
            if (step == Step::Slices && random_() % 2 == 0) {
                (void)cluster_.graph.settle(kOneStep);
            }
        }
        if (step == Step::Flush) {
            cluster_.graph.flush();
        }
        while (step == Step::Slices && !cluster_.graph.flush(kOneStep)) {
        }
        present_ = std::move(wanted);
    }

    void check(const std::string& state) {
        cluster_.graph.flush();
        EXPECT_EQ(sorted_lines(summary(cluster_.sink)), sorted_lines(fresh(state))) << state;
    }

    Cluster& cluster() { return cluster_; }

  private:
    std::mt19937 random_;
    Cluster cluster_;
    std::map<Key, ResourcePtr> present_;
};

std::vector<std::string> names() {
    std::vector<std::string> all;
    for (const auto& [name, objects] : states()) {
        all.push_back(name);
    }
    return all;
}

TEST(PathIndependence, EveryStateAfterEveryOther) {
    for (const auto& from : names()) {
        for (const auto& to : names()) {
            Walker walker(1);
            walker.go(from, Walker::Step::Flush);
            walker.go(to, Walker::Step::Flush);
            walker.check(to);
        }
    }
}

TEST(PathIndependence, AnyWalkFlushedAtEachStep) {
    for (unsigned seed = 1; seed <= 30; ++seed) {
        auto order = names();
        std::ranges::shuffle(order, std::mt19937(seed));
        Walker walker(seed);
        for (const auto& state : order) {
            walker.go(state, Walker::Step::Flush);
            walker.check(state);
        }
    }
}

TEST(PathIndependence, AnyWalkFlushedAtTheEnd) {
    for (unsigned seed = 1; seed <= 30; ++seed) {
        auto order = names();
        std::ranges::shuffle(order, std::mt19937(seed));
        Walker walker(seed);
        for (const auto& state : order) {
            walker.go(state, Walker::Step::Hold);
        }
        walker.check(order.back());
    }
}

TEST(PathIndependence, AnyWalkFlushedAtEachEvent) {
    for (unsigned seed = 1; seed <= 10; ++seed) {
        auto order = names();
        std::ranges::shuffle(order, std::mt19937(seed));
        Walker walker(seed);
        for (const auto& state : order) {
            walker.go(state, Walker::Step::FlushEachEvent);
            walker.check(state);
        }
    }
}

TEST(PathIndependence, AnyWalkInSlices) {
    for (unsigned seed = 1; seed <= 30; ++seed) {
        auto order = names();
        std::ranges::shuffle(order, std::mt19937(seed));
        Walker walker(seed);
        for (const auto& state : order) {
            walker.go(state, Walker::Step::Slices);
            walker.check(state);
        }
    }
}

TEST(PathIndependence, ThereAndBackAgain) {
    auto order = names();
    Walker walker(1);
    for (const auto& state : order) {
        walker.go(state, Walker::Step::Flush);
    }
    std::ranges::reverse(order);
    for (const auto& state : order) {
        walker.go(state, Walker::Step::Flush);
        walker.check(state);
    }
}

TEST(PathIndependence, ARandomClusterInAnyOrder) {
    // Random states have what nobody thought of naming.
    std::map<std::string, std::string> ends;
    for (unsigned seed = 1; seed <= 6; ++seed) {
        const auto all = objects(ClusterWriter(seed).cluster());
        for (unsigned order = 0; order < 4; ++order) {
            auto shuffled = all;
            std::ranges::shuffle(shuffled, std::mt19937(order));
            Cluster cluster;
            cluster.graph.take(InSync{});
            for (std::size_t i = 0; i < shuffled.size(); ++i) {
                cluster.graph.take(Upsert{shuffled[i]});
                if (order % 2 == 1) {
                    cluster.graph.flush();
                }
            }
            cluster.graph.flush();
            const std::string end = sorted_lines(summary(cluster.sink));
            EXPECT_EQ(ends.try_emplace(std::to_string(seed), end).first->second, end)
                << "seed " << seed << " order " << order;
        }
    }
}

TEST(PathIndependence, NothingIsLeftInTheEnd) {
    Walker walker(1);
    for (const auto& state : names()) {
        walker.go(state, Walker::Step::Flush);
    }
    walker.go("empty", Walker::Step::Flush);
    EXPECT_TRUE(walker.cluster().sink.workloads.empty());
    EXPECT_TRUE(walker.cluster().sink.hosts.empty());
    for (const auto& [group, members] : walker.cluster().sink.members) {
        EXPECT_TRUE(members.empty());
    }
    EXPECT_EQ(walker.cluster().graph.programs(), 0U);
}

TEST(Graph, TellsNothingBeforeInSync) {
    Cluster cluster;
    for (const auto& resource : objects(kLocal + kToDb + kRemote)) {
        cluster.graph.take(Upsert{resource});
    }
    cluster.graph.flush();
    EXPECT_EQ(cluster.sink.calls, 0);
    cluster.graph.on({1, {InSync{}}});
    EXPECT_EQ(cluster.sink.workloads.size(), 1U);
}

TEST(Graph, EndpointsWithOneListShareOneProgram) {
    const Cluster cluster(states().at("two endpoints, one list"));
    EXPECT_EQ(cluster.sink.workloads.at("a/vm").egress, cluster.sink.workloads.at("a/twin").egress);
}

TEST(Graph, AMembershipChangeTellsNoEndpoint) {
    Cluster cluster(kLocal + kRemote + kToDb);
    cluster.sink.updated.clear();
    cluster.set(endpoint(
        "db2",
        "role: db",
        "node: h2, ipNetworks: [10.0.0.4], ports: [{name: sql, protocol: TCP, port: 3306}]"));
    EXPECT_TRUE(cluster.sink.updated.empty());
    EXPECT_TRUE(cluster
                    .compiled<V4>(
                        endpoint_key("a", "vm"),
                        Direction::Egress,
                        packet<V4>("10.0.0.1", "10.0.0.4", 6, 1000, 3306))
                    .allow);
}

TEST(Graph, AnUnchangedObjectTellsNothing) {
    Cluster cluster(kLocal + kRemote + kToDb);
    const int calls = cluster.sink.calls;
    cluster.set(kLocal + kRemote + kToDb);
    EXPECT_EQ(cluster.sink.calls, calls);
}

TEST(Graph, APolicyChangeTellsOnlyTheEndpointsThatItGoverns) {
    Cluster cluster(kLocal + endpoint("other", "", "node: h1, ipNetworks: [10.0.0.9]") + kToDb);
    cluster.sink.updated.clear();
    cluster.set(object(
        "NetworkPolicy",
        "name: to-db, namespace: a",
        "selector: \"role == 'web'\", types: [Egress], egress: [{action: Deny}]"));
    EXPECT_EQ(cluster.sink.replaced_of, std::vector<std::string>{"a/vm"});
    EXPECT_TRUE(cluster.sink.updated.empty());
}

TEST(Graph, EndpointsWithOneListStillShareOneProgramWhenItsRulesChange) {
    Cluster cluster(states().at("two endpoints, one list"));
    const auto before = cluster.sink.workloads.at("a/vm").egress;
    cluster.set(object(
        "NetworkPolicy",
        "name: to-db, namespace: a",
        "selector: \"role == 'web'\", types: [Egress], egress: [{action: Deny}]"));
    EXPECT_NE(cluster.sink.workloads.at("a/vm").egress, before);
    EXPECT_EQ(cluster.sink.workloads.at("a/vm").egress, cluster.sink.workloads.at("a/twin").egress);
    EXPECT_EQ(
        cluster.graph.published().at("a/vm").egress, cluster.sink.workloads.at("a/vm").egress);
}

/// One policy of all endpoints and the host, after another that comes first or second.
std::string edited(std::string_view spec, std::string_view kind = "GlobalNetworkPolicy") {
    return kLocal + kTwin + kEth0 +
           endpoint("bare", "", "node: h1, ipNetworks: [10.0.0.9], serviceAccountName: sa") +
           object("Tier", "name: t", "order: 1") +
           object("Profile", "name: ksa.a.sa", "labelsToApply: {pcsa.x: y}") +
           object("GlobalNetworkPolicy", "name: m", "order: 5, egress: [{action: Deny}]") +
           object(kind, "name: edited", spec);
}

/// A policy's edit is followed whatever it is of; that of its rules alone needs no new lists.
TEST(Graph, EveryFieldOfAPolicyMayBeEdited) {
    const std::vector<std::string> edits{
        "egress: [{action: Allow}]",
        "egress: [{action: Deny, protocol: TCP}]",
        "egress: [{action: Allow}], order: 4",
        "egress: [{action: Allow}], order: 6",
        "egress: [{action: Allow}], tier: t",
        "egress: [{action: Allow}], selector: has(role)",
        "egress: [{action: Allow}], namespaceSelector: all()",
        "egress: [{action: Allow}], serviceAccountSelector: x == 'y'",
        "egress: [{action: Allow}], types: [Ingress, Egress]",
        "egress: [{action: Allow}], types: [Ingress]",
        "egress: [{action: Allow}], applyOnForward: true",
        "egress: [{action: Allow}], applyOnForward: true, doNotTrack: true"};
    for (const auto& before : edits) {
        Cluster cluster(edited(before));
        for (const auto& after : edits) {
            cluster.set(edited(after));
            EXPECT_EQ(
                sorted_lines(summary(cluster.sink)),
                sorted_lines(summary(Cluster(edited(after)).sink)))
                << before << " to " << after;
            cluster.set(edited(before));
        }
    }
}

TEST(Graph, EveryActionOfAStagedPolicyMayBeEdited) {
    const std::string staged = "StagedGlobalNetworkPolicy";
    const std::vector<std::string> edits{
        "egress: [{action: Allow}]",
        "egress: [{action: Allow}], stagedAction: Delete",
        "egress: [{action: Allow}], stagedAction: Ignore",
        "egress: [{action: Deny}], stagedAction: Set"};
    Cluster cluster(edited(edits.back(), staged));
    for (const auto& edit : edits) {
        cluster.set(edited(edit, staged));
        EXPECT_EQ(
            sorted_lines(summary(cluster.sink)),
            sorted_lines(summary(Cluster(edited(edit, staged)).sink)))
            << edit;
    }
}

TEST(Graph, TellsWhichKindsChanged) {
    Cluster cluster;
    std::set<Kind> changed;
    cluster.graph.set_kinds_changed([&](const std::set<Kind>& kinds) { changed = kinds; });
    cluster.set(object("BGPPeer", "name: fabric", "peerIP: 192.0.2.1, asNumber: 64512"));
    EXPECT_EQ(changed, std::set<Kind>{Kind::BGPPeer});
    EXPECT_EQ(cluster.graph.resources(Kind::BGPPeer).size(), 1U);
}

struct RoleRow {
    std::string state;
    MigrationRole role;
};

TEST(Graph, LiveMigrationsGiveEndpointsARole) {
    for (const auto& [state, role] : std::vector<RoleRow>{
             {"an endpoint moves here", MigrationRole::Target},
             {"an endpoint moves away", MigrationRole::Source},
             {"an endpoint moves on", MigrationRole::Target},
             {"an endpoint of that name moves elsewhere", MigrationRole::None},
             {"moves without the endpoint", MigrationRole::None}}) {
        const Cluster cluster(states().at(state));
        EXPECT_EQ(cluster.sink.workloads.at("a/vm").migration, role) << state;
    }
}

TEST(Graph, APodIsCalledTheSameOnAllHosts) {
    const auto end = [](std::string_view host, std::string_view pod) {
        return fmt::format(
            "{{workloadEndpoint: {{{}orchestratorID: k8s, workloadID: a/{}, endpointID: eth0}}}}",
            host,
            pod);
    };
    const Cluster cluster(
        endpoint(
            "vm",
            "x: y",
            "node: h1, orchestrator: k8s, pod: virt-2, endpoint: eth0, ipNetworks: [10.0.0.1]") +
        object(
            "LiveMigration",
            "name: m, namespace: a",
            fmt::format(
                "source: {}, target: {}",
                end("hostname: h9, ", "virt-1"),
                end("hostname: h9, ", "virt-2"))));
    EXPECT_EQ(cluster.sink.workloads.at("a/vm").migration, MigrationRole::Target);
}

TEST(Graph, AnnotationsSayHowPacketsReachAnEndpoint) {
    const Cluster cluster(
        "apiVersion: projectcalico.org/v3\nkind: WorkloadEndpoint\nmetadata:\n  name: vm\n"
        "  namespace: a\n  annotations:\n    vrouter.io/vhost-socket: /run/vm.sock\n"
        "    vrouter.io/vhost-mode: client\n    vrouter.io/route-priority: '512'\n"
        "spec: {orchestrator: openstack, node: h1, interfaceName: tapvm, mac: '02:00:00:00:00:09', "
        "ipNetworks: [10.0.0.1, 'fd00::1'], ipNATs: [{internalIP: 10.0.0.1, externalIP: "
        "203.0.113.9}]}\n");
    const auto& workload = cluster.sink.workloads.at("a/vm");
    EXPECT_EQ(workload.attachment, (Attachment{"", "/run/vm.sock", VhostMode::Client}));
    EXPECT_EQ(workload.route_priority, 512U);
    EXPECT_EQ(workload.mac, Mac::parse("02:00:00:00:00:09"));
    EXPECT_EQ(workload.addresses4.size(), 1U);
    EXPECT_EQ(workload.addresses6.size(), 1U);
    EXPECT_EQ(
        workload.floating,
        (std::vector<FloatingAddress>{{*parse_ip("203.0.113.9"), *parse_ip("10.0.0.1")}}));
}

/// Whoever may annotate a pod draws no addresses to it.
TEST(Graph, FloatingAddressesOfPodsNeedFelixConfiguration) {
    Cluster cluster(kFloating);
    const auto floating = [&] { return cluster.sink.workloads.at("a/vm").floating.size(); };
    EXPECT_EQ(floating(), 0U);
    cluster.set(felix("default", "floatingIPs: Enabled"));
    EXPECT_EQ(floating(), 1U);
    cluster.set(felix("node.h1", "floatingIPs: Disabled"));
    EXPECT_EQ(floating(), 0U);
    cluster.set(felix("node.h1", ""));
    EXPECT_EQ(floating(), 1U);
    cluster.set(felix("default", "defaultEndpointToHostAction: Drop"));
    EXPECT_EQ(floating(), 0U);
}

/// What the machine has of a group, in words.
std::string members(const Cluster& cluster, GroupId group) {
    const auto found = cluster.sink.members.find(group);
    std::string text;
    if (found != cluster.sink.members.end()) {
        for (const auto& member : found->second) {
            text += to_string(member) + " ";
        }
    }
    return text;
}

TEST(Graph, WherePoolsAndHostsAreIsToldWhileAPoolHasNatOutgoing) {
    Cluster cluster(kNodes + kPools);
    ASSERT_TRUE(cluster.sink.rules.nat_outgoing);
    EXPECT_EQ(cluster.sink.rules.nat_outgoing->node4, Ip4::parse("192.0.2.1"));
    EXPECT_EQ(members(cluster, kNatPools), "10.1.0.0/16 fd01::/64 ");
    EXPECT_EQ(members(cluster, kAllPools), "10.1.0.0/16 172.16.0.0/12 198.51.100.0/24 fd01::/64 ");
    EXPECT_EQ(members(cluster, kClusterHosts), "") << "nobody asks";
    cluster.set(felix("default", "natOutgoingExclusions: IPPoolsAndHostIPs"));
    EXPECT_EQ(
        members(cluster, kClusterHosts), "192.0.2.1/32 192.0.2.2/32 192.0.2.20/32 fd02::1/128 ");
    cluster.remove({Kind::IPPool, {}, "private"});
    EXPECT_EQ(members(cluster, kNatPools), "fd01::/64 ");
    cluster.remove({Kind::IPPool, {}, "private6"});
    EXPECT_FALSE(cluster.sink.rules.nat_outgoing);
    for (const GroupId group : {kNatPools, kAllPools, kClusterHosts}) {
        EXPECT_EQ(members(cluster, group), "");
    }
}

TEST(Graph, APoolWhoseNatOutgoingCannotBeReadHasIt) {
    const Cluster cluster(
        object("IPPool", "name: broken", "cidr: 10.1.0.0/16, natOutgoing: perhaps"));
    EXPECT_EQ(members(cluster, kNatPools), "10.1.0.0/16 ");
}

TEST(Graph, APoolThatCannotBeReadIsOneAsFarAsItCan) {
    const Cluster cluster(
        object("IPPool", "name: broken", "cidr: 10.1.0.0/16, natOutgoing: true, blockSize: many"));
    EXPECT_TRUE(cluster.sink.rules.nat_outgoing);
    EXPECT_EQ(members(cluster, kAllPools), "10.1.0.0/16 ");
}

/// POLICY 2.7: such an endpoint is valid only where FelixConfiguration says so.
TEST(Graph, EndpointsThatMaySpoofNeedFelixConfiguration) {
    Cluster cluster(kSpoofing);
    const auto is_there = [&] { return cluster.sink.workloads.contains("a/vm"); };
    EXPECT_FALSE(is_there());
    EXPECT_NE(cluster.graph.refusal({Kind::WorkloadEndpoint, "a", "vm"}), "");
    cluster.set(felix("default", "workloadSourceSpoofing: Any"));
    ASSERT_TRUE(is_there());
    EXPECT_EQ(cluster.sink.workloads.at("a/vm").spoofable4.size(), 1U);
    EXPECT_EQ(cluster.sink.workloads.at("a/vm").spoofable6.size(), 1U);
    EXPECT_EQ(cluster.graph.refusal({Kind::WorkloadEndpoint, "a", "vm"}), "");
    cluster.set(felix("node.h1", "workloadSourceSpoofing: disabled"));
    EXPECT_FALSE(is_there());
    cluster.remove({Kind::FelixConfiguration, {}, "node.h1"});
    EXPECT_TRUE(is_there());
}

/// What a profile would have bestowed may decide which policies guard an endpoint.
TEST(Graph, WhoNamesAProfileWhoseLabelsCannotBeReadIsClosedUntilTheyCan) {
    const auto profile = [](std::string_view spec) {
        return object("Profile", "name: broken", fmt::format("labelsToApply: {{{}}}", spec));
    };
    const std::string members =
        endpoint("vm", "role: web", "node: h1, ipNetworks: [10.0.0.1], profiles: [broken]") +
        object("HostEndpoint", "name: up", "node: h1, interfaceName: eth0, profiles: [broken]") +
        endpoint("peer", "", "node: h1, ipNetworks: [10.0.0.2]") +
        object("GlobalNetworkPolicy", "name: web", "ingress: [{action: Allow}]") +
        object(
            "GlobalNetworkPolicy",
            "name: not-from-web",
            "order: 1, ingress: [{action: Deny, source: {selector: \"role == 'web'\"}}]");
    const auto peer_allows = [](const Cluster& cluster) {
        return cluster
            .compiled<V4>(
                endpoint_key("a", "peer"),
                Direction::Ingress,
                packet<V4>("10.0.0.1", "10.0.0.2", 6, 1000, 80))
            .allow;
    };
    const auto host_allows = [](const Cluster& cluster) {
        return cluster
            .compiled<V4>(
                host_key("up"),
                HostHook::NormalIngress,
                packet<V4>("10.0.0.2", "192.0.2.1", 6, 1000, 80))
            .allow;
    };
    Cluster cluster(members + profile("tier: [x]"));
    EXPECT_FALSE(cluster.sink.workloads.contains("a/vm"));
    EXPECT_NE(cluster.graph.refusal({Kind::WorkloadEndpoint, "a", "vm"}), "");
    EXPECT_FALSE(host_allows(cluster));
    EXPECT_FALSE(peer_allows(cluster)) << "by its own labels";
    const auto mended = parse_file("f.yaml", profile("c: d"));
    cluster.graph.on({0, {Upsert{mended->objects.at(0).resource}}});
    EXPECT_TRUE(cluster.sink.workloads.contains("a/vm"));
    EXPECT_EQ(cluster.graph.refusal({Kind::WorkloadEndpoint, "a", "vm"}), "");
    EXPECT_TRUE(host_allows(cluster));
    EXPECT_FALSE(peer_allows(cluster));
    cluster.set(profile("tier: [x]"));
    EXPECT_FALSE(cluster.sink.workloads.contains("a/vm"));
    EXPECT_FALSE(host_allows(cluster));
    cluster.remove({Kind::Profile, {}, "broken"});
    EXPECT_TRUE(cluster.sink.workloads.contains("a/vm")) << "it is not there, as in Calico";
    EXPECT_TRUE(host_allows(cluster));
}

/// Who is marked when leaving the cluster must know where that is.
TEST(Graph, WherePoolsAndHostsAreIsToldWhileALocalEndpointHasADscp) {
    const auto marked = [](std::string_view node, std::string_view more) {
        return endpoint("vm", "", fmt::format("node: {}, ipNetworks: [10.0.0.1]{}", node, more));
    };
    const std::string pools = kNodes + object("IPPool", "name: private", "cidr: 10.1.0.0/16");
    Cluster cluster(pools + marked("h2", ", qosControls: {dscp: EF}"));
    EXPECT_EQ(members(cluster, kAllPools), "");
    cluster.set(marked("h1", ", qosControls: {dscp: EF}"));
    EXPECT_EQ(cluster.sink.workloads.at("a/vm").qos.dscp, 46);
    EXPECT_EQ(members(cluster, kAllPools), "10.1.0.0/16 ");
    EXPECT_NE(members(cluster, kClusterHosts), "");
    EXPECT_EQ(members(cluster, kNatPools), "");
    cluster.set(marked("h1", ""));
    EXPECT_EQ(members(cluster, kAllPools), "");
    EXPECT_EQ(members(cluster, kClusterHosts), "");
}

TEST(Graph, SoItIsWhileALocalHostEndpointHasOne) {
    const auto marked = [](std::string_view node, std::string_view more) {
        return object(
            "HostEndpoint",
            fmt::format("name: uplink, annotations: {{{}}}", more),
            fmt::format("node: {}, interfaceName: eth0", node));
    };
    constexpr std::string_view kMark = "qos.projectcalico.org/dscp: AF21";
    const std::string pools = kNodes + object("IPPool", "name: private", "cidr: 10.1.0.0/16");
    Cluster cluster(pools + marked("h2", kMark));
    EXPECT_EQ(members(cluster, kAllPools), "");
    cluster.set(marked("h1", kMark));
    EXPECT_EQ(cluster.sink.hosts.at("uplink").dscp, 18);
    EXPECT_EQ(members(cluster, kAllPools), "10.1.0.0/16 ");
    EXPECT_NE(members(cluster, kClusterHosts), "");
    cluster.set(marked("h1", ""));
    EXPECT_EQ(cluster.sink.hosts.at("uplink").dscp, std::nullopt);
    EXPECT_EQ(members(cluster, kAllPools), "");
}

TEST(Graph, ChangedLimitsArePublished) {
    const auto limited = [](int rate) {
        return endpoint(
            "vm",
            "",
            fmt::format(
                "node: h1, ipNetworks: [10.0.0.1], qosControls: {{egressPacketRate: {}}}", rate));
    };
    Cluster cluster(limited(100));
    const auto& vm = [&]() -> const Workload& { return cluster.sink.workloads.at("a/vm"); };
    EXPECT_EQ(vm().qos.egress.packet_rate, 100U);
    cluster.set(limited(200));
    EXPECT_EQ(vm().qos.egress.packet_rate, 200U);
}

TEST(Graph, RoutePriorityThatIsNoneLeavesTheEndpointAsItIs) {
    for (const std::string text : {"0", "high", "2147483647", "''"}) {
        const Cluster cluster(
            "apiVersion: projectcalico.org/v3\nkind: WorkloadEndpoint\nmetadata:\n  name: vm\n"
            "  namespace: a\n  annotations:\n    vrouter.io/route-priority: " +
            text + "\nspec: {node: h1, interfaceName: tapvm, ipNetworks: [10.0.0.1]}\n");
        ASSERT_TRUE(cluster.sink.workloads.contains("a/vm")) << text;
        EXPECT_EQ(cluster.sink.workloads.at("a/vm").route_priority, std::nullopt) << text;
    }
}

}  // namespace
}  // namespace vr::policy::graph_test
