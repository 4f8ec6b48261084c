// SPDX-License-Identifier: Apache-2.0
#include "vrouter/daemon/calico_filter.h"

#include <algorithm>
#include <iterator>

namespace vr::daemon {

namespace {

using In = policy::BgpFilterRule;
using Out = bgp::FilterRule;
using bgp::FilterMatch;

bgp::PrefixRule prefix_rule(const In::Block& block) {
    const unsigned length = length_of(block.cidr);
    const unsigned width = block.cidr.index() == 0 ? V4::kBits : V6::kBits;
    const bool equal = block.match == In::Operator::Equal || block.match == In::Operator::NotEqual;
    const unsigned longest = equal ? length : width;
    return bgp::PrefixRule{
        .prefix = block.cidr,
        .ge = std::max(length, block.least.value_or(length)),
        .le = std::min(longest, block.most.value_or(longest))};
}

bgp::Operation to_operation(const In::Operation& operation) {
    struct Convert {
        bgp::Operation operator()(const In::AddCommunity& what) const {
            return bgp::AddCommunity{to_community(what.value)};
        }

        bgp::Operation operator()(const In::PrependAsPath& what) const {
            return bgp::PrependAsPath{what.numbers};
        }

        bgp::Operation operator()(const In::SetPriority& what) const {
            return bgp::SetLocalPref{local_pref_of(what.value)};
        }
    };

    return std::visit(Convert{}, operation);
}

Out to_rule(const In& from, FilterMatch::Routes routes) {
    Out rule;
    rule.action = from.action == In::Action::Accept ? Out::Action::Accept : Out::Action::Reject;
    FilterMatch& match = rule.match;
    match.routes = routes;
    if (from.block) {
        match.prefixes = {prefix_rule(*from.block)};
        const bool outside =
            from.block->match == In::Operator::NotIn || from.block->match == In::Operator::NotEqual;
        match.where = outside ? FilterMatch::Where::Outside : FilterMatch::Where::Inside;
    }
    if (from.remote_peers) {
        match.source = FilterMatch::Source::Peers;
    }
    if (from.external_peer) {
        match.peer = *from.external_peer ? bgp::PeerKind::External : bgp::PeerKind::Internal;
    }
    match.interface = from.interface;
    std::ranges::transform(from.communities, std::back_inserter(match.communities), to_community);
    match.as_path_prefix = from.as_path_prefix;
    if (from.priority) {
        match.local_pref = local_pref_of(*from.priority);
    }
    std::ranges::transform(from.operations, std::back_inserter(rule.operations), to_operation);
    return rule;
}

/// A route without a LOCAL_PREF has the normal priority: a rule for that one comes twice.
void add_rules(const std::vector<In>& from, FilterMatch::Routes routes, bgp::Filter& into) {
    for (const In& each : from) {
        into.rules.push_back(to_rule(each, routes));
        if (each.priority == kNormalPriority) {
            Out same = into.rules.back();
            same.match.local_pref = bgp::kDefaultLocalPref;
            into.rules.push_back(std::move(same));
        }
    }
}

}  // namespace

bgp::Community to_community(const policy::CommunityValue& value) {
    if (value.parts.size() == 3) {
        return bgp::LargeCommunity{value.parts[0], value.parts[1], value.parts[2]};
    }
    return bgp::StandardCommunity{value.parts[0] << 16U | value.parts[1]};
}

void add_import_rules(const policy::BgpFilter& filter, bgp::Filter& into) {
    add_rules(filter.import4, FilterMatch::Routes::Ipv4, into);
    add_rules(filter.import6, FilterMatch::Routes::Ipv6, into);
}

void add_export_rules(const policy::BgpFilter& filter, bgp::Filter& into) {
    add_rules(filter.export4, FilterMatch::Routes::Ipv4, into);
    add_rules(filter.export6, FilterMatch::Routes::Ipv6, into);
}

}  // namespace vr::daemon
