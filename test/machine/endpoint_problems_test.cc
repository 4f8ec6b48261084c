// What `show endpoints` says of endpoints beside what the machine knows.
// SPDX-License-Identifier: Apache-2.0
#include "vrouter/daemon/endpoint_problems.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace vr::daemon::endpoint_problems_test {
namespace {

using policy::Key;
using policy::Kind;
using policy::ObjectState;

Key endpoint(const std::string& name) {
    return {.kind = Kind::WorkloadEndpoint, .ns = "prod", .name = name};
}

policy::ObjectStatus object(const std::string& name, ObjectState state) {
    policy::ObjectStatus status;
    status.key = endpoint(name);
    status.state = state;
    status.reason = "e.yaml:3: spec.mac: expected a MAC address";
    return status;
}

class EndpointProblems : public testing::Test {
  protected:
    EndpointProblems() {
        WorkloadView view;
        view.workload.name = "prod/web";
        view.state = WorkloadView::State::Ready;
        views.push_back(view);
        set_profiles({"present", std::string(policy::kDefaultAllowProfile)});
    }

    void set_profiles(const std::vector<std::string>& profiles) {
        policy::WorkloadEndpoint spec;
        spec.profiles = profiles;
        web = std::make_shared<const policy::Resource>(
            policy::Resource{endpoint("web"), {}, std::move(spec)});
    }

    [[nodiscard]] policy::ResourcePtr find(const Key& key) const {
        if (key.kind == Kind::Profile) {
            policy::Profile profile;
            profile.closed = key.name == "closed";
            return key.name == "absent" ? nullptr
                                        : std::make_shared<const policy::Resource>(
                                              policy::Resource{key, {}, std::move(profile)});
        }
        return key == endpoint("web") ? web : nullptr;
    }

    /// As `show endpoints` lists them.
    [[nodiscard]] std::vector<WorkloadView> shown() const {
        const EndpointSources sources{
            .resource = [this](const Key& key) { return find(key); },
            .objects =
                [this](const Key& from, std::size_t count) {
                    const auto at =
                        std::ranges::lower_bound(objects, from, {}, &policy::ObjectStatus::key);
                    const auto n = std::min(static_cast<std::ptrdiff_t>(count), objects.end() - at);
                    return std::vector<policy::ObjectStatus>{at, at + n};
                },
            .refusal =
                [this](const Key& key) {
                    const auto found = refusals.find(key);
                    return found == refusals.end() ? std::string() : found->second;
                },
            .names =
                [this] {
                    std::set<std::string> names;
                    for (const WorkloadView& view : views) {
                        names.insert(view.workload.name);
                    }
                    return names;
                },
            .view = [this](const std::string& name) -> std::optional<WorkloadView> {
                const auto found = std::ranges::find(
                    views, name, [](const WorkloadView& view) { return view.workload.name; });
                return found == views.end() ? std::nullopt : std::optional{*found};
            },
            .first_with = [this](const std::string& /*interface*/) { return first; }};
        std::set<std::string> names;
        for (auto search = find_endpoints(sources); search(names);) {
        }
        std::vector<WorkloadView> all;
        for (const std::string& name : names) {
            if (auto view = with_problems(sources, name)) {
                all.push_back(*std::move(view));
            }
        }
        return all;
    }

