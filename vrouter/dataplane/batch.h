// Batch<F>: up to 32 packets of one family from one port on their way through the pipeline.
//
// Facts are kept by column, so that bulk lookups take them as they lie.  Bit i of `live` says that
// packet i is still on its way; a stage that ends a packet's way clears the bit.  Only what two stages
// share stands here.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <rte_mbuf.h>

#include <array>
#include <bit>
#include <cstdint>

#include "vrouter/dataplane/facts.h"
#include "vrouter/dataplane/flow_table.h"
#include "vrouter/dataplane/tables.h"

namespace vr {

inline constexpr unsigned kMaxBatch = 32;

/// Set of packets of a batch.
using PacketMask = std::uint32_t;

template <Family F>
struct Batch {
    using Addr = typename F::Addr;

    unsigned count = 0;
    PacketMask live = 0;
    PortId in;
    const PortEntry* in_port = nullptr;
    std::array<rte_mbuf*, kMaxBatch> packets;
    alignas(64) std::array<Addr, kMaxBatch> source;
    alignas(64) std::array<Addr, kMaxBatch> destination;
    alignas(64) std::array<PacketFacts, kMaxBatch> facts;
    alignas(64) std::array<std::uint32_t, kMaxBatch> next_hop;  ///< NextHopId after ECMP
    std::array<const NextHop*, kMaxBatch> hop;
    std::array<FlowKey<F>, kMaxBatch> quoted;  ///< ICMP errors: the packet that they are about
    PacketMask link_local = 0;                 ///< source or destination is
    PacketMask fresh = 0;                      ///< belong to no known flow: policy must judge them
    PacketMask remember = 0;   ///< fresh, and to be entered into the flow table if allowed
    PacketMask untracked = 0;  ///< allowed by a host endpoint without a flow
    PacketMask spoofed = 0;    ///< from an address of others that the sender may use: has no flow
    // Of floating addresses, see translate.cc: `destination` is what is behind one.
    PacketMask inward = 0;                              ///< sent to one
    PacketMask outward = 0;                             ///< to be sent in the name of one
    std::array<Translation<F>, kMaxBatch> translation;  ///< of the packets of both
    /// Of natOutgoing, see return_mapped.cc: inward, and sent to the host's address.
    PacketMask returned = 0;
};

/// Calls `visit(i)` for every packet of `mask`; the full batch runs as a plain loop.
template <typename Visit>
inline void for_each(PacketMask mask, unsigned count, Visit visit) noexcept {
    if (std::popcount(mask) == static_cast<int>(count)) {
        for (unsigned i = 0; i < count; ++i) {
            visit(i);
        }
        return;
    }
    for (; mask != 0; mask &= mask - 1) {
        visit(static_cast<unsigned>(std::countr_zero(mask)));
    }
}

[[nodiscard]] constexpr PacketMask first_packets(unsigned count) noexcept {
    return count >= kMaxBatch ? ~PacketMask{0} : (PacketMask{1} << count) - 1;
}

}  // namespace vr
