// SPDX-License-Identifier: Apache-2.0
#include "vrouter/daemon/closed_host.h"

#include <algorithm>
#include <iterator>
#include <memory>
#include <utility>
#include <vector>

#include "policy/compiler.h"
#include "policy/felix.h"
#include "vrouter/net/headers.h"

namespace vr::daemon {

namespace {

using policy::FailsafePort;

constexpr std::uint16_t kBfdSingleHop = 3784;
constexpr std::uint16_t kBfdMultihop = 4784;

/// Failsafe ports name none.
class NoGroups final : public policy::GroupSource {
  public:
    GroupId group(const policy::Selector& /*selector*/) override { return {}; }

    std::map<L4Port, GroupId> port_groups(
        const policy::Selector& /*selector*/,
        const std::string& /*name*/,
        std::uint8_t /*protocol*/) override {
        return {};
    }
};

void open(std::vector<FailsafePort>& ports, std::uint8_t protocol, L4Port port) {
    ports.push_back({protocol, port, std::nullopt});
}

void open_neighbor(const bgp::PeerConfig& peer, policy::FelixSettings& settings) {
    open(settings.failsafe_outbound, ipproto::kTcp, peer.port);
    if (peer.bfd) {
        const L4Port port{peer.bfd->multihop ? kBfdMultihop : kBfdSingleHop};
        open(settings.failsafe_inbound, ipproto::kUdp, port);
        open(settings.failsafe_outbound, ipproto::kUdp, port);
    }
}

void open_bgp(const BgpConfig& bgp, policy::FelixSettings& settings) {
    open(settings.failsafe_inbound, ipproto::kTcp, bgp.speaker.port);
    for (const LinkNeighbor& neighbor : bgp.link_neighbors) {
        open_neighbor(neighbor.peer, settings);
    }
    for (const bgp::PeerConfig& peer : bgp.neighbors) {
        open_neighbor(peer, settings);
    }
}

void open_datastore(const Config& config, policy::FelixSettings& settings) {
    if (config.etcd) {
        for (const EtcdEndpoint& endpoint : config.etcd->endpoints) {
            open(settings.failsafe_outbound, ipproto::kTcp, L4Port{endpoint.port});
        }
    }
    if (config.policyd) {
        for (const HostPort& server : config.policyd->servers) {
            open(settings.failsafe_outbound, ipproto::kTcp, L4Port{server.port});
        }
    }
}

std::shared_ptr<const acl::Program> only(
    std::vector<FailsafePort> ports, policy::Direction direction, HostHook hook) {
    std::ranges::sort(ports);
    const auto doubles = std::ranges::unique(ports);
    ports.erase(doubles.begin(), doubles.end());
    policy::CompilerInput input;
    input.direction = direction;
    input.hook = hook;
    input.failsafes.opened = std::move(ports);
    NoGroups none;
    return std::make_shared<const acl::Program>(policy::compile(input, none));
}

}  // namespace

HostGuard closed_host(const Config& config) {
    policy::FelixSettings settings = policy::felix_settings(nullptr, nullptr);
    if (config.bgp) {
        open_bgp(*config.bgp, settings);
    }
    open_datastore(config, settings);
    HostGuard guard;
    guard.name = kClosedHost;
    guard.interface_name = HostGuard::kAnyInterface;
    for (const HostHook hook : kAllHostHooks) {
        if (is_normal(hook)) {
            const bool in = is_ingress(hook);
            guard.programs[static_cast<std::size_t>(hook)] = only(
                in ? settings.failsafe_inbound : settings.failsafe_outbound,
                in ? policy::Direction::Ingress : policy::Direction::Egress,
                hook);
        }
    }
    return guard;
}

}  // namespace vr::daemon
