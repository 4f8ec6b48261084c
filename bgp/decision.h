// The decision process, RFC 4271 9.1.2: which of several paths to one prefix is best, and why.
//
// One step per tie-break, in order; a step removes every candidate that loses it.  What survives all
// steps is the best path; what was still equal before the first step that is not about quality
// (Step::RouterId) shares the traffic with it (multipath, over iBGP or eBGP alike).
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "bgp/attributes.h"
#include "bgp/path_source.h"

namespace vr::bgp {

/// The steps in the order in which they are taken.
enum class Step : std::uint8_t {
    NextHop,      ///< an unreachable next hop cannot be used, 9.1.2.1
    LongLived,    ///< what lives on after its peer is the last resort, RFC 9494 4.3
    LocalPref,    ///< highest LOCAL_PREF, 9.1.1
    LocalOrigin,  ///< what this host originates
    AsPath,       ///< shortest AS_PATH, 9.1.2.2 a
    Origin,       ///< lowest ORIGIN, b
    Med,          ///< lowest MULTI_EXIT_DISC among paths from the same AS, c
    PeerKind,     ///< eBGP before iBGP, d
    Metric,       ///< nearest next hop, e
    RouterId,     ///< lowest BGP identifier or ORIGINATOR_ID, f and RFC 4456 9
    ClusterList,  ///< shortest CLUSTER_LIST, RFC 4456 9
    PeerAddress,  ///< lowest peer address, g
    PathId,       ///< lowest path identifier of one peer, RFC 7911
    Loaded,       ///< what this host announces by itself before what was loaded
    Best,         ///< lost no step
};

/// "longer AS path", "best", ...: why a path that ended at `step` is not (or is) the best.
[[nodiscard]] std::string_view to_string(Step step);

/// A candidate; points into the tables for the time of one decision.
struct Path {
    const Attributes* attributes = nullptr;
    const PathSource* source = nullptr;
    std::optional<std::uint32_t> metric;  ///< of its next hop; nothing: unreachable
    std::uint32_t path_id = 0;
    std::uint16_t position = 0;  ///< where the caller keeps it
    Step lost_at = Step::Best;   ///< filled by decide()
    bool multipath = false;      ///< carries traffic; filled by decide()
};

/// Ranks `paths` in place: the best one first when one is usable, each marked with the step at which
/// it fell out.  At most `most` paths are marked multipath.  Answers how many are.
unsigned decide(std::span<Path> paths, unsigned most);

}  // namespace vr::bgp
