// SPDX-License-Identifier: Apache-2.0
#include "ctl/bgp_row.h"

#include <variant>

#include "bgp/community.h"
#include "vrouter/net/zone.h"

namespace vr::ctl {

namespace {

/// The link-local one where there is no other; none where it is our own, and each peer is told another.
void fill_next_hop(const bgp::Attributes& set, pb::BgpRoute& row) {
    const bool named =
        std::visit([](const auto& each) { return !each.is_unspecified(); }, set.next_hop);
    if (named) {
        row.set_next_hop(to_string(without_zone(set.next_hop)));
    }
    if (set.next_hop_link_local) {
        const std::string second = to_string(without_zone(*set.next_hop_link_local));
        named ? row.set_next_hop_link_local(second) : row.set_next_hop(second);
    }
}

}  // namespace

void fill_attributes(const bgp::Attributes& set, pb::BgpRoute& row) {
    fill_next_hop(set, row);
    row.set_as_path(set.as_path.text());
    row.set_origin(
        set.origin == bgp::Origin::Igp   ? "igp"
        : set.origin == bgp::Origin::Egp ? "egp"
                                         : "incomplete");
    if (set.local_pref) {
        row.set_local_pref(*set.local_pref);
    }
    if (set.med) {
        row.set_med(*set.med);
    }
    for (const std::uint32_t each : set.communities) {
        row.add_communities(to_string(bgp::Community{bgp::StandardCommunity{each}}));
    }
    for (const bgp::LargeCommunity& each : set.large_communities) {
        row.add_communities(to_string(bgp::Community{each}));
    }
    for (const std::uint64_t each : set.extended_communities) {
        row.add_communities(to_string(bgp::Community{bgp::ExtendedCommunity{each}}));
    }
    row.set_attributes(to_string(set));
}

bool say_restarted(pb::Response& frame) {
    frame.mutable_error()->set_code(pb::Error::CODE_REFUSED);
    frame.mutable_error()->set_text("BGP was restarted meanwhile: ask again");
    return false;
}

}  // namespace vr::ctl