    std::vector<WorkloadView> views;
    std::vector<policy::ObjectStatus> objects;  ///< by key
    std::map<Key, std::string> refusals;
    std::string first;  ///< with the interface of them all
    policy::ResourcePtr web;
};

TEST_F(EndpointProblems, AreNoneOfARightEndpoint) {
    objects = {object("web", ObjectState::Valid)};
    ASSERT_EQ(shown().size(), 1U);
    EXPECT_EQ(shown()[0].error, "");
}

TEST_F(EndpointProblems, NameProfilesThatDoNotExist) {
    set_profiles({"present", "absent"});
    EXPECT_EQ(shown()[0].error, "profile 'absent' does not exist, so it denies");
    EXPECT_EQ(shown()[0].state, WorkloadView::State::Ready);
}

TEST_F(EndpointProblems, NameProfilesThatDenyInPlaceOfInvalidOnes) {
    set_profiles({"closed"});
    EXPECT_EQ(shown()[0].error, "profile 'closed' is invalid, so it denies");
}

TEST_F(EndpointProblems, TellThatFloatingAddressesDoNotCount) {
    const FloatingAddress floating{
        .external = *parse_ip("203.0.113.9"), .internal = *parse_ip("10.0.0.1")};
    policy::WorkloadEndpoint spec;
    spec.floating = {floating};
    web = std::make_shared<const policy::Resource>(
        policy::Resource{endpoint("web"), {}, std::move(spec)});
    EXPECT_TRUE(shown()[0].error.starts_with("ipNATs do not count")) << shown()[0].error;
    views[0].workload.floating = {floating};
    EXPECT_EQ(shown()[0].error, "");
}

TEST_F(EndpointProblems, TellThatAnOlderVersionIsInForce) {
    objects = {object("web", ObjectState::Kept)};
    EXPECT_EQ(
        shown()[0].error,
        "its last valid version is in force: e.yaml:3: spec.mac: expected a MAC address");
}

TEST_F(EndpointProblems, ListEndpointsThatWereNeverValid) {
    objects = {object("db", ObjectState::Missing)};
    const auto all = shown();
    ASSERT_EQ(all.size(), 2U);
    EXPECT_EQ(all[0].workload.name, "prod/db");
    EXPECT_EQ(all[0].state, WorkloadView::State::Invalid);
    EXPECT_EQ(all[0].error, "e.yaml:3: spec.mac: expected a MAC address");
}

TEST_F(EndpointProblems, ListEndpointsThatAreNotPermitted) {
    objects = {object("db", ObjectState::Valid)};
    objects[0].reason.clear();
    refusals = {{endpoint("db"), "may not"}};
    const auto all = shown();
    ASSERT_EQ(all.size(), 2U);
    EXPECT_EQ(all[0].workload.name, "prod/db");
    EXPECT_EQ(all[0].state, WorkloadView::State::Invalid);
    EXPECT_EQ(all[0].error, "may not");
}

TEST_F(EndpointProblems, LeaveOtherNodesEndpointsOut) {
    objects = {object("elsewhere", ObjectState::Kept), object("web", ObjectState::Shadowed)};
    EXPECT_EQ(shown().size(), 1U);
    EXPECT_EQ(shown()[0].error, "");
}

TEST_F(EndpointProblems, TellOfTheSecondEndpointWithAnInterface) {
    views[0].workload.interface_name = "tap1";
    views.push_back(views[0]);
    views[1].workload.name = "prod/db";
    first = "prod/db";
    EXPECT_EQ(shown()[0].error, "");
    EXPECT_EQ(shown()[1].error, "interfaceName 'tap1' is that of prod/db too");
}

TEST_F(EndpointProblems, ListOneThatIsInvalidAndRefusedOnce) {
    objects = {object("db", ObjectState::StandIn)};
    refusals = {{endpoint("db"), "may not"}};
    const auto all = shown();
    ASSERT_EQ(all.size(), 2U);
    EXPECT_EQ(all[0].error, "e.yaml:3: spec.mac: expected a MAC address; may not");
}

TEST_F(EndpointProblems, AreFoundAmongThousandsOfObjects) {
    objects.clear();
    for (int i = 0; i < 1000; ++i) {
        objects.push_back(object(std::to_string(1000 + i), ObjectState::Valid));
    }
    objects.back().state = ObjectState::Missing;
    const auto all = shown();
    ASSERT_EQ(all.size(), 2U);
    EXPECT_EQ(all[0].workload.name, "prod/1999");
}

std::string reserved(const std::string& address) {
    const auto config = *parse_config(
        "node: a\n"
        "ports: [{name: p, device: d, addresses: [192.0.2.1/24]}]\n"
        "host: {tap: t, addresses: [192.0.2.7/24]}\n"
        "routes: [{prefix: 0.0.0.0/0, via: [192.0.2.254]}]\n"
        "neighbors: [{address: 192.0.2.9, mac: '02:00:00:00:00:01', port: p}]\n"
        "bgp:\n"
        "  as: 64512\n"
        "  router_id: 192.0.2.1\n"
        "  neighbors: [{address: 192.0.2.8, as: 64513}, {address: 10.65.0.8, as: 64514}]\n",
        "f");
    return reserved_address(config, *parse_prefix(address));
}

/// Of a host endpoint "eth0" of this node with that profile, and what was written of it.
std::string host_problem(const std::string& profile, ObjectState state) {
    const Key eth0{.kind = Kind::HostEndpoint, .ns = {}, .name = "eth0"};
    HostGuardView view;
    view.guard.name = eth0.name;
    policy::ObjectStatus status;
    status.key = eth0;
    status.state = state;
    status.reason = "h.yaml:3: spec.ports: expected a list";
    policy::HostEndpoint spec;
    spec.profiles = {profile};
    EndpointSources sources;
    sources.objects = [&](const Key&, std::size_t) { return std::vector{status}; };
    sources.resource = [&](const Key& key) -> policy::ResourcePtr {
        policy::Profile closed;
        closed.closed = true;
        const auto made = [&](policy::Spec what) {
            return std::make_shared<const policy::Resource>(
                policy::Resource{key, {}, std::move(what)});
        };
        return key == eth0 ? made(spec) : key.name == "closed" ? made(closed) : nullptr;
    };
    return with_problems(sources, view).problem;
}

TEST(HostEndpointProblems, NameWhatDenies) {
    EXPECT_EQ(host_problem(std::string(policy::kDefaultAllowProfile), ObjectState::Valid), "");
    EXPECT_EQ(
        host_problem("closed", ObjectState::Valid), "profile 'closed' is invalid, so it denies");
    EXPECT_EQ(
        host_problem("absent", ObjectState::Valid),
        "profile 'absent' does not exist, so it denies");
    const std::string profile{policy::kDefaultAllowProfile};
    EXPECT_EQ(
        host_problem(profile, ObjectState::Kept),
        "its last valid version is in force: h.yaml:3: spec.ports: expected a list");
    EXPECT_EQ(
        host_problem(profile, ObjectState::StandIn),
        "it is invalid, so it denies: h.yaml:3: spec.ports: expected a list");
}

TEST(ReservedAddress, OfTheHostIsNoWorkloads) {
    for (const auto* own : {"192.0.2.1", "192.0.2.7", "169.254.1.1", "fe80::1", "192.0.2.0/30"}) {
        EXPECT_NE(reserved(own).find("is an address of this host"), std::string::npos) << own;
    }
}

TEST(ReservedAddress, OfANeighborIsNoWorkloads) {
    for (const auto* other : {"192.0.2.254", "192.0.2.9", "192.0.2.8"}) {
        EXPECT_NE(reserved(other).find("is an address of a neighbor"), std::string::npos) << other;
    }
}

TEST(ReservedAddress, OfALinkIsNoWorkloads) {
    for (const auto* station : {"fe80::9", "fe80:1::9", "febf::/16"}) {
        EXPECT_NE(reserved(station).find("is a link-local address"), std::string::npos) << station;
    }
}

TEST(ReservedAddress, OfAPeerThatIsAWorkloadIsItsOwn) {
    EXPECT_EQ(reserved("10.65.0.8"), "");
    EXPECT_EQ(reserved("192.0.2.10"), "");
}

}  // namespace
}  // namespace vr::daemon::endpoint_problems_test
