// How many TCP connections endpoints have.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "vrouter/dataplane/flow_table.h"
#include "vrouter/dataplane/orders.h"
#include "vrouter/net/headers.h"

namespace vr {

/// TCP connections by endpoint and side: what one thread has added and taken away, modulo 2^32: only the sum
/// of all threads means something.
class ConnectionCounts {
  public:
    /// Of the thread that owns these.
    template <Family F>
    void add(const FlowEntry<F>& flow, std::uint32_t amount) noexcept {
        add(flow.to, FlowSide::Receiver, amount);
        add(flow.from, FlowSide::Sender, amount);
    }

    [[nodiscard]] std::uint32_t get(PortId endpoint, FlowSide side) const noexcept {
        return counts_[index(endpoint, side)].load(kRelaxed);
    }

  private:
    [[nodiscard]] static std::size_t index(PortId endpoint, FlowSide side) noexcept {
        return endpoint.value() % kFlowOwners * 2 + static_cast<std::size_t>(side);
    }

    void add(PortId endpoint, FlowSide side, std::uint32_t amount) noexcept {
        std::atomic<std::uint32_t>& count = counts_[index(endpoint, side)];
        count.store(count.load(kRelaxed) + amount, kRelaxed);
    }

    std::vector<std::atomic<std::uint32_t>> counts_ =
        std::vector<std::atomic<std::uint32_t>>(kFlowOwners * 2);
};

/// Whether it counts among the connections of its endpoints: those of the host are nobody's.
[[nodiscard]] inline bool is_connection(std::uint8_t protocol, const FlowStart& start) noexcept {
    return protocol == ipproto::kTcp && !start.from_host &&
           (start.state == FlowState::New || start.state == FlowState::Established);
}

}  // namespace vr
