// Where policy of host endpoints meets packets, POLICY 2.6.  Words that the packet path and whoever
// writes programs for it share; no DPDK.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace vr {

/// In the order in which a packet comes by.  "Ingress" is from the fabric, "egress" towards it.
enum class HostHook : std::uint8_t {
    UntrackedIngress,  ///< before the flow lookup; what is allowed makes no flow
    UntrackedEgress,   ///< of the host's own packets only
    PreDnatIngress,    ///< new flows, with the destination as it came
    NormalIngress,     ///< new flows that end on the host
    ForwardIngress,    ///< new flows that end elsewhere
    NormalEgress,      ///< new flows that the host begins
    ForwardEgress,     ///< new flows that others begin
};

inline constexpr std::size_t kHostHooks = 7;

[[nodiscard]] constexpr bool is_ingress(HostHook hook) noexcept {
    return hook == HostHook::UntrackedIngress || hook == HostHook::PreDnatIngress ||
           hook == HostHook::NormalIngress || hook == HostHook::ForwardIngress;
}

[[nodiscard]] constexpr bool is_untracked(HostHook hook) noexcept {
    return hook == HostHook::UntrackedIngress || hook == HostHook::UntrackedEgress;
}

[[nodiscard]] constexpr bool is_normal(HostHook hook) noexcept {
    return hook == HostHook::NormalIngress || hook == HostHook::NormalEgress;
}

[[nodiscard]] constexpr bool is_forward(HostHook hook) noexcept {
    return hook == HostHook::ForwardIngress || hook == HostHook::ForwardEgress;
}

/// A program of such a hook need not decide: where it falls off its end, the packet goes on.
[[nodiscard]] constexpr bool may_be_silent(HostHook hook) noexcept {
    return is_untracked(hook) || hook == HostHook::PreDnatIngress;
}

/// The kind of policy that acts there, as people are told.
[[nodiscard]] constexpr std::string_view name(HostHook hook) noexcept {
    return is_untracked(hook)                 ? "untracked"
           : hook == HostHook::PreDnatIngress ? "pre-dnat"
           : is_forward(hook)                 ? "forward"
                                              : "normal";
}

inline constexpr std::array<HostHook, kHostHooks> kAllHostHooks{
    HostHook::UntrackedIngress,
    HostHook::UntrackedEgress,
    HostHook::PreDnatIngress,
    HostHook::NormalIngress,
    HostHook::ForwardIngress,
    HostHook::NormalEgress,
    HostHook::ForwardEgress};

}  // namespace vr
