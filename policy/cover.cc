// SPDX-License-Identifier: Apache-2.0
#include "policy/cover.h"

#include <algorithm>
#include <concepts>
#include <iterator>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

namespace vr::policy {

namespace {

bool within(const acl::PortRange& inner, const acl::PortRange& outer) {
    return outer.first <= inner.first && inner.last <= outer.last;
}

template <Family F>
bool within(const Prefix<F>& inner, const Prefix<F>& outer) {
    return outer.contains(inner);
}

/// Each of `inner` lies in one of `outer`.
template <typename Block>
bool all_within(const std::vector<Block>& inner, const std::vector<Block>& outer) {
    return std::ranges::all_of(inner, [&](const Block& block) {
        return std::ranges::any_of(outer, [&](const Block& by) { return within(block, by); });
    });
}

/// One of a list, where an empty list is no criterion.
template <typename Block>
bool positive_covers(const std::vector<Block>& wide, const std::vector<Block>& narrow) {
    return wide.empty() || (!narrow.empty() && all_within(narrow, wide));
}

/// A criterion that is absent, or the same on both sides.
template <typename T>
bool absent_or_same(const std::optional<T>& wide, const std::optional<T>& narrow) {
    return !wide || (narrow && *wide == *narrow);
}

bool includes(const std::vector<std::string>& names, const std::vector<std::string>& wanted) {
    return std::ranges::all_of(
        wanted, [&](const auto& name) { return std::ranges::count(names, name) > 0; });
}

bool ports_cover(const LoweredSide& wide, const LoweredSide& narrow) {
    if (wide.match.ports.empty() && wide.names.empty()) {
        return true;
    }
    // A name stands for fewer ports the fewer endpoints it is asked of, so narrower groups are fine.
    return (!narrow.match.ports.empty() || !narrow.names.empty()) &&
           all_within(narrow.match.ports, wide.match.ports) && includes(wide.names, narrow.names);
}

/// Selectors and excepted names: what wide leaves out, narrow must leave out too, and names of other
/// endpoints are other ports.
bool names_cover(const LoweredSide& wide, const LoweredSide& narrow) {
    return absent_or_same(wide.group, narrow.group) &&
           absent_or_same(wide.not_group, narrow.not_group) &&
           (wide.not_names.empty() ||
            (includes(narrow.not_names, wide.not_names) && wide.group == narrow.group));
}

bool side_covers(const LoweredSide& wide, const LoweredSide& narrow, const acl::Match& families) {
    const bool nets4 = !families.ip4 || (positive_covers(wide.match.nets4, narrow.match.nets4) &&
                                         all_within(wide.match.not_nets4, narrow.match.not_nets4));
    const bool nets6 = !families.ip6 || (positive_covers(wide.match.nets6, narrow.match.nets6) &&
                                         all_within(wide.match.not_nets6, narrow.match.not_nets6));
    return nets4 && nets6 && names_cover(wide, narrow) && ports_cover(wide, narrow) &&
           all_within(wide.match.not_ports, narrow.match.not_ports);
}

bool icmp_covers(
    const std::optional<acl::IcmpMatch>& wide, const std::optional<acl::IcmpMatch>& narrow) {
    return !wide ||
           (narrow && wide->type == narrow->type && (!wide->code || wide->code == narrow->code));
}

bool not_protocol_covers(const acl::Match& wide, const acl::Match& narrow) {
    return !wide.not_protocol || narrow.not_protocol == wide.not_protocol ||
           (narrow.protocol && narrow.protocol != wide.not_protocol);
}

}  // namespace

bool covers(const LoweredMatch& wide, const LoweredMatch& narrow) {
    const acl::Match& w = wide.match;
    const acl::Match& n = narrow.match;
    return (w.ip4 || !n.ip4) && (w.ip6 || !n.ip6) && absent_or_same(w.protocol, n.protocol) &&
           not_protocol_covers(w, n) && icmp_covers(w.icmp, n.icmp) &&
           absent_or_same(w.not_icmp, n.not_icmp) && side_covers(wide.source, narrow.source, n) &&
           side_covers(wide.destination, narrow.destination, n);
}

namespace {

/// Beyond this nothing more is taken away.
constexpr std::size_t kMostPieces = 256;

/// In a range of ports: a packet without ports, and the named ports of a rule after it.
constexpr Wide kNoPorts = 65536;
constexpr Wide kFirstName = kNoPorts + 1;

constexpr Wide icmp_number(std::uint8_t type, std::uint8_t code) {
    return Wide{type} << 8U | code;
}

bool overlap(const acl::PortRange& a, const acl::PortRange& b) {
    return a.first <= b.last && b.first <= a.last;
}

template <Family F>
bool overlap(const Prefix<F>& a, const Prefix<F>& b) {
    return within(a, b) || within(b, a);
}

/// No block of one list overlaps one of the other; an empty list is no criterion.
template <typename Block>
bool apart(const std::vector<Block>& some, const std::vector<Block>& others) {
    const auto reaches = [&](const Block& one) {
        return std::ranges::any_of(others, [&](const Block& other) { return overlap(one, other); });
    };
    return !some.empty() && !others.empty() && std::ranges::none_of(some, reaches);
}

bool apart(const LoweredSide& a, const LoweredSide& b, const acl::Match& families) {
    return ((!families.ip4 || apart(a.match.nets4, b.match.nets4)) &&
            (!families.ip6 || apart(a.match.nets6, b.match.nets6))) ||
           (a.names.empty() && b.names.empty() && apart(a.match.ports, b.match.ports));
}

/// No packet matches both, as is seen at a glance of most pairs of rules.
bool apart(const LoweredMatch& a, const LoweredMatch& b) {
    return (a.match.protocol && b.match.protocol && a.match.protocol != b.match.protocol) ||
           apart(a.source, b.source, b.match) || apart(a.destination, b.destination, b.match);
}

}  // namespace

Remainder::Remainder(const LoweredMatch& rule) : rule_(rule), pieces_(pieces(rule)) {}

bool Remainder::take(const LoweredMatch& earlier) {
    if (apart(earlier, rule_) || !names_cover(earlier.source, rule_.source) ||
        !names_cover(earlier.destination, rule_.destination) ||
        !absent_or_same(earlier.match.not_icmp, rule_.match.not_icmp)) {
        return false;
    }
    bool took = false;
    for (const Piece& taken : pieces(earlier)) {
        std::vector<Piece> left;
        bool met = false;
        for (const Piece& piece : pieces_) {
            if (meet(piece, taken)) {
                std::ranges::move(without(piece, taken), std::back_inserter(left));
                met = true;
            } else {
                left.push_back(piece);
            }
        }
        if (met && left.size() <= kMostPieces) {
            pieces_ = std::move(left);
            took = true;
        }
    }
    return took;
}

Remainder::Ranges Remainder::without(Ranges ranges, const Ranges& taken) {
    for (const Range& hole : taken) {
        Ranges left;
        for (const Range& range : ranges) {
            if (hole.last < range.first || range.last < hole.first) {
                left.push_back(range);
                continue;
            }
            if (range.first < hole.first) {
                left.push_back({range.first, hole.first - 1});
            }
            if (hole.last < range.last) {
                left.push_back({hole.last + 1, range.last});
            }
        }
        ranges = std::move(left);
    }
    return ranges;
}

bool Remainder::meet(const Piece& a, const Piece& b) {
    const auto meet_in = [](const Ranges& some, const Ranges& others) {
        return std::ranges::any_of(some, [&](const Range& one) {
            return std::ranges::any_of(others, [&](const Range& other) {
                return one.first <= other.last && other.first <= one.last;
            });
        });
    };
    return a.ip6 == b.ip6 && std::ranges::equal(a.fields, b.fields, meet_in);
}

std::vector<Remainder::Piece> Remainder::without(const Piece& piece, const Piece& taken) {
    std::vector<Piece> left;
    Piece inside = piece;  // in the fields so far
    for (std::size_t i = 0; i < inside.fields.size(); ++i) {
        Ranges outside = without(inside.fields[i], taken.fields[i]);
        if (outside.empty()) {
            continue;
        }
        Ranges both = without(inside.fields[i], outside);
        left.push_back(inside);
        left.back().fields[i] = std::move(outside);
        inside.fields[i] = std::move(both);
    }
    return left;
}

std::vector<Remainder::Piece> Remainder::pieces(const LoweredMatch& match) const {
    std::vector<Piece> all;
    if (match.match.ip4) {
        all.push_back(piece<V4>(match));
    }
    if (match.match.ip6) {
        all.push_back(piece<V6>(match));
    }
    std::erase_if(
        all, [](const Piece& one) { return std::ranges::any_of(one.fields, &Ranges::empty); });
    return all;
}

template <Family F>
Remainder::Piece Remainder::piece(const LoweredMatch& match) const {
    const acl::Match& m = match.match;
    Ranges protocols{{m.protocol.value_or(0), m.protocol.value_or(255)}};
    if (m.not_protocol) {
        protocols = without(std::move(protocols), {{*m.not_protocol, *m.not_protocol}});
    }
    Range icmp{icmp_number(0, 0), icmp_number(255, 255)};
    if (m.icmp) {
        icmp = {
            icmp_number(m.icmp->type, m.icmp->code.value_or(0)),
            icmp_number(m.icmp->type, m.icmp->code.value_or(255))};
    }
    return {
        std::same_as<F, V6>,
        {protocols,
         {icmp},
         ports(match.source, rule_.source),
         ports(match.destination, rule_.destination),
         addresses<F>(match.source.match),
         addresses<F>(match.destination.match)}};
}

Remainder::Ranges Remainder::ports(const LoweredSide& side, const LoweredSide& of_rule) {
    const auto numbers = [](const std::vector<acl::PortRange>& ports) {
        Ranges ranges;
        for (const acl::PortRange& range : ports) {
            ranges.push_back({range.first.value(), range.last.value()});
        }
        return ranges;
    };
    const Wide last = kNoPorts + of_rule.names.size();
    Ranges ranges = numbers(side.match.ports);
    for (const std::string& name : side.names) {
        const auto known = std::ranges::find(of_rule.names, name);
        if (known != of_rule.names.end()) {
            const Wide port = kFirstName + static_cast<Wide>(known - of_rule.names.begin());
            ranges.push_back({port, port});
        }
    }
    if (side.match.ports.empty() && side.names.empty()) {
        ranges.push_back({0, last});
    }
    ranges = without(std::move(ranges), numbers(side.match.not_ports));
    if (last > kNoPorts && !all_within(side.match.not_ports, of_rule.match.not_ports)) {
        ranges = without(std::move(ranges), {{kFirstName, last}});  // may be one of those ports
    }
    return ranges;
}

template <Family F>
Remainder::Ranges Remainder::addresses(const acl::SideMatch& side) {
    const auto numbers = [](const std::vector<Prefix<F>>& nets) {
        Ranges ranges;
        for (const Prefix<F>& net : nets) {
            const Wide first = number<F>(net.address());
            ranges.push_back({first, last_of(first, F::kBits - net.length())});
        }
        return ranges;
    };
    const auto& [nets, not_nets] = [&] {
        if constexpr (std::same_as<F, V4>) {
            return std::tie(side.nets4, side.not_nets4);
        } else {
            return std::tie(side.nets6, side.not_nets6);
        }
    }();
    const Ranges all{{0, last_of(0, F::kBits)}};
    return without(nets.empty() ? all : numbers(nets), numbers(not_nets));
}

}  // namespace vr::policy
