// SPDX-License-Identifier: Apache-2.0
#include "policy/walk.h"

#include <algorithm>

namespace vr::policy {

namespace {

bool in_any(const std::vector<acl::PortRange>& ports, L4Port port) {
    return std::ranges::any_of(
        ports, [&](const auto& range) { return range.first <= port && port <= range.last; });
}

template <Family F>
bool in_any(const std::vector<Prefix<F>>& nets, typename F::Addr address) {
    return std::ranges::any_of(nets, [&](const auto& net) { return net.contains(address); });
}

template <Family F>
bool side_matches(
    const acl::SideMatch& side,
    typename F::Addr address,
    L4Port port,
    bool has_ports,
    const Membership& is_member) {
    const auto& [nets, not_nets] = [&] {
        if constexpr (F::kVersion == 4) {
            return std::tie(side.nets4, side.not_nets4);
        } else {
            return std::tie(side.nets6, side.not_nets6);
        }
    }();
    return (nets.empty() || in_any<F>(nets, address)) && !in_any<F>(not_nets, address) &&
           (!side.group || is_member(*side.group, address)) &&
           (!side.not_group || !is_member(*side.not_group, address)) &&
           (side.ports.empty() || (has_ports && in_any(side.ports, port))) &&
           !(has_ports && in_any(side.not_ports, port));
}

template <Family F>
bool icmp_matches(const acl::IcmpMatch& icmp, const acl::Packet<F>& packet) {
    return icmp.type == packet.icmp_type && (!icmp.code || *icmp.code == packet.icmp_code);
}

template <Family F>
bool rule_matches(
    const acl::Match& match, const acl::Packet<F>& packet, const Membership& is_member) {
    return (F::kVersion == 4 ? match.ip4 : match.ip6) &&
           (!match.protocol || *match.protocol == packet.protocol) &&
           (!match.not_protocol || *match.not_protocol != packet.protocol) &&
           (!match.icmp || icmp_matches(*match.icmp, packet)) &&
           (!match.not_icmp || !icmp_matches(*match.not_icmp, packet)) &&
           side_matches<F>(
               match.source, packet.source, packet.source_port, packet.has_ports, is_member) &&
           side_matches<F>(
               match.destination,
               packet.destination,
               packet.destination_port,
               packet.has_ports,
               is_member);
}

}  // namespace

template <Family F>
acl::Verdict walk(
    const acl::Program& program, const acl::Packet<F>& packet, const Membership& is_member) {
    acl::Verdict verdict;
    std::uint32_t index = 0;
    while (index < program.rules.size()) {
        const acl::Rule& rule = program.rules[index];
        const std::uint32_t here = index++;
        if (!rule_matches(rule.match, packet, is_member)) {
            continue;
        }
        switch (rule.action) {
            case acl::Action::Allow:
            case acl::Action::Deny:
            case acl::Action::Reject:
                verdict.reject = rule.action == acl::Action::Reject;
                verdict.allow = rule.action == acl::Action::Allow;
                verdict.rule = here;
                return verdict;
            case acl::Action::Jump:
                index = rule.target;
                break;
            case acl::Action::Log:
                verdict.logged = here;
                break;
        }
    }
    return verdict;
}

template acl::Verdict walk(const acl::Program&, const acl::Packet<V4>&, const Membership&);
template acl::Verdict walk(const acl::Program&, const acl::Packet<V6>&, const Membership&);

std::optional<acl::Origin> origin_of(const acl::Program& program, const acl::Verdict& verdict) {
    if (verdict.rule >= program.rules.size()) {
        return std::nullopt;
    }
    return program.origins[program.rules[verdict.rule].origin];
}

}  // namespace vr::policy
