// What a Classifier must answer, by asking rule after rule; and programs and packets at random, drawn
// from few values so that they meet.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <random>
#include <vector>

#include "vrouter/dataplane/acl.h"
#include "vrouter/dataplane/groups.h"

namespace vr::acl {

template <Family F>
[[nodiscard]] const std::vector<Prefix<F>>& nets_of(const SideMatch& side) {
    if constexpr (std::same_as<F, V4>) {
        return side.nets4;
    } else {
        return side.nets6;
    }
}

template <Family F>
[[nodiscard]] const std::vector<Prefix<F>>& not_nets_of(const SideMatch& side) {
    if constexpr (std::same_as<F, V4>) {
        return side.not_nets4;
    } else {
        return side.not_nets6;
    }
}

template <Family F>
[[nodiscard]] bool side_matches(
    const SideMatch& side,
    typename F::Addr address,
    L4Port port,
    bool has_ports,
    const GroupSet& groups) {
    const auto holds_address = [&](const auto& net) { return net.contains(address); };
    const auto holds_port = [&](const PortRange& range) {
        return has_ports && range.first <= port && port <= range.last;
    };
    const auto& nets = nets_of<F>(side);
    return (nets.empty() || std::ranges::any_of(nets, holds_address)) &&
           std::ranges::none_of(not_nets_of<F>(side), holds_address) &&
           (!side.group || groups.contains(*side.group)) &&
           (!side.not_group || !groups.contains(*side.not_group)) &&
           (side.ports.empty() || std::ranges::any_of(side.ports, holds_port)) &&
           std::ranges::none_of(side.not_ports, holds_port);
}

template <Family F>
[[nodiscard]] bool rule_matches(
    const Match& match,
    const Packet<F>& packet,
    const GroupSet& source,
    const GroupSet& destination) {
    constexpr std::uint8_t kIcmpNumber = F::kVersion == 4 ? 1 : 58;
    const auto holds_icmp = [&](const IcmpMatch& icmp) {
        return packet.protocol == kIcmpNumber && packet.icmp_type == icmp.type &&
               (!icmp.code || *icmp.code == packet.icmp_code);
    };
    return (F::kVersion == 4 ? match.ip4 : match.ip6) &&
           (!match.protocol || *match.protocol == packet.protocol) &&
           (!match.not_protocol || *match.not_protocol != packet.protocol) &&
           (!match.icmp || holds_icmp(*match.icmp)) &&
           (!match.not_icmp || !holds_icmp(*match.not_icmp)) &&
           side_matches<F>(
               match.source, packet.source, packet.source_port, packet.has_ports, source) &&
           side_matches<F>(
               match.destination,
               packet.destination,
               packet.destination_port,
               packet.has_ports,
               destination);
}

template <Family F>
[[nodiscard]] Verdict linear_verdict(
    const Program& program,
    const Packet<F>& packet,
    const GroupSet& source,
    const GroupSet& destination) {
    Verdict verdict;
    for (std::uint32_t at = 0; at < program.rules.size();) {
        const Rule& rule = program.rules[at];
        if (!rule_matches<F>(rule.match, packet, source, destination)) {
            ++at;
            continue;
        }
        switch (rule.action) {
            case Action::Allow:
            case Action::Deny:
            case Action::Reject:
                verdict.reject = rule.action == Action::Reject;
                verdict.allow = rule.action == Action::Allow;
                verdict.rule = at;
                return verdict;
            case Action::Log:
                verdict.logged = at++;
                break;
            case Action::Jump:
                at = rule.target;
                break;
        }
    }
    return verdict;
}

/// Draws programs, packets and group sets.
class AclDice {
  public:
    explicit AclDice(unsigned seed) : random_(seed) {}

    /// True once in `n` throws.
    [[nodiscard]] bool one_in(unsigned n) { return below(n) == 0; }

    [[nodiscard]] unsigned below(unsigned n) { return static_cast<unsigned>(random_() % n); }

    /// In long programs a rule matches few packets, so that verdicts fall all over the program.
    [[nodiscard]] Program program(unsigned rules);

    template <Family F>
    [[nodiscard]] Packet<F> packet();

    [[nodiscard]] GroupSet groups(unsigned most);

  private:
    template <Family F>
    [[nodiscard]] typename F::Addr address();

    template <Family F>
    [[nodiscard]] std::vector<Prefix<F>> nets();

    [[nodiscard]] std::uint8_t protocol();
    [[nodiscard]] L4Port port();
    [[nodiscard]] std::vector<PortRange> ports();
    [[nodiscard]] IcmpMatch icmp();
    [[nodiscard]] SideMatch side(bool with_ports);

