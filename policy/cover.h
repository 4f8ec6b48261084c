// Cover: whether one rule's criteria, or those of several rules together, hold for every packet for which
// another's hold, as far as the criteria themselves tell: two different selectors are never compared by
// their members.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <vector>

#include "policy/match.h"
#include "vrouter/net/address_number.h"

namespace vr::policy {

/// True only when no packet can match `narrow` without matching `wide`.
[[nodiscard]] bool covers(const LoweredMatch& wide, const LoweredMatch& narrow);

/// What earlier rules leave of the packets of one rule.  It may hold packets that cannot be, but lacks none
/// that is left: only that it is empty is certain.
class Remainder {
  public:
    explicit Remainder(const LoweredMatch& rule);

    /// Takes away what `earlier` matches, as far as that is certain; true when that was something.
    bool take(const LoweredMatch& earlier);

    [[nodiscard]] bool empty() const { return pieces_.empty(); }

  private:
    /// Both ends included.
    struct Range {
        Wide first;
        Wide last;
    };

    using Ranges = std::vector<Range>;  ///< in any order

    /// Packets of one family: each field lies in one of its ranges.
    struct Piece {
        bool ip6 = false;
        std::array<Ranges, 6> fields;
    };

    static Ranges without(Ranges ranges, const Ranges& taken);
    static bool meet(const Piece& a, const Piece& b);
    static std::vector<Piece> without(const Piece& piece, const Piece& taken);

    /// The pieces of the rule, or of an earlier one: only a name that the rule has is a port to it.
    [[nodiscard]] std::vector<Piece> pieces(const LoweredMatch& match) const;
    template <Family F>
    [[nodiscard]] Piece piece(const LoweredMatch& match) const;
    static Ranges ports(const LoweredSide& side, const LoweredSide& of_rule);
    template <Family F>
    static Ranges addresses(const acl::SideMatch& side);

    LoweredMatch rule_;
    std::vector<Piece> pieces_;
};

}  // namespace vr::policy
