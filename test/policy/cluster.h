// A cluster for tests: objects from YAML text, a graph that they are fed to, a sink that remembers,
// and both judges of a packet, the compiled program and the reference.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "policy/graph.h"
#include "policy/origin.h"
#include "policy/reference.h"
#include "policy/resource.h"
#include "policy/walk.h"

namespace vr::policy {

/// Remembers what the machine would have, and that it was told in a possible order.
class RememberingSink : public WorkloadSink {
  public:
    void add_member(GroupId group, const IpPrefix& member) override {
        EXPECT_TRUE(members[group].insert(member).second) << "added twice: " << to_string(member);
        EXPECT_TRUE(group != kNatPools || members[kAllPools].contains(member));
        ++calls;
    }

    void remove_member(GroupId group, const IpPrefix& member) override {
        EXPECT_EQ(members[group].erase(member), 1U) << "was not there: " << to_string(member);
        EXPECT_FALSE(group == kAllPools && members[kNatPools].contains(member))
            << "its guests would go out in the host's name to one another";
        ++calls;
    }

    void update_workload(const Workload& workload) override {
        EXPECT_TRUE(workload.ingress && workload.egress);
        workloads.insert_or_assign(workload.name, workload);
        updated.push_back(workload.name);
        ++calls;
    }

    void remove_workload(const std::string& name) override {
        EXPECT_EQ(workloads.erase(name), 1U);
        ++calls;
    }

    void replace_programs(const ReplacedPrograms& replaced) override {
        EXPECT_FALSE(replaced.empty());
        for (auto& [name, workload] : workloads) {
            if (workload.replace_programs(replaced)) {
                EXPECT_TRUE(workload.ingress && workload.egress);
                replaced_of.push_back(name);
            }
        }
        ++calls;
    }

    void update_host(const HostGuard& guard) override {
        EXPECT_TRUE(
            guard.program(HostHook::NormalIngress) && guard.program(HostHook::NormalEgress));
        hosts.insert_or_assign(guard.name, guard);
        updated.push_back(guard.name);
        ++calls;
    }

    void remove_host(const std::string& name) override {
        EXPECT_EQ(hosts.erase(name), 1U);
        ++calls;
    }

    void set_workload_rules(const WorkloadRules& all) override { rules = all; }

    void set_policy_log(const PolicyLogTerms& terms) override { log_terms = terms; }

    void set_migration_terms(const MigrationTerms& terms) override { migration_terms = terms; }

    [[nodiscard]] bool contains(GroupId group, const IpAddr& address) const {
        const auto found = members.find(group);
        if (found == members.end()) {
            return false;
        }
        for (const auto& member : found->second) {
            const auto* net4 = std::get_if<Prefix<V4>>(&member);
            const auto* ip4 = std::get_if<Ip4>(&address);
            if (net4 != nullptr && ip4 != nullptr && net4->contains(*ip4)) {
                return true;
            }
            const auto* net6 = std::get_if<Prefix<V6>>(&member);
            const auto* ip6 = std::get_if<Ip6>(&address);
            if (net6 != nullptr && ip6 != nullptr && net6->contains(*ip6)) {
                return true;
            }
        }
        return false;
    }

    std::map<GroupId, std::set<IpPrefix>> members;
    std::map<std::string, Workload> workloads;
    std::map<std::string, HostGuard> hosts;
    WorkloadRules rules;
    PolicyLogTerms log_terms;
    MigrationTerms migration_terms;
    std::vector<std::string> updated;
    std::vector<std::string> replaced_of;  ///< endpoints of which a program was replaced
    int calls = 0;
};

/// The objects of `yaml`, which must be valid; of those whose names begin with "broken", which must not,
/// what counts in their place.
inline std::vector<ResourcePtr> objects(std::string_view yaml) {
    std::vector<ResourcePtr> all;
    auto parsed = parse_file("test.yaml", yaml);
    EXPECT_TRUE(parsed) << (parsed ? "" : parsed.error().text);
    if (parsed) {
        for (const auto& object : parsed->objects) {
            const bool broken = object.key.name.starts_with("broken");
            EXPECT_EQ(object.resource == nullptr, broken) << to_string(object.key) << object.error;
            if (const auto& in_force = broken ? object.stand_in : object.resource) {
                all.push_back(in_force);
            }
        }
    }
    return all;
}

/// "family address -> address protocol ..." as acl::Packet.
template <Family F>
acl::Packet<F> packet(
    std::string_view source,
    std::string_view destination,
    std::uint8_t protocol,
    std::uint16_t source_port,
    std::uint16_t destination_port) {
    acl::Packet<F> made;
    made.source = F::Addr::parse(source).value();
    made.destination = F::Addr::parse(destination).value();
    made.protocol = protocol;
    if (protocol == 1 || protocol == 58) {
        made.icmp_type = static_cast<std::uint8_t>(source_port);
        made.icmp_code = static_cast<std::uint8_t>(destination_port);
    } else if (protocol == 6 || protocol == 17 || protocol == 132) {
        made.has_ports = true;
        made.source_port = L4Port{source_port};
        made.destination_port = L4Port{destination_port};
    }
    return made;
}

/// A graph for node "h1" and all objects that it was given.
class Cluster {
  public:
    Cluster() : graph("h1", sink) {}

