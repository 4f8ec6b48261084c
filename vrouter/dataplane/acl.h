// The ACL instruction set: what a policy compiles to, and what a classifier executes.
//
// A program is a list of rules in the order of evaluation.  Evaluation starts at rule 0 and stops at
// the first rule that matches and says Allow, Deny or Reject (a Deny that the sender is told of).  Log emits a record and goes on behind itself;
// Jump continues at a later rule (how Pass leaves a tier).  Falling off the end is Deny.
//
// Rules name groups of addresses by id and never hold members: which addresses belong to a group is
// the business of groups.h, so a membership change touches no program.  Plain data, no DPDK.
// Semantics: POLICY 2.4 and 2.5.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "vrouter/net/ids.h"
#include "vrouter/net/prefix.h"

namespace vr::acl {

/// Ports first..last, both inclusive.
struct PortRange {
    L4Port first;
    L4Port last;

    friend bool operator==(const PortRange&, const PortRange&) = default;
};

/// ICMP or ICMPv6 type, and code if it matters.
struct IcmpMatch {
    std::uint8_t type = 0;
    std::optional<std::uint8_t> code;

    friend bool operator==(const IcmpMatch&, const IcmpMatch&) = default;
};

/// Criteria on one side's address and port; all that are present must hold.
struct SideMatch {
    /// Address must be in one of these, if present.  An empty list present for a family means that
    /// the rule never matches in that family: the compiler leaves such a rule out, see `family`.
    std::vector<Prefix<V4>> nets4;
    std::vector<Prefix<V6>> nets6;
    /// Address must be in none of these.
    std::vector<Prefix<V4>> not_nets4;
    std::vector<Prefix<V6>> not_nets6;
    /// Address must be a member of this group / must not be one of that group.
    std::optional<GroupId> group;
    std::optional<GroupId> not_group;
    /// Port must be in one of these, if any; in none of those.  A packet without ports (ICMP, other
    /// protocols) never satisfies a non-empty `ports` and always satisfies `not_ports`.
    std::vector<PortRange> ports;
    std::vector<PortRange> not_ports;

    friend bool operator==(const SideMatch&, const SideMatch&) = default;
};

/// What a packet must look like; all present criteria are ANDed.
struct Match {
    bool ip4 = true;  ///< may match IPv4 packets
    bool ip6 = true;  ///< may match IPv6 packets
    std::optional<std::uint8_t> protocol;
    std::optional<std::uint8_t> not_protocol;
    std::optional<IcmpMatch> icmp;      ///< needs protocol ICMP / ICMPv6
    std::optional<IcmpMatch> not_icmp;  ///< negates type and code as a whole
    SideMatch source;
    SideMatch destination;

    friend bool operator==(const Match&, const Match&) = default;
};

enum class Action : std::uint8_t { Allow, Deny, Reject, Jump, Log };

struct Rule {
    Match match;
    Action action = Action::Deny;
    /// Jump: index of the rule to go on with; greater than this rule's own index, at most the number
    /// of rules (then: fall off the end).
    std::uint32_t target = 0;
    /// Which written rule this came from: index into Program::origins.
    std::uint32_t origin = 0;

    friend bool operator==(const Rule&, const Rule&) = default;
};

/// Where a rule was written, for `vrouterctl trace`, counters and logs.
struct Origin {
    std::string tier;    ///< empty for profiles
    std::string policy;  ///< "NetworkPolicy prod/web", "Profile kns.prod", "end of tier", ...
    int rule = -1;       ///< index in the policy's list as written, -1: not a written rule

    friend bool operator==(const Origin&, const Origin&) = default;
};

/// An ordered rule list for one direction, shared by all endpoints that have that list.
struct Program {
    std::vector<Rule> rules;
    std::vector<Origin> origins;

    friend bool operator==(const Program&, const Program&) = default;
};

/// What a classifier needs to know of a packet.  Ports are 0 for protocols without ports.
template <Family F>
struct Packet {
    typename F::Addr source{};
    typename F::Addr destination{};
    L4Port source_port{};
    L4Port destination_port{};
    std::uint8_t protocol = 0;
    std::uint8_t icmp_type = 0;
    std::uint8_t icmp_code = 0;
    bool has_ports = false;  ///< TCP, UDP or SCTP with a readable header
};

/// How a program ended for one packet.
struct Verdict {
    static constexpr std::uint32_t kFellOff = std::numeric_limits<std::uint32_t>::max();

    bool allow = false;
    bool reject = false;              ///< not allowed, and the sender is to be told
    std::uint32_t rule = kFellOff;    ///< deciding rule's index in Program::rules
    std::uint32_t logged = kFellOff;  ///< last Log rule that matched on the way, if any
};

}  // namespace vr::acl
