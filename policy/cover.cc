// SPDX-License-Identifier: Apache-2.0
#include "policy/cover.h"

#include <algorithm>
#include <optional>
#include <string>
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

bool not_ports_cover(const LoweredSide& wide, const LoweredSide& narrow) {
    // What wide leaves out, narrow must leave out too; names of other endpoints are other ports.
    return all_within(wide.match.not_ports, narrow.match.not_ports) &&
           (wide.not_names.empty() ||
            (includes(narrow.not_names, wide.not_names) && wide.group == narrow.group));
}

bool side_covers(const LoweredSide& wide, const LoweredSide& narrow, const acl::Match& families) {
    const bool nets4 = !families.ip4 || (positive_covers(wide.match.nets4, narrow.match.nets4) &&
                                         all_within(wide.match.not_nets4, narrow.match.not_nets4));
    const bool nets6 = !families.ip6 || (positive_covers(wide.match.nets6, narrow.match.nets6) &&
                                         all_within(wide.match.not_nets6, narrow.match.not_nets6));
    return nets4 && nets6 && absent_or_same(wide.group, narrow.group) &&
           absent_or_same(wide.not_group, narrow.not_group) && ports_cover(wide, narrow) &&
           not_ports_cover(wide, narrow);
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

}  // namespace vr::policy