    std::mt19937 random_;
};

inline std::uint8_t AclDice::protocol() {
    constexpr std::array<std::uint8_t, 6> kSome{6, 6, 17, 1, 58, 132};
    return one_in(10) ? static_cast<std::uint8_t>(below(256)) : kSome[below(6)];
}

inline L4Port AclDice::port() {
    constexpr std::array<std::uint16_t, 6> kSome{0, 22, 80, 443, 8080, 65535};
    return L4Port{one_in(3) ? static_cast<std::uint16_t>(below(65536)) : kSome[below(6)]};
}

inline std::vector<PortRange> AclDice::ports() {
    std::vector<PortRange> list(one_in(3) ? 1 + below(4) : 0);
    for (PortRange& range : list) {
        range.first = port();
        range.last = one_in(2) ? range.first : std::max(range.first, port());
    }
    return list;
}

template <Family F>
typename F::Addr AclDice::address() {
    std::array<std::uint8_t, 16> wire{};
    wire[0] = static_cast<std::uint8_t>(one_in(8) ? 255 * below(2) : 10 + below(2));
    wire[1] = static_cast<std::uint8_t>(below(3));
    wire[F::kAddrBytes - 1] = static_cast<std::uint8_t>(one_in(8) ? 255 : below(4));
    return F::Addr::load(wire.data());
}

template <Family F>
std::vector<Prefix<F>> AclDice::nets() {
    std::vector<Prefix<F>> list(one_in(4) ? 1 + below(3) : 0);
    for (auto& net : list) {
        const unsigned length = one_in(3) ? F::kBits : below(F::kBits + 1);
        net = *Prefix<F>::make(address<F>(), length);
    }
    return list;
}

inline IcmpMatch AclDice::icmp() {
    IcmpMatch match;
    match.type = static_cast<std::uint8_t>(below(4));
    if (one_in(2)) {
        match.code = static_cast<std::uint8_t>(below(3));
    }
    return match;
}

inline SideMatch AclDice::side(bool with_ports) {
    SideMatch side;
    side.nets4 = nets<V4>();
    side.nets6 = nets<V6>();
    if (one_in(4)) {
        side.not_nets4 = nets<V4>();
        side.not_nets6 = nets<V6>();
    }
    if (one_in(3)) {
        side.group = GroupId{below(8) * 1000};
    }
    if (one_in(6)) {
        side.not_group = GroupId{below(8) * 1000};
    }
    if (with_ports) {
        side.ports = ports();
        side.not_ports = one_in(4) ? ports() : std::vector<PortRange>{};
    }
    return side;
}

inline Program AclDice::program(unsigned rules) {
    Program program;
    for (unsigned i = 0; i < rules; ++i) {
        Rule rule;
        Match& match = rule.match;
        match.ip4 = !one_in(8);
        match.ip6 = !one_in(8);
        if (one_in(2)) {
            match.protocol = protocol();
        }
        if (one_in(8)) {
            match.not_protocol = protocol();
        }
        if (one_in(8)) {
            match.icmp = icmp();
        }
        if (one_in(8)) {
            match.not_icmp = icmp();
        }
        match.source = side(one_in(4));
        match.destination = side(one_in(2));
        if (rules > 100) {
            match.source.nets4 = {Prefix<V4>::host(address<V4>())};
            match.source.nets6 = {Prefix<V6>::host(address<V6>())};
            match.destination.nets4 = {Prefix<V4>::host(address<V4>())};
            match.destination.nets6 = {Prefix<V6>::host(address<V6>())};
        }
        rule.action = static_cast<Action>(below(5));
        if (rule.action == Action::Jump) {
            rule.target = one_in(4) ? i + 1 + below(rules - i) : std::min(i + 1 + below(10), rules);
        }
        program.rules.push_back(std::move(rule));
    }
    return program;
}

template <Family F>
Packet<F> AclDice::packet() {
    Packet<F> packet;
    packet.source = address<F>();
    packet.destination = address<F>();
    packet.protocol = protocol();
    packet.has_ports = !one_in(8) && packet.protocol != 1 && packet.protocol != 58;
    if (packet.has_ports) {
        packet.source_port = port();
        packet.destination_port = port();
    }
    if (packet.protocol == 1 || packet.protocol == 58) {
        packet.icmp_type = static_cast<std::uint8_t>(below(5));
        packet.icmp_code = static_cast<std::uint8_t>(below(4));
    }
    return packet;
}

inline GroupSet AclDice::groups(unsigned most) {
    std::vector<GroupId> ids;
    for (unsigned i = below(most + 1); i > 0; --i) {
        ids.push_back(GroupId{below(10) * 1000 + (one_in(4) ? 1U : 0U)});
    }
    std::ranges::sort(ids);
    ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
    return GroupSet{std::move(ids)};
}

}  // namespace vr::acl
