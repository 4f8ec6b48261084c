// SPDX-License-Identifier: Apache-2.0
#include "vrouter/dataplane/rule_boxes.h"

#include <algorithm>
#include <concepts>
#include <iterator>
#include <optional>
#include <utility>

#include "vrouter/net/address_number.h"

namespace vr::acl {

namespace {

/// Boxes that are cut down criterion by criterion: each allows some alternatives.
class Boxes {
  public:
    /// A criterion that allows what lies in one of `alternatives`.
    void restrict(const std::vector<HeaderBox>& alternatives) {
        std::vector<HeaderBox> left;
        for (const HeaderBox& box : boxes_) {
            for (const HeaderBox& alternative : alternatives) {
                if (const auto both = intersection(box, alternative)) {
                    left.push_back(*both);
                }
            }
        }
        boxes_ = std::move(left);
    }

    [[nodiscard]] std::vector<HeaderBox> take() { return std::move(boxes_); }

  private:
    [[nodiscard]] static std::optional<HeaderBox> intersection(
        const HeaderBox& a, const HeaderBox& b) {
        HeaderBox both{};
        for (std::size_t i = 0; i < kHeaderFields; ++i) {
            both[i] = {std::max(a[i].first, b[i].first), std::min(a[i].last, b[i].last)};
            if (both[i].first > both[i].last) {
                return std::nullopt;
            }
        }
        return both;
    }

