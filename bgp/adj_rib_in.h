// Adj-RIB-In: the routes of one family that one peer has sent, before any policy; RFC 4271 3.2.
//
// Kept so that a changed import filter is applied without asking the peer again, and so that a lost
// peer costs its own routes only.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <boost/unordered/unordered_flat_map.hpp>

#include "bgp/attribute_pool.h"
#include "vrouter/net/prefix.h"

namespace vr::bgp {

template <Family F>
class AdjRibIn {
  public:
    /// False when exactly this route was there already.
    bool set(const Prefix<F>& prefix, const AttributesRef& attributes) {
        const auto [at, inserted] = routes_.try_emplace(prefix, attributes);
        if (!inserted) {
            if (at->second == attributes) {
                return false;
            }
            at->second = attributes;
        }
        return true;
    }

    /// False when there was no such route.
    bool erase(const Prefix<F>& prefix) { return routes_.erase(prefix) != 0; }

    /// Takes up to `most` routes out, calling gone(prefix) for each; answers how many.
    template <typename Gone>
    std::size_t drain(std::size_t most, Gone gone) {
        std::size_t count = 0;
        for (auto at = routes_.begin(); at != routes_.end() && count < most; ++count) {
            gone(at->first);
            routes_.erase(at++);
        }
        return count;
    }

    /// Calls visit(prefix, attributes) for every route.
    template <typename Visit>
    void for_each(Visit visit) const {
        for (const auto& [prefix, attributes] : routes_) {
            visit(prefix, attributes);
        }
    }

    [[nodiscard]] std::size_t size() const noexcept { return routes_.size(); }

  private:
    boost::unordered_flat_map<Prefix<F>, AttributesRef, std::hash<Prefix<F>>> routes_;
};

}  // namespace vr::bgp
