// Passage: which checks meet a packet on its way through one host, POLICY 2.6, in the words of the
// reference: slow, plain, on the objects themselves.
//
// Nothing is remembered from one call to the next: whoever asks says whether the packet belongs to a flow
// that was allowed before, as a later fragment belongs to that of the first.  Limits, what cannot begin a
// flow, whether natOutgoingAddress is the host's, and that nobody may spoof an address of the host or of one
// link, are the packet path's.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "policy/model.h"
#include "policy/reference.h"
#include "vrouter/dataplane/acl.h"

namespace vr::policy {

/// Beyond an interface of the host.
struct Outside {
    std::string interface;
    std::vector<IpAddr> addresses;  ///< of the host, on that interface
};

/// The host itself: its own processes.
struct HostItself {};

/// Where a packet comes from or goes to; a Key names a WorkloadEndpoint of the host.
using Place = std::variant<HostItself, Outside, Key>;

struct Passage {
    bool allow = false;
    bool tracked = true;  ///< false: allowed without a flow, so replies are judged for themselves
    bool in_hosts_name = false;  ///< natOutgoing: what begins a flow leaves with the host's address
    acl::Origin by;              ///< what decided last
    // Of what is allowed, and begins a flow or needs none, as it leaves; POLICY 2.7:
    IpAddr source;
    IpAddr destination;
    acl::PortRange source_ports;       ///< its source port is one of these
    std::optional<std::uint8_t> dscp;  ///< absent: as it came
};

/// The HostEndpoint that guards an interface of `node`: of those that name it or expect one of its
/// addresses the first by name, else of those for all interfaces.  POLICY 2.2.
[[nodiscard]] std::optional<Key> guard_of(
    std::span<const ResourcePtr> cluster, const std::string& node, const Outside& interface);

/// `arriving` is the packet as it came: its destination may be a floating address of `node`.
template <Family F>
[[nodiscard]] Passage judge_passage(
    std::span<const ResourcePtr> cluster,
    const std::string& node,
    const Place& from,
    const Place& to,
    const acl::Packet<F>& arriving,
    FlowState flow = FlowState::New);

}  // namespace vr::policy