    std::vector<HeaderBox> boxes_{kAnyHeader};
};

HeaderBox with(HeaderBox box, HeaderField field, Interval interval) {
    box[field] = interval;
    return box;
}

/// `box` with values of `field` that are in none of `unwanted`.
void add_outside(
    std::vector<HeaderBox>& boxes,
    const HeaderBox& box,
    HeaderField field,
    std::vector<Interval> unwanted) {
    std::erase_if(unwanted, [](const Interval& i) { return i.first > i.last; });
    std::ranges::sort(unwanted, {}, &Interval::first);
    std::uint32_t next = kAnyHeader[field].first;
    for (const Interval& interval : unwanted) {
        if (interval.first > next) {
            const Interval gap{
                static_cast<std::uint16_t>(next), static_cast<std::uint16_t>(interval.first - 1)};
            boxes.push_back(with(box, field, gap));
        }
        next = std::max(next, interval.last + std::uint32_t{1});
    }
    if (next <= kAnyHeader[field].last) {
        boxes.push_back(
            with(box, field, {static_cast<std::uint16_t>(next), kAnyHeader[field].last}));
    }
}

void restrict_ports(Boxes& boxes, const SideMatch& side, HeaderField field) {
    const HeaderBox with_ports = with(kAnyHeader, kHasPorts, {1, 1});
    const auto interval = [](const PortRange& range) {
        return Interval{range.first.value(), range.last.value()};
    };
    if (!side.ports.empty()) {
        std::vector<HeaderBox> wanted;
        for (const PortRange& range : side.ports) {
            wanted.push_back(with(with_ports, field, interval(range)));
        }
        boxes.restrict(wanted);
    }
    if (!side.not_ports.empty()) {
        std::vector<HeaderBox> wanted{with(kAnyHeader, kHasPorts, {0, 0})};
        std::vector<Interval> unwanted;
        std::ranges::transform(side.not_ports, std::back_inserter(unwanted), interval);
        add_outside(wanted, with_ports, field, std::move(unwanted));
        boxes.restrict(wanted);
    }
}

void restrict_icmp(Boxes& boxes, const Match& match, std::uint8_t icmp) {
    if (match.icmp) {
        HeaderBox box = with(kAnyHeader, kProtocol, {icmp, icmp});
        box[kIcmpType] = {match.icmp->type, match.icmp->type};
        if (match.icmp->code) {
            box[kIcmpCode] = {*match.icmp->code, *match.icmp->code};
        }
        boxes.restrict({box});
    }
    if (match.not_icmp) {
        const std::uint8_t type = match.not_icmp->type;
        std::vector<HeaderBox> wanted;
        add_outside(wanted, kAnyHeader, kProtocol, {{icmp, icmp}});
        add_outside(wanted, kAnyHeader, kIcmpType, {{type, type}});
        if (const auto code = match.not_icmp->code) {
            add_outside(
                wanted, with(kAnyHeader, kIcmpType, {type, type}), kIcmpCode, {{*code, *code}});
        }
        boxes.restrict(wanted);
    }
}

template <Family F>
typename F::Addr address(Wide number) {
    if constexpr (std::same_as<F, V4>) {
        return Ip4{static_cast<std::uint32_t>(number)};
    } else {
        return Ip6{static_cast<std::uint64_t>(number >> 64U), static_cast<std::uint64_t>(number)};
    }
}

/// The fewest prefixes that cover first..last.
template <Family F>
void add_prefixes(Wide first, Wide last, std::vector<Prefix<F>>& prefixes) {
    while (true) {
        unsigned bits = 0;
        while (bits < F::kBits && (first >> bits & 1U) == 0 && last_of(first, bits + 1) <= last) {
            ++bits;
        }
        prefixes.push_back(*Prefix<F>::make(address<F>(first), F::kBits - bits));
        const Wide end = last_of(first, bits);
        if (end == last) {
            return;
        }
        first = end + 1;
    }
}

/// Takes the nets of `unwanted`, sorted, away from `net`.
template <Family F>
void add_without(
    const Prefix<F>& net,
    const std::vector<Prefix<F>>& unwanted,
    std::vector<Prefix<F>>& prefixes) {
    Wide next = number<F>(net.address());
    const Wide last = last_of(next, F::kBits - net.length());
    for (const Prefix<F>& hole : unwanted) {
        if (hole.contains(net)) {
            return;
        }
        // Nets lie within each other or apart.
        if (!net.contains(hole) || number<F>(hole.address()) < next) {
            continue;
        }
        const Wide begin = number<F>(hole.address());
        if (begin > next) {
            add_prefixes<F>(next, begin - 1, prefixes);
        }
        const Wide end = last_of(begin, F::kBits - hole.length());
        if (end == last) {
            return;
        }
        next = end + 1;
    }
    add_prefixes<F>(next, last, prefixes);
}

}  // namespace

std::vector<HeaderBox> header_boxes(const Match& match, std::uint8_t icmp) {
    Boxes boxes;
    if (match.protocol) {
        boxes.restrict({with(kAnyHeader, kProtocol, {*match.protocol, *match.protocol})});
    }
    if (match.not_protocol) {
        std::vector<HeaderBox> wanted;
        add_outside(wanted, kAnyHeader, kProtocol, {{*match.not_protocol, *match.not_protocol}});
        boxes.restrict(wanted);
    }
    restrict_icmp(boxes, match, icmp);
    restrict_ports(boxes, match.source, kSourcePort);
    restrict_ports(boxes, match.destination, kDestinationPort);
    return boxes.take();
}

template <Family F>
bool asks_for_address(const SideMatch& match) {
    if constexpr (std::same_as<F, V4>) {
        return !match.nets4.empty() || !match.not_nets4.empty();
    } else {
        return !match.nets6.empty() || !match.not_nets6.empty();
    }
}

template <Family F>
std::vector<Prefix<F>> address_prefixes(const SideMatch& match) {
    std::vector<Prefix<F>> wanted;
    std::vector<Prefix<F>> unwanted;
    if constexpr (std::same_as<F, V4>) {
        wanted = match.nets4;
        unwanted = match.not_nets4;
    } else {
        wanted = match.nets6;
        unwanted = match.not_nets6;
    }
    if (wanted.empty()) {
        wanted.emplace_back();
    }
    // By address, the shorter first.
    std::ranges::sort(unwanted);
    std::vector<Prefix<F>> prefixes;
    for (const Prefix<F>& net : wanted) {
        add_without<F>(net, unwanted, prefixes);
    }
    return prefixes;
}

template bool asks_for_address<V4>(const SideMatch&);
template bool asks_for_address<V6>(const SideMatch&);
template std::vector<Prefix<V4>> address_prefixes<V4>(const SideMatch&);
template std::vector<Prefix<V6>> address_prefixes<V6>(const SideMatch&);

}  // namespace vr::acl
