// Which addresses a host's workloads get.  Pure but for the Records that it asks.
//
// Addresses come, in this order, from
//   1. the host's own blocks, of pools that serve it;
//   2. a block of such a pool that nobody has, which is claimed;
//   3. an empty block of another host that is gone or has another one, which is taken over;
//   4. any other block of such a pool: borrowed, unless strict affinity forbids it.
// The second and third keep routes few; borrowed addresses are announced one by one.
//
// Each step is one commit of block, claim and handle together, so that nobody ever sees one without the
// others.  (Calico writes them one after the other, the claim pending until the block is there; what
// such a writer left behind is honoured and finished here.)  Who was slower tries again, kMaxTries times.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "policy/ipam/block.h"
#include "policy/ipam/record.h"
#include "policy/ipam/time.h"

namespace vr::policy::ipam {

inline constexpr unsigned kMaxTries = 100;

/// That are asked for at once.
inline constexpr std::size_t kMaxAddresses = 256;

struct Request {
    std::string host;
    std::string handle;     ///< by which they are released
    Attributes attributes;  ///< "node" and "timestamp" are added
    std::size_t count4 = 0;
    std::size_t count6 = 0;
    std::vector<std::string> pools;  ///< only from these; empty: from all that are automatic
    std::optional<IpAddr> address;   ///< this one, and nothing else
};

enum class Origin : std::uint8_t { Own, Claimed, TakenOver, Borrowed };

[[nodiscard]] std::string_view to_string(Origin origin);

struct Assigned {
    IpAddr address;
    IpPrefix block;
    Origin origin = Origin::Own;

    friend bool operator==(const Assigned&, const Assigned&) = default;
};

/// All that is asked for, or none and the reason.
[[nodiscard]] Result<std::vector<Assigned>> allocate(
    Records& records, const Request& request, Time now);

}  // namespace vr::policy::ipam
