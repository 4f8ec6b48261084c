// SPDX-License-Identifier: Apache-2.0
#include "policy/compiler.h"

#include <algorithm>
#include <array>
#include <optional>
#include <set>
#include <utility>

#include "policy/match.h"
#include "policy/origin.h"

namespace vr::policy {

namespace {

class Emitter {
  public:
    /// For about `rules` rules.
    Emitter(GroupSource& groups, std::size_t rules) : groups_(&groups) {
        program_.rules.reserve(rules);
        program_.origins.reserve(rules);
    }

    /// POLICY 2.6; `silent`: they are none of this program's business.
    void emit_failsafes(const Failsafes& failsafes, Direction direction, bool silent) {
        if (failsafes.opened.empty() && failsafes.answers.empty()) {
            return;
        }
        const std::uint32_t origin = add_origin(failsafe_port());
        const auto emit = [&](const FailsafePort& port, acl::SideMatch acl::Match::* side) {
            acl::Match match;
            match.protocol = port.protocol;
            (match.*side).ports = {{port.port, port.port}};
            if (port.net) {
                match.ip4 = port.net->index() == 0;
                match.ip6 = !match.ip4;
                auto& peer = direction == Direction::Ingress ? match.source : match.destination;
                if (match.ip4) {
                    peer.nets4 = {std::get<Prefix<V4>>(*port.net)};
                } else {
                    peer.nets6 = {std::get<Prefix<V6>>(*port.net)};
                }
            }
            if (silent) {
                skips_.push_back(next());
            }
            program_.rules.push_back(
                {std::move(match), silent ? acl::Action::Jump : acl::Action::Allow, 0, origin});
        };
        for (const auto& port : failsafes.opened) {
            emit(port, &acl::Match::destination);
        }
        for (const auto& port : failsafes.answers) {
            emit(port, &acl::Match::source);
        }
    }

    void emit_tier(const CompilerInput::InTier& tier, Direction direction, bool silent) {
        if (tier.closed) {
            emit_final(acl::Action::Deny, closed_tier(tier.name));
            return;
        }
        for (const auto& policy : tier.policies) {
            emit_rules(
                policy->as<Policy>().rules(direction),
                policy->key.ns,
                {tier.name, policy_title(*policy), -1});
        }
        if (tier.default_action == TierDefault::Deny && !silent) {
            emit_final(acl::Action::Deny, end_of_tier(tier.name));
        }
        land_passes();
    }

    void emit_profile(const std::string& name, const ResourcePtr& profile, Direction direction) {
        if (name == kDefaultAllowProfile) {
            emit_final(acl::Action::Allow, default_allow());
        } else if (!profile) {
            emit_final(acl::Action::Deny, unknown_profile(name));
        } else {
            emit_rules(profile->as<Profile>().rules(direction), {}, {{}, profile_title(name), -1});
        }
        land_passes();
    }

    void emit_end() { emit_final(acl::Action::Deny, end_of_profiles()); }

    void emit_forwarding() { emit_final(acl::Action::Allow, end_of_forward_tiers()); }

    /// Nothing emitted from here on can be reached.
    [[nodiscard]] bool is_closed() const { return closed_; }

    [[nodiscard]] acl::Program take() {
        for (const auto rule : skips_) {
            program_.rules[rule].target = next();
        }
        return std::move(program_);
    }

  private:
    [[nodiscard]] std::uint32_t next() const {
        return static_cast<std::uint32_t>(program_.rules.size());
    }

    std::uint32_t add_origin(const acl::Origin& origin) {
        program_.origins.push_back(origin);
        return static_cast<std::uint32_t>(program_.origins.size() - 1);
    }

    /// A rule that ends every evaluation which reaches it.
    void emit_final(acl::Action action, const acl::Origin& origin) {
        program_.rules.push_back({{}, action, 0, add_origin(origin)});
        closed_ = true;
    }

    /// Jumps of Pass rules go to what comes next.
    void land_passes() {
        for (const auto rule : passes_) {
            program_.rules[rule].target = next();
            closed_ = false;
        }
        passes_.clear();
    }

    void emit_rules(const std::vector<Rule>& rules, const std::string& ns, acl::Origin origin) {
        for (const auto& rule : rules) {
            ++origin.rule;
            LoweredMatch lowered = lower(rule.match, ns);
            if (lowered.match.ip4 || lowered.match.ip6) {
                emit_protocols(rule.action, std::move(lowered), origin);
            }
        }
    }

    /// The ports of a service have their own protocols where the rule leaves it open.
    void emit_protocols(RuleAction action, LoweredMatch lowered, const acl::Origin& written) {
        const auto names_service = [](const LoweredSide& side) {
            return std::ranges::count(side.names, kServicePort) > 0;
        };
        if (lowered.match.protocol ||
            !(names_service(lowered.source) || names_service(lowered.destination))) {
            emit_rule(action, lowered, written);
            return;
        }
        constexpr std::array<std::uint8_t, 3> kWithPorts{6, 17, 132};  // TCP, UDP, SCTP
        for (const auto protocol : kWithPorts) {
            if (lowered.match.not_protocol != protocol) {
                lowered.match.protocol = protocol;
                emit_rule(action, lowered, written);
            }
        }
    }

