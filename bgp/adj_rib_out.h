// Adj-RIB-Out: what one peer has been told of one family, and what it must still hear; RFC 4271 3.2.
//
// Wanted state goes in (want, want_nothing), UPDATE messages come out (pack): the difference to what
// was advertised, withdrawals first, announcements bucketed by attribute set.  A slow peer is sent the
// latest state, never the history: a change that is not sent yet is simply overwritten.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include <boost/unordered/unordered_flat_map.hpp>

#include "bgp/attribute_pool.h"
#include "vrouter/net/prefix.h"

namespace vr::bgp {

template <Family F>
class AdjRibOut {
  public:
    /// The peer shall know `prefix` with these attributes; with `again` it is told even what it knows
    /// (RFC 2918).
    void want(const Prefix<F>& prefix, const AttributesRef& attributes, bool again = false);

    /// The peer shall not know `prefix`.
    void want_nothing(const Prefix<F>& prefix);

    /// Appends UPDATEs for at most `most` pending prefixes to `out`; answers how many messages.
    /// Prefixes whose attributes fit no message are withdrawn instead.
    unsigned pack(
        std::size_t most, const AttributeContext& context, std::vector<std::uint8_t>& out);

    [[nodiscard]] bool pending() const noexcept { return !pending_.empty(); }

    /// Prefixes that the peer knows.
    [[nodiscard]] std::size_t advertised() const noexcept { return advertised_.size(); }

    /// What the peer was told of `prefix`; nothing when it knows none.
    [[nodiscard]] AttributesRef find(const Prefix<F>& prefix) const;

    /// Calls visit(prefix, attributes) for all that was advertised.
    template <typename Visit>
    void for_each(Visit visit) const {
        for (const auto& [prefix, attributes] : advertised_) {
            visit(prefix, attributes);
        }
    }

    /// The session ended: the peer knows nothing any more.
    void clear();

  private:
    using Table = boost::unordered_flat_map<Prefix<F>, AttributesRef, std::hash<Prefix<F>>>;

    struct Item {
        Prefix<F> prefix;
        AttributesRef attributes;  ///< nothing: withdraw
    };

    [[nodiscard]] std::vector<Item> take(std::size_t most);

    Table advertised_;
    Table pending_;  ///< nothing: withdraw
};

}  // namespace vr::bgp
