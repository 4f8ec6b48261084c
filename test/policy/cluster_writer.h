// ClusterWriter: YAML of clusters at random, and packets between their addresses, drawn from few values
// so that rules, labels and packets meet.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fmt/format.h>

#include <array>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "test/policy/cluster.h"

namespace vr::policy {

/// Writes YAML for clusters of up to 20 endpoints, 3 tiers and 10 policies.
class ClusterWriter {
  public:
    explicit ClusterWriter(unsigned seed) : random_(seed), leaving_(seed + 1000) {}

    std::string cluster() {
        std::string yaml;
        const int endpoints = 3 + below(17);
        for (int i = 0; i < endpoints; ++i) {
            yaml += endpoint(i);
        }
        for (int i = 0; i < 3; ++i) {
            yaml += object("Tier", fmt::format("t{}", i), "", below(4) > 0, [&] {
                return fmt::format(
                    "order: {}, defaultAction: {}", below(5), one_of({"Deny", "Pass"}));
            });
            yaml += object("Profile", fmt::format("p{}", i), "", below(4) > 0, [&] {
                return fmt::format(
                    "labelsToApply: {{{}}}, ingress: {}, egress: {}",
                    labels(),
                    rules(2, Direction::Ingress),
                    rules(2, Direction::Egress));
            });
            yaml += object("Profile", "kns." + ns(i), "", true, [&] {
                return fmt::format("labelsToApply: {{pcns.env: {}}}", value());
            });
            yaml += object("GlobalNetworkSet", fmt::format("g{}", i), labels(), true, [&] {
                return fmt::format("nets: [{}, {}]", net(), net());
            });
            yaml += object("NetworkSet", fmt::format("s{}", i), labels(), true, [&] {
                return fmt::format("nets: [{}]", net());
            });
        }
        for (int i = 0; i < 4; ++i) {
            yaml += slice(i);
        }
        if (below(3) == 0) {
            yaml += broken();
        }
        if (leaving_() % 4 == 0) {
            yaml += object("Profile", "broken-q", "", true, [&] {
                return std::string("labelsToApply: {b: [x]}");
            });
        }
        for (int i = 0; i < 3; ++i) {
            yaml += object(
                "HostEndpoint",
                fmt::format("h{}", i),
                labels(),
                below(3) > 0,
                [&] { return host(i); },
                leaving_() % 2 == 0 ? fmt::format("qos.projectcalico.org/dscp: {}", dscp()) : "");
        }
        for (const auto* name : {"default", "node.h1", "node.h2"}) {
            yaml += object("FelixConfiguration", name, "", below(3) == 0, [&] { return felix(); });
        }
        const int policies = 1 + below(10);
        for (int i = 0; i < policies; ++i) {
            const bool global = below(2) == 0;
            yaml += object(
                global ? "GlobalNetworkPolicy" : "NetworkPolicy",
                fmt::format("n{}", i),
                "",
                true,
                [&] { return policy(global); });
        }
        const int staged = below(4);
        for (int i = 0; i < staged; ++i) {
            const bool global = below(2) == 0;
            // Some have the name of an enforced one.
            yaml += object(
                global ? "StagedGlobalNetworkPolicy" : "StagedNetworkPolicy",
                fmt::format("n{}", i * 3),
                "",
                true,
                [&] {
                    return policy(global) + one_of(
                                                {"",
                                                 "",
                                                 ", stagedAction: Set",
                                                 ", stagedAction: Delete",
                                                 ", stagedAction: Ignore"});
                });
        }
        for (int i = 0; i < 3; ++i) {
            yaml += object("IPPool", fmt::format("pool{}", i), "", below(3) > 0, [&] {
                return fmt::format(
                    "cidr: {}, natOutgoing: {}{}",
                    one_of(
                        {fmt::format("10.0.{}.0/24", below(3)),
                         fmt::format("'fd00::{}:0/112'", below(3)),
                         "10.0.0.0/23",
                         "10.0.0.0/23",
                         "'fd00::/111'",
                         "'fd00::/111'",
                         net()}),
                    below(3) > 0,
                    one_of({"", ", disabled: true"}));
            });
            yaml += object("Node", fmt::format("h{}", i + 1), "", below(3) == 0, [&] {
                return fmt::format(
                    "bgp: {{ipv4Address: 10.0.{}.{}/24}}, addresses: [{{address: "
                    "'fd00::{}:{:x}'}}]",
                    below(3),
                    below(22),
                    below(3),
                    below(22));
            });
        }
        return yaml;
    }

