// Traffic in memory: a port that makes 64-byte packets, and one that checks and swallows them.
//
// Both are ports of the measured worker itself, so that what is measured is one core: the source writes
// the header of a precomputed flow into a buffer from the pool, the sink verifies one packet of every
// burst (hops, checksum, link header) and frees all.  No ring, no NIC: headers are hot in the first
// cache, bursts are always full.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <rte_mbuf.h>

#include <array>
#include <cstdint>
#include <vector>

#include "test/dataplane/packet_builder.h"
#include "vrouter/dataplane/port.h"

namespace vr::perf {

inline constexpr std::size_t kFrameSize = 64;

/// What tells the packets of one flow from those of another.
template <Family F>
struct TrafficFlow {
    typename F::Addr source;
    typename F::Addr destination;
    L4Port source_port;
    L4Port destination_port;
};

template <Family F>
class TrafficSource final : public Port {
  public:
    /// Packets of `flows`, one after the other, again and again, to the router's address `router`.
    TrafficSource(Mac mac, Mac sender, const std::vector<TrafficFlow<F>>& flows, rte_mempool* pool);

    [[nodiscard]] PortIo io() noexcept override { return {.self = this, .rx = rx, .tx = tx}; }

    [[nodiscard]] PortStatus status() const override { return {true, "source", ""}; }

    [[nodiscard]] Mac mac() const override { return mac_; }

    [[nodiscard]] std::uint16_t mtu() const override { return 1500; }

    [[nodiscard]] std::uint64_t made() const { return made_; }

    /// Makes `count` packets more, then none.
    void allow(std::uint64_t count) { left_ = count; }

    static std::uint16_t rx(
        void* self, std::uint16_t queue, rte_mbuf** packets, std::uint16_t count) noexcept;
    static std::uint16_t tx(
        void* self, std::uint16_t queue, rte_mbuf** packets, std::uint16_t count) noexcept;

  private:
    /// The bytes of a frame that differ from flow to flow, from the IPv4 checksum or the IPv6 source
    /// on: one piece in either family.
    static constexpr std::size_t kVaryingAt = test::kIp + (F::kVersion == 4 ? 10 : 8);
    static constexpr std::size_t kVarying = F::kVersion == 4 ? 14 : 36;
    using Varying = std::array<std::uint8_t, kVarying>;

    Mac mac_;
    rte_mempool* pool_;
    alignas(64) std::array<std::uint8_t, kFrameSize> frame_{};
    std::vector<Varying> flows_;
    std::size_t next_ = 0;
    std::uint64_t made_ = 0;
    std::uint64_t left_ = 0;
};

template <Family F>
class TrafficSink final : public Port {
  public:
    /// Packets must arrive with this link destination and so many hops left.
    TrafficSink(Mac mac, Mac receiver, std::uint8_t hops)
        : mac_(mac), receiver_(receiver), hops_(hops) {}

    [[nodiscard]] PortIo io() noexcept override { return {.self = this, .rx = rx, .tx = tx}; }

    [[nodiscard]] PortStatus status() const override { return {true, "sink", ""}; }

    [[nodiscard]] Mac mac() const override { return mac_; }

    [[nodiscard]] std::uint16_t mtu() const override { return 1500; }

    [[nodiscard]] std::uint64_t taken() const { return taken_; }

    [[nodiscard]] std::uint64_t bad() const { return bad_; }

    static std::uint16_t rx(
        void* self, std::uint16_t queue, rte_mbuf** packets, std::uint16_t count) noexcept;
    static std::uint16_t tx(
        void* self, std::uint16_t queue, rte_mbuf** packets, std::uint16_t count) noexcept;

  private:
    [[nodiscard]] bool right(const rte_mbuf* packet) const noexcept;

    Mac mac_;
    Mac receiver_;
    std::uint8_t hops_;
    std::uint64_t taken_ = 0;
    std::uint64_t bad_ = 0;
};

}  // namespace vr::perf
