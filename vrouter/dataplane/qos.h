// QosControls: what an endpoint may send and receive, POLICY 2.7.  Words that the packet path and whoever
// reads WorkloadEndpoints share; no DPDK.
//
// Where Calico queues what is over a bandwidth (tbf), the router drops it: a policer, not a shaper.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>

namespace vr {

/// The limits of one direction; 0: none.
struct RateLimits {
    std::uint64_t bandwidth = 0;     ///< bits of frames a second
    std::uint64_t burst = 0;         ///< bits at once, beyond the bandwidth
    std::uint64_t peak_rate = 0;     ///< bits a second, also within the burst
    std::uint64_t min_burst = 0;     ///< bytes at once, beyond the peak rate; 0: one frame
    std::uint64_t packet_rate = 0;   ///< packets a second
    std::uint64_t packet_burst = 0;  ///< packets at once, beyond the rate
    std::uint64_t connections = 0;   ///< TCP connections at a time

    [[nodiscard]] bool any() const noexcept {
        return bandwidth != 0 || peak_rate != 0 || packet_rate != 0 || connections != 0;
    }

    friend bool operator==(const RateLimits&, const RateLimits&) = default;
};

struct QosControls {
    RateLimits ingress;                ///< to the workload
    RateLimits egress;                 ///< from it
    std::optional<std::uint8_t> dscp;  ///< of its packets that leave the cluster

    friend bool operator==(const QosControls&, const QosControls&) = default;
};

}  // namespace vr