    explicit Cluster(std::string_view yaml) : Cluster() { set(yaml); }

    /// Feeds objects and publishes.
    void set(std::string_view yaml) {
        Batch batch;
        for (const auto& object : objects(yaml)) {
            batch.events.emplace_back(Upsert{object});
        }
        batch.events.emplace_back(InSync{});
        graph.on(batch);
    }

    void remove(const Key& key) { graph.on({0, {Delete{key}}}); }

    template <Family F>
    Decision reference(
        const Key& endpoint,
        Direction direction,
        const acl::Packet<F>& p,
        View view = View::Enforced) const {
        return judge<F>(all(), endpoint, direction, p, FlowState::New, view);
    }

    /// What the published program says, with the members that were published.
    template <Family F>
    Decision compiled(
        const Key& endpoint,
        Direction direction,
        const acl::Packet<F>& p,
        View view = View::Enforced) const {
        const auto workload = sink.workloads.find(endpoint.ns + "/" + endpoint.name);
        if (workload == sink.workloads.end()) {
            return {};
        }
        const bool in = direction == Direction::Ingress;
        const auto& [enforced, staged] =
            in ? std::tie(workload->second.ingress, workload->second.staged_ingress)
               : std::tie(workload->second.egress, workload->second.staged_egress);
        const auto& program = view == View::Preview && staged ? *staged : *enforced;
        const auto verdict = walk<F>(program, p, [&](GroupId group, const IpAddr& address) {
            return sink.contains(group, address);
        });
        return {
            .allow = verdict.allow,
            .reject = verdict.reject,
            .by = origin_of(program, verdict).value_or(acl::Origin{})};
    }

    template <Family F>
    Decision reference(
        const Key& host_endpoint,
        HostHook hook,
        const acl::Packet<F>& p,
        View view = View::Enforced) const {
        return judge<F>(all(), host_endpoint, hook, p, view);
    }

    template <Family F>
    Decision compiled(
        const Key& host_endpoint,
        HostHook hook,
        const acl::Packet<F>& p,
        View view = View::Enforced) const {
        const HostGuard& guard = sink.hosts.at(host_endpoint.name);
        const auto& staged = guard.staged[static_cast<std::size_t>(hook)];
        const auto& program = view == View::Preview && staged ? staged : guard.program(hook);
        if (!program) {  // no policy acts: what comes by passes on
            return is_forward(hook) ? Decision{.allow = true, .by = end_of_forward_tiers()}
                                    : Decision{.silent = true};
        }
        const auto verdict = walk<F>(*program, p, [&](GroupId group, const IpAddr& address) {
            return sink.contains(group, address);
        });
        if (verdict.rule == acl::Verdict::kFellOff && may_be_silent(hook)) {
            return {.silent = true};
        }
        return {
            .allow = verdict.allow,
            .reject = verdict.reject,
            .by = origin_of(*program, verdict).value_or(acl::Origin{})};
    }

    [[nodiscard]] std::vector<ResourcePtr> all() const {
        std::vector<ResourcePtr> resources;
        for (const auto& [key, resource] : graph.all_resources()) {
            resources.push_back(resource);
        }
        return resources;
    }

    RememberingSink sink;
    Graph graph;
};

inline Key host_key(std::string name) {
    return {Kind::HostEndpoint, {}, std::move(name)};
}

inline Key endpoint_key(std::string ns, std::string name) {
    return {Kind::WorkloadEndpoint, std::move(ns), std::move(name)};
}

}  // namespace vr::policy