    template <Family F>
    acl::Packet<F> packet() {
        const auto text = [&] {
            return F::kVersion == 4 ? fmt::format("10.0.{}.{}", below(3), below(22))
                                    : fmt::format("fd00::{}:{:x}", below(3), below(22));
        };
        const auto protocol = static_cast<std::uint8_t>(
            std::vector{6, 6, 6, 17, 17, 132, F::kVersion == 4 ? 1 : 58, 1, 47}[index(9)]);
        const auto number = [&] {
            return static_cast<std::uint16_t>(
                protocol == 1 || protocol == 58 ? below(3) : 80 + below(6));
        };
        auto made = policy::packet<F>(text(), text(), protocol, number(), number());
        made.has_ports = made.has_ports && below(20) > 0;
        return made;
    }

    int below(int limit) { return static_cast<int>(random_() % static_cast<unsigned>(limit)); }

  private:
    std::size_t index(int limit) { return static_cast<std::size_t>(below(limit)); }

    std::string one_of(const std::vector<std::string>& choices) {
        return choices[index(static_cast<int>(choices.size()))];
    }

    static std::string ns(int i) { return fmt::format("ns{}", i); }

    template <typename Spec>
    std::string object(
        std::string_view kind,
        const std::string& name,
        const std::string& object_labels,
        bool present,
        Spec spec,
        const std::string& annotations = "") {
        return present
                   ? fmt::format(
                         "---\napiVersion: projectcalico.org/v3\nkind: {}\nmetadata: {{name: "
                         "{}, namespace: {}, labels: {{{}}}, annotations: {{{}}}}}\nspec: {{{}}}\n",
                         kind,
                         name,
                         ns(below(3)),
                         object_labels,
                         annotations,
                         spec())
                   : std::string();
    }

    std::string value() { return one_of({"u", "v", "w"}); }

    std::string labels() {
        std::string text;
        for (const auto* name : {"a", "b", "c"}) {
            if (below(2) == 0) {
                text += fmt::format("{}: {}, ", name, value());
            }
        }
        return text;
    }

    std::string condition(const std::vector<std::string>& names) {
        const std::string name = one_of(names);
        switch (below(6)) {
            case 0:
                return fmt::format("has({})", name);
            case 1:
                return fmt::format("{} != '{}'", name, value());
            case 2:
                return fmt::format("{} in {{'{}', '{}'}}", name, value(), value());
            case 3:
                return fmt::format("{} not in {{'{}'}}", name, value());
            case 4:
                return one_of({"all()", fmt::format("!has({})", name)});
            default:
                return fmt::format("{} == '{}'", name, value());
        }
    }

    std::string selector(const std::vector<std::string>& names = {"a", "b", "c"}) {
        const std::string first = condition(names);
        switch (below(4)) {
            case 0:
                return fmt::format("{} && {}", first, condition(names));
            case 1:
                return fmt::format("!({} || {})", first, condition(names));
            default:
                return first;
        }
    }

    std::string net() {
        return one_of(
            {fmt::format("10.0.{}.0/24", below(3)),
             fmt::format("10.0.{}.{}/31", below(3), below(20)),
             fmt::format("'fd00::{}:0/112'", below(3)),
             fmt::format("'fd00::{}:{:x}/127'", below(3), below(20)),
             "0.0.0.0/0",
             "'::/0'"});
    }

    std::string port() {
        return one_of(
            {fmt::format("{}", 80 + below(6)),
             fmt::format("'{}:{}'", 80 + below(3), 83 + below(3)),
             "web",
             "db"});
    }

