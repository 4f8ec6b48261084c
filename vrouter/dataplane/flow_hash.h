// FlowHash<F>: a keyed hash that is the same for both directions of a connection.
//
// Multiply-and-fold (the 128-bit product's halves, xored) over the two ends in a fixed order.  The key
// is drawn at random per table, so that a guest cannot aim its flows at one bucket.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

#include "vrouter/dataplane/flow_table.h"

namespace vr {

template <Family F>
class FlowHash {
  public:
    explicit FlowHash(const std::array<std::uint64_t, 4>& key) noexcept : key_(key) {}

    [[nodiscard]] std::uint64_t operator()(const FlowKey<F>& flow) const noexcept {
        const std::uint64_t a = end(flow.source, flow.source_port);
        const std::uint64_t b = end(flow.destination, flow.destination_port);
        const std::uint64_t protocol = std::uint64_t{flow.protocol} << 56U;
        return fold(std::min(a, b) ^ protocol ^ key_[0], std::max(a, b) ^ key_[1]);
    }

  private:
    __extension__ using Wide = unsigned __int128;

    [[nodiscard]] static std::uint64_t fold(std::uint64_t a, std::uint64_t b) noexcept {
        const Wide product = static_cast<Wide>(a) * b;
        return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64U);
    }

    [[nodiscard]] std::uint64_t end(Ip4 address, L4Port port) const noexcept {
        return std::uint64_t{address.value()} << 16U | port.value();
    }

    [[nodiscard]] std::uint64_t end(Ip6 address, L4Port port) const noexcept {
        const std::uint64_t spread = port.value() * 0x9e3779b97f4a7c15U;
        return fold(address.high() ^ key_[2] ^ spread, address.low() ^ key_[3]);
    }

    std::array<std::uint64_t, 4> key_;
};

}  // namespace vr
