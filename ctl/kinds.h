// Kinds of resources by the words that people type for them.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <optional>
#include <string_view>

namespace vr::ctl {

struct Kind {
    std::string_view name;  ///< as in a document
    std::string_view word;  ///< lower case
    std::string_view plural;
    std::string_view brief;
};

inline constexpr std::array kKinds{
    Kind{"BGPConfiguration", "bgpconfiguration", "bgpconfigurations", "bgpconfig"},
    Kind{"BGPPeer", "bgppeer", "bgppeers", "bgpp"},
    Kind{"GlobalNetworkPolicy", "globalnetworkpolicy", "globalnetworkpolicies", "gnp"},
    Kind{"GlobalNetworkSet", "globalnetworkset", "globalnetworksets", "gns"},
    Kind{"IPPool", "ippool", "ippools", "ipp"},
    Kind{"NetworkPolicy", "networkpolicy", "networkpolicies", "np"},
    Kind{"NetworkSet", "networkset", "networksets", "ns"},
    Kind{"Node", "node", "nodes", "no"},
    Kind{"Profile", "profile", "profiles", "pro"},
    Kind{"Tier", "tier", "tiers", "ti"},
    Kind{"WorkloadEndpoint", "workloadendpoint", "workloadendpoints", "wep"},
};

/// By document name, word, plural or short form, in any case; "all" is every kind (an empty name).
[[nodiscard]] std::optional<std::string_view> kind_of(std::string_view text);

}  // namespace vr::ctl