    std::string endpoint(int i) {
        return object("WorkloadEndpoint", fmt::format("e{}", i), labels(), true, [&] {
            const std::string own4 = fmt::format("10.0.{}.{}", below(3), i + 1);
            const std::string own6 = fmt::format("fd00::{}:{:x}", below(3), i + 1);
            std::string spec = fmt::format(
                "orchestrator: {}, node: {}, interfaceName: tap{}, ipNetworks: [{}, '{}']",
                one_of({"k8s", "openstack"}),
                one_of({"h1", "h2"}),
                i,
                own4,
                own6);
            if (below(3) == 0) {
                // An address of nobody, or of somebody else.
                const int other = (i + 1 + below(19)) % 20 + 1;
                spec += fmt::format(
                    ", ipNATs: [{{internalIP: {}, externalIP: 10.0.{}.{}}}, {{internalIP: '{}', "
                    "externalIP: 'fd00::{}:{:x}'}}]",
                    own4,
                    below(3),
                    other,
                    own6,
                    below(3),
                    other);
            }
            if (leaving_() % 3 == 0) {
                spec += fmt::format(", qosControls: {{dscp: {}}}", dscp());
            }
            if (spoofing_() % 5 == 0) {
                spec += ", allowSpoofedSourcePrefixes: [10.0.2.0/24, 'fd00::2:0/112']";
            }
            spec += fmt::format(
                ", profiles: [{}]",
                also_unread(one_of(
                    {"",
                     "p0",
                     "p1, p2",
                     "kns.ns1, p1",
                     "projectcalico-default-allow",
                     "kns.ns0"})));
            spec += fmt::format(", serviceAccountName: {}", one_of({"''", "sa0", "sa1"}));
            spec += fmt::format(
                ", ports: [{{name: web, protocol: {}, port: {}}}, {{name: db, protocol: TCP, "
                "port: {}}}]",
                one_of({"TCP", "UDP"}),
                80 + below(6),
                80 + below(6));
            return spec;
        });
    }

    /// An object of which some entries cannot be read, or its labels, or what gives it labels.
    std::string broken() {
        const std::string bad = one_of({"10.0.0.300", "x", "[]", "!t 10.0.1.1"});
        const std::string own = below(4) > 0 ? labels() : labels() + "bad: [x]";
        switch (below(7)) {
            case 0:
                return object("GlobalNetworkSet", "broken-g", own, true, [&] {
                    return fmt::format("nets: [{}, {}, {}]", net(), bad, net());
                });
            case 1:
                return object("NetworkSet", "broken-s", own, true, [&] {
                    return fmt::format("nets: {}", one_of({"x", "[" + bad + ", " + net() + "]"}));
                });
            case 2:
                return object("Profile", "broken-p", "", true, [&] {
                    return fmt::format(
                        "labelsToApply: {{{}}}, {}: [{{action: Alow}}]",
                        own,
                        one_of({"ingress", "egress"}));
                });
            case 3:
                return object("HostEndpoint", "broken-h", own, true, [&] {
                    return host(7) + ", " + one_of({"port: []", "profile: []"});
                });
            case 4:
                return object("Tier", "broken-t", "", true, [&] {
                    return one_of({"order: soon", "ordr: 1", "order: 2, defaultAction: Pas"});
                });
            case 5:
                return object("WorkloadEndpoint", "broken-e", own, true, [&] {
                    return fmt::format(
                        "node: h1, interfaceName: tap77, {}, ipNetworks: [10.0.0.7, {}, "
                        "'fd00::7'], "
                        "ports: [{{name: web, protocol: TCP, port: 81}}, {}]",
                        one_of({"profiles: [p0]", "profiles: [p1, broken-p]", "profiles: [[]]"}),
                        one_of({bad, "10.0.0.0/24"}),
                        one_of({"{name: db}", "{name: db, protocol: TCP, port: 82}", "x"}));
                });
            default:
                return fmt::format(
                    "---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {{name: "
                    "broken, namespace: {}, labels: {{kubernetes.io/service-name: svc{}}}}}\n"
                    "endpoints: [{{addresses: [10.0.1.5, {}]}}, {}]\nports: [{{port: 81}}, {}]\n",
                    ns(below(2)),
                    below(2),
                    bad,
                    one_of({"{addresses: [10.0.1.6]}", "x"}),
                    one_of({"{port: x}", "{port: 82, protocol: UDP}"}));
        }
    }

