// Ribs: the tables that all peers share.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <type_traits>

#include "bgp/loc_rib.h"
#include "bgp/update_group.h"

namespace vr::bgp {

struct Ribs {
    AttributePool pool;  ///< first: outlives every reference below
    Sources sources;
    const NextHopOracle& oracle;
    NextHops next_hops;
    LocRib<V4> v4;
    LocRib<V6> v6;
    /// Back after a restart and not yet done selecting: no End-of-RIB may be sent (RFC 4724 4.1).
    bool selection_deferred = false;
    UpdateGroups<V4> groups4;
    UpdateGroups<V6> groups6;

    /// `seed`: of the hashes that peers must not be able to foresee.
    Ribs(const NextHopOracle& its_oracle, unsigned multipath, std::uint64_t seed)
        : oracle(its_oracle),
          next_hops(its_oracle),
          v4(next_hops, sources, multipath, seed),
          v6(next_hops, sources, multipath, seed),
          groups4({pool, v4, sources, oracle, next_hops, selection_deferred}),
          groups6({pool, v6, sources, oracle, next_hops, selection_deferred}) {}

    template <Family F>
    [[nodiscard]] LocRib<F>& of() {
        if constexpr (std::is_same_v<F, V4>) {
            return v4;
        } else {
            return v6;
        }
    }

    template <Family F>
    [[nodiscard]] const LocRib<F>& of() const {
        return const_cast<Ribs*>(this)->template of<F>();
    }

    template <Family F>
    [[nodiscard]] UpdateGroups<F>& groups() {
        if constexpr (std::is_same_v<F, V4>) {
            return groups4;
        } else {
            return groups6;
        }
    }
};

}  // namespace vr::bgp