    void emit_rule(RuleAction action, const LoweredMatch& lowered, const acl::Origin& written) {
        const std::uint8_t protocol = lowered.match.protocol.value_or(0);
        const auto sources = variants(lowered.source, protocol);
        const auto destinations = variants(lowered.destination, protocol);
        if (sources.empty() || destinations.empty()) {
            return;  // names a port that nobody has
        }
        const std::uint32_t origin = add_origin(written);
        std::vector<std::uint32_t> over;
        emit_jumps_over(lowered, &acl::Match::source, lowered.source, origin, over);
        emit_jumps_over(lowered, &acl::Match::destination, lowered.destination, origin, over);
        for (const auto& source : sources) {
            for (const auto& destination : destinations) {
                acl::Match match = lowered.match;
                match.source = source;
                match.destination = destination;
                if (action == RuleAction::Pass) {
                    passes_.push_back(next());
                }
                program_.rules.push_back({std::move(match), to_acl(action), 0, origin});
            }
        }
        for (const auto jump : over) {
            program_.rules[jump].target = next();
        }
    }

    static acl::Action to_acl(RuleAction action) {
        switch (action) {
            case RuleAction::Allow:
                return acl::Action::Allow;
            case RuleAction::Reject:
                return acl::Action::Reject;
            case RuleAction::Log:
                return acl::Action::Log;
            case RuleAction::Pass:
                return acl::Action::Jump;
            case RuleAction::Deny:
                break;
        }
        return acl::Action::Deny;
    }

    /// The port numbers that the named ports of one side stand for, with the groups that have them; in
    /// the order of names and numbers, as ids of groups are history.
    std::vector<std::pair<L4Port, GroupId>> resolve_names(
        const LoweredSide& side, const std::vector<std::string>& names, std::uint8_t protocol) {
        std::vector<std::pair<L4Port, GroupId>> resolved;
        for (const auto& name : std::set<std::string>(names.begin(), names.end())) {
            const auto found =
                groups_->port_groups(side.group.value_or(Selector()), name, protocol);
            resolved.insert(resolved.end(), found.begin(), found.end());
        }
        return resolved;
    }

    /// What one side must look like: any one of the returned.
    std::vector<acl::SideMatch> variants(const LoweredSide& side, std::uint8_t protocol) {
        acl::SideMatch plain = side.match;
        if (side.not_group) {
            plain.not_group = groups_->group(*side.not_group);
        }
        std::vector<acl::SideMatch> all;
        for (const auto& [port, group] : resolve_names(side, side.names, protocol)) {
            // The group is part of the side's selector, so it stands for both.
            acl::SideMatch named = plain;
            named.ports = {{port, port}};
            named.group = group;
            all.push_back(std::move(named));
        }
        if (side.names.empty() || !side.match.ports.empty()) {
            if (side.group) {
                plain.group = groups_->group(*side.group);
            }
            all.push_back(std::move(plain));
        }
        return all;
    }

    void emit_jumps_over(
        const LoweredMatch& lowered,
        acl::SideMatch acl::Match::* which,
        const LoweredSide& side,
        std::uint32_t origin,
        std::vector<std::uint32_t>& over) {
        const std::uint8_t protocol = lowered.match.protocol.value_or(0);
        for (const auto& [port, group] : resolve_names(side, side.not_names, protocol)) {
            acl::Match match;
            match.protocol = protocol;
            (match.*which).group = group;
            (match.*which).ports = {{port, port}};
            over.push_back(next());
            program_.rules.push_back({std::move(match), acl::Action::Jump, 0, origin});
        }
    }

    GroupSource* groups_;
    acl::Program program_;
    std::vector<std::uint32_t> passes_;
    std::vector<std::uint32_t> skips_;  ///< Jumps behind the end
    bool closed_ = false;
};

}  // namespace

acl::Program compile(const CompilerInput& input, GroupSource& groups) {
    std::size_t written = 0;
    for (const auto& tier : input.tiers) {
        for (const auto& policy : tier.policies) {
            written += policy->as<Policy>().rules(input.direction).size();
        }
    }
    Emitter emitter(groups, written);
    const bool silent = input.hook && may_be_silent(*input.hook);
    emitter.emit_failsafes(input.failsafes, input.direction, silent);
    for (const auto& tier : input.tiers) {
        if (!emitter.is_closed()) {
            emitter.emit_tier(tier, input.direction, silent);
        }
    }
    if (silent) {
        return emitter.take();
    }
    if (input.hook && is_forward(*input.hook)) {
        if (!emitter.is_closed()) {
            emitter.emit_forwarding();
        }
        return emitter.take();
    }
    for (const auto& [name, profile] : input.profiles) {
        if (!emitter.is_closed()) {
            emitter.emit_profile(name, profile, input.direction);
        }
    }
    if (!emitter.is_closed()) {
        emitter.emit_end();
    }
    return emitter.take();
}

}  // namespace vr::policy