    std::string host(int i) {
        return fmt::format(
            "node: {}, interfaceName: {}, expectedIPs: [10.0.{}.{}, 'fd00::{}:{:x}'], profiles: "
            "[{}], "
            "ports: [{{name: web, protocol: TCP, port: {}}}]",
            one_of({"h1", "h1", "h2"}),
            one_of({"eth0", "eth1", "'*'", "''"}),
            below(3),
            i + 1,
            below(3),
            i + 1,
            also_unread(one_of({"", "p0", "p1, p2", "projectcalico-default-allow"})),
            80 + below(6));
    }

    /// Here and there with a profile whose labels cannot be read, where there is one.
    std::string also_unread(const std::string& profiles) {
        return leaving_() % 8 != 0 ? profiles
                                   : profiles + (profiles.empty() ? "" : ", ") + "broken-q";
    }

    std::string failsafes() {
        std::string text;
        for (int i = below(3); i > 0; --i) {
            text += fmt::format(
                "{}{{protocol: {}, port: {}, net: {}}}",
                text.empty() ? "" : ", ",
                one_of({"tcp", "UDP"}),
                80 + below(6),
                one_of({net(), "''"}));
        }
        return "[" + text + "]";
    }

    std::string felix() {
        return fmt::format(
            "failsafeInboundHostPorts: {}, defaultEndpointToHostAction: {}{}{}{}{}{}",
            failsafes(),
            one_of({"Drop", "Return", "Accept"}),
            below(2) == 0 ? ", failsafeOutboundHostPorts: " + failsafes() : "",
            one_of({"", "", ", iptablesFilterDenyAction: Reject"}),
            one_of({"", ", floatingIPs: Enabled", ", floatingIPs: Disabled"}),
            one_of({"", ", natOutgoingExclusions: IPPoolsAndHostIPs"}),
            (spoofing_() % 3 == 0 ? "" : ", workloadSourceSpoofing: Any") + hosts_name(),
            below(3) == 0 ? fmt::format(
                                ", metadataAddr: {}, metadataPort: {}",
                                one_of({"10.0.0.1", "fd00::a00:1", "none"}),
                                80 + below(6))
                          : "");
    }

    /// How natOutgoing is to be done.
    std::string hosts_name() {
        const std::array addresses{
            "",
            "",
            ", natOutgoingAddress: 10.0.0.1",
            ", natOutgoingAddress: 'fd00::a00:1'",
            ", natOutgoingAddress: 10.0.0.99"};
        const std::array ports{"", ", natPortRange: '20000:20003'"};
        return std::string(addresses[leaving_() % addresses.size()]) +
               ports[leaving_() % ports.size()];
    }

    unsigned dscp() { return static_cast<unsigned>(leaving_() % 64); }

    std::string service() {
        return fmt::format("services: {{name: svc{}, namespace: {}}}", below(2), ns(below(2)));
    }

    std::string slice(int i) {
        return fmt::format(
            "---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {{name: slice{}, "
            "namespace: {}, labels: {{kubernetes.io/service-name: svc{}}}}}\naddressType: IPv4\n"
            "endpoints: [{{addresses: [10.0.{}.{}, 'fd00::{}:{:x}']}}, {{addresses: "
            "[10.0.{}.{}]}}]\n"
            "ports: [{{name: a, port: {}}}, {{port: {}, protocol: {}}}]\n",
            i,
            ns(below(2)),
            below(2),
            below(3),
            below(20),
            below(3),
            below(20),
            below(3),
            below(20),
            80 + below(6),
            80 + below(6),
            one_of({"TCP", "UDP", "SCTP"}));
    }

