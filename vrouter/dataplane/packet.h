// Packet: one packet in the hands of the control thread.  Owns its buffer; gives it away to a worker.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "vrouter/net/ids.h"

struct rte_mbuf;
struct rte_mempool;

namespace vr {

struct PacketNote;

class Packet {
  public:
    Packet() noexcept = default;

    /// Takes over a buffer.
    explicit Packet(rte_mbuf* buffer) noexcept : buffer_(buffer) {}

    /// A copy of `frame`; empty when no buffer is free or the frame is too long for one.
    [[nodiscard]] static Packet copy_of(
        rte_mempool* pool, std::span<const std::uint8_t> frame) noexcept;

    [[nodiscard]] explicit operator bool() const noexcept { return buffer_ != nullptr; }

    /// The frame from its link header on, as far as it lies in one piece.
    [[nodiscard]] std::span<std::uint8_t> frame() const noexcept;

    [[nodiscard]] PacketNote& note() const noexcept;

    [[nodiscard]] rte_mbuf* get() const noexcept { return buffer_.get(); }

    [[nodiscard]] rte_mbuf* release() noexcept { return buffer_.release(); }

  private:
    struct Free {
        void operator()(rte_mbuf* buffer) const noexcept;
    };

    std::unique_ptr<rte_mbuf, Free> buffer_;
};

/// Cuts an IPv4 packet (behind its link header) into fragments of at most `mtu` bytes; an empty list
/// when that is not possible.  RFC 791 3.2.
[[nodiscard]] std::vector<Packet> fragment_ip4(
    const Packet& packet, std::uint16_t mtu, rte_mempool* pool);

}  // namespace vr
