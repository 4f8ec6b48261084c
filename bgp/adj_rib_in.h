// Adj-RIB-In: the routes of one family that one peer has sent, before any policy; RFC 4271 3.2.
//
// Kept so that a changed import filter is applied without asking the peer again, and so that a lost
// peer costs its own routes only.  A route is fresh, stale (of a session that was lost, or from before a
// refresh, RFC 4724 and RFC 7313: used until the peer has had the chance to confirm it) or leaving (gone
// for good, but still to be taken out of the Loc-RIB).  Ageing all of them moves whole tables, so it
// costs nothing; drain() takes leaving ones out in slices.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <utility>

#include <boost/unordered/unordered_flat_map.hpp>

#include "bgp/attribute_pool.h"
#include "vrouter/net/prefix.h"

namespace vr::bgp {

template <Family F>
class AdjRibIn {
  public:
    /// The route is fresh from now on; false when exactly this one was there already, and fresh.
    bool set(const Prefix<F>& prefix, const AttributesRef& attributes) {
        if (!stale_.empty()) {
            stale_.erase(prefix);
        }
        if (!leaving_.empty()) {
            leaving_.erase(prefix);
        }
        const auto [at, inserted] = fresh_.try_emplace(prefix, attributes);
        if (!inserted) {
            if (at->second == attributes) {
                return false;
            }
            at->second = attributes;
        }
        return true;
    }

    /// False when there was no such route.
    bool erase(const Prefix<F>& prefix) {
        return fresh_.erase(prefix) != 0 || (!stale_.empty() && stale_.erase(prefix) != 0);
    }

    /// Everything is stale until it is set again.
    void age() { pour(fresh_, stale_); }

    /// What is stale leaves.
    void drop_stale() { pour(stale_, leaving_); }

    /// Everything leaves.
    void drop_all() {
        drop_stale();
        pour(fresh_, leaving_);
    }

    /// Takes up to `most` leaving routes out, calling gone(prefix) for each; answers how many.
    template <typename Gone>
    std::size_t drain(std::size_t most, Gone gone) {
        std::size_t count = 0;
        for (auto at = leaving_.begin(); at != leaving_.end() && count < most; ++count) {
            gone(at->first);
            leaving_.erase(at++);
        }
        if (leaving_.empty() && leaving_.bucket_count() != 0) {
            leaving_ = Table{};
        }
        return count;
    }

    /// Calls visit(prefix, attributes, is_stale) for every route.
    template <typename Visit>
    void for_each(Visit visit) const {
        for (const auto& [prefix, attributes] : fresh_) {
            visit(prefix, attributes, false);
        }
        for (const auto& [prefix, attributes] : stale_) {
            visit(prefix, attributes, true);
        }
    }

    /// Routes in force.
    [[nodiscard]] std::size_t size() const noexcept { return fresh_.size() + stale_.size(); }

    [[nodiscard]] std::size_t fresh() const noexcept { return fresh_.size(); }

    [[nodiscard]] std::size_t stale() const noexcept { return stale_.size(); }

    [[nodiscard]] std::size_t leaving() const noexcept { return leaving_.size(); }

  private:
    using Table = boost::unordered_flat_map<Prefix<F>, AttributesRef, std::hash<Prefix<F>>>;

    /// Moves all of `from`, at the cost of the smaller of the two; they never have a prefix in common.
    static void pour(Table& from, Table& into) {
        if (from.size() > into.size()) {
            std::swap(from, into);
        }
        into.insert(from.begin(), from.end());
        from = Table{};
    }

    Table fresh_;
    Table stale_;
    Table leaving_;
};

}  // namespace vr::bgp