    std::string entity(bool ports) {
        std::string text;
        const auto add = [&](int odds, const std::string& field) {
            if (below(odds) == 0) {
                text += (text.empty() ? "" : ", ") + field;
            }
        };
        add(8, fmt::format("nets: [{}, {}]", net(), net()));
        add(7, fmt::format("notNets: [{}]", net()));
        add(6, fmt::format("selector: \"{}\"", selector()));
        add(6, fmt::format("notSelector: \"{}\"", selector()));
        add(7,
            fmt::format(
                "namespaceSelector: \"{}\"", one_of({"all()", "global()", selector({"env"})})));
        add(9, fmt::format("serviceAccounts: {{names: [{}]}}", one_of({"sa0", "sa0, sa1"})));
        if (ports) {
            add(3, fmt::format("ports: [{}, {}]", port(), port()));
            add(6, fmt::format("notPorts: [{}, {}]", port(), port()));
        }
        return text;
    }

    std::string rule(Direction direction) {
        std::string text = fmt::format(
            "action: {}",
            one_of(
                {"Allow",
                 "Allow",
                 "Allow",
                 "Deny",
                 "Deny, metadata: {annotations: {vrouter.io/action: Reject}}",
                 "Pass",
                 "Log"}));
        bool ports = false;
        switch (below(7)) {
            case 0:
            case 1:
            case 2:
                text += ", protocol: " + one_of({"TCP", "UDP", "SCTP", "6"});
                ports = true;
                break;
            case 3:
                text += ", protocol: ICMP" +
                        one_of({"", ", icmp: {type: 1}", ", notICMP: {type: 1, code: 2}"});
                break;
            case 4:
                text += ", protocol: ICMPv6" + one_of({"", ", icmp: {type: 1, code: 1}"});
                break;
            case 5:
                text += one_of(
                    {", notProtocol: TCP", ", ipVersion: 4", ", ipVersion: 6", ", protocol: 1"});
                break;
            default:
                break;
        }
        const bool in = direction == Direction::Ingress;
        return "{" + text +
               fmt::format(
                   ", source: {{{}}}, destination: {{{}}}}}",
                   in && below(8) == 0 ? service() : entity(ports),
                   !in && below(5) == 0 ? service() : entity(ports));
    }

    std::string rules(int most, Direction direction) {
        std::string text;
        for (int i = below(most + 1); i > 0; --i) {
            text += (text.empty() ? "" : ", ") + rule(direction);
        }
        return "[" + text + "]";
    }

    std::string policy(bool global) {
        const std::string hook = global ? one_of(kHooks) : std::string();
        const bool ingress_only = hook.ends_with("preDNAT: true");
        std::string text = fmt::format(
            "tier: {}, selector: \"{}\", ingress: {}, {}: {}{}",
            one_of({"default", "default", "t0", "t1", "t1", "t2", "kube-admin", "broken-t"}),
            one_of({"all()", "all()", selector()}),
            rules(4, Direction::Ingress),
            ingress_only ? "types" : "egress",
            ingress_only ? "[Ingress]" : rules(4, Direction::Egress),
            hook);
        if (below(2) == 0) {
            text += fmt::format(", order: {}", below(4));
        }
        if (below(2) == 0 && !ingress_only) {
            text += ", types: " + one_of({"[Ingress]", "[Egress]", "[Ingress, Egress]"});
        }
        if (below(6) == 0) {
            text += fmt::format(", serviceAccountSelector: \"{}\"", one_of({"all()", "has(x)"}));
        }
        if (global && below(4) == 0) {
            text += fmt::format(", namespaceSelector: \"{}\"", selector({"env"}));
        }
        return text;
    }

    /// Most policies are for workloads.
    inline static const std::vector<std::string> kHooks{
        "",
        "",
        "",
        ", applyOnForward: true",
        ", applyOnForward: true, doNotTrack: true",
        ", applyOnForward: true, doNotTrack: true",
        ", applyOnForward: true, doNotTrack: true",
        ", applyOnForward: true, preDNAT: true"};

    std::mt19937 random_;
    // Of their own, so that nothing else differs from clusters without.
    std::mt19937 spoofing_ = random_;
    std::mt19937 leaving_;  ///< what packets that leave the cluster look like, unread profiles
};

}  // namespace vr::policy
