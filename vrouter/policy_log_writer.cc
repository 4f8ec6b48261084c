// SPDX-License-Identifier: Apache-2.0
#include "vrouter/policy_log_writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "vrouter/net/headers.h"

namespace vr {

namespace {

constexpr std::chrono::seconds kBetweenComplaints{10};

/// Calico's short names of what may have Log rules.
std::string_view short_kind(std::string_view kind) {
    return kind == "GlobalNetworkPolicy" ? "gnp"
           : kind == "NetworkPolicy"     ? "np"
           : kind == "Profile"           ? "pro"
                                         : "unknown";
}

template <Family F>
acl::Packet<F> packet_of(const PolicyLogRecord& record) {
    return {
        .source = F::Addr::load(record.source.data()),
        .destination = F::Addr::load(record.destination.data()),
        .source_port = record.source_port,
        .destination_port = record.destination_port,
        .protocol = record.protocol,
        .icmp_type = record.icmp_type,
        .icmp_code = record.icmp_code,
        .has_ports = record.has_ports};
}

template <Family F>
std::string packet_text(const acl::Packet<F>& packet) {
    const auto with_port = [&](const auto& address, L4Port port) {
        return packet.has_ports ? fmt::format("{} port {}", to_string(address), port.value())
                                : to_string(address);
    };
    const bool icmp = packet.protocol == ipproto::kIcmp || packet.protocol == ipproto::kIcmp6;
    return fmt::format(
        "{} -> {} protocol {}{}",
        with_port(packet.source, packet.source_port),
        with_port(packet.destination, packet.destination_port),
        static_cast<unsigned>(packet.protocol),
        icmp ? fmt::format(" type {} code {}", packet.icmp_type, packet.icmp_code) : "");
}

/// The Log rules that the packet meets, ascending.  Members of sets may be others by now; the rule that the
/// worker saw counts in any case.
template <Family F>
std::vector<std::uint32_t> log_rules(
    const acl::Classifier<F>& policy,
    const acl::Packet<F>& packet,
    std::uint32_t seen,
    const GroupTable<F>& groups) {
    const std::vector<acl::Rule>& rules = policy.program().rules;
    std::vector<Counter> hits(rules.size() + 1);
    const GroupSet* source = groups.lookup(packet.source);
    const GroupSet* destination = groups.lookup(packet.destination);
    acl::Verdict verdict;
    policy.classify(&packet, &source, &destination, &verdict, 1, hits.data());
    std::vector<std::uint32_t> met;
    for (std::uint32_t i = 0; i < rules.size(); ++i) {
        if (rules[i].action == acl::Action::Log && (hits[i].get() != 0 || i == seen)) {
            met.push_back(i);
        }
    }
    return met;
}

}  // namespace

std::string log_prefix(const std::string& format, const acl::Origin& origin) {
    const std::string_view policy = origin.policy;
    const auto space = policy.find(' ');
    const bool known = space != std::string_view::npos;
    const std::string_view path = known ? policy.substr(space + 1) : "unknown";
    const auto value_of = [&](char specifier) -> std::optional<std::string_view> {
        switch (specifier) {
            case 't':
                return origin.tier;
            case 'k':
                return short_kind(policy.substr(0, space));
            case 'n':
                return path.substr(path.find('/') + 1);  // npos + 1: the whole
            case 'p':
                return path;
            default:
                return std::nullopt;
        }
    };
    std::string prefix;
    for (std::size_t i = 0; i < format.size(); ++i) {
        const auto value =
            format[i] == '%' && i + 1 < format.size() ? value_of(format[i + 1]) : std::nullopt;
        if (value) {
            prefix += *value;
            ++i;
        } else {
            prefix += format[i];
        }
    }
    return prefix;
}

void PolicyLogWriter::set_terms(PolicyLogTerms terms) {
    if (terms != terms_) {
        terms_ = std::move(terms);
        allowance_ = std::max(terms_.burst, 1U);
        filled_ = {};
    }
}

bool PolicyLogWriter::may_write(Time now) {
    if (!terms_.rate) {
        return true;
    }
    const double most = std::max(terms_.burst, 1U);
    const double passed = std::chrono::duration<double>(now - std::exchange(filled_, now)).count();
    allowance_ = std::min(most, allowance_ + passed * *terms_.rate);
    if (allowance_ < 1) {
        ++left_out_;
        return false;
    }
    allowance_ -= 1;
    return true;
}

template <Family F>
std::vector<std::string> PolicyLogWriter::lines(
    const PolicyLogRecord& record, const Judges<F>& judges, const GroupTable<F>& groups, Time now) {
    const acl::Packet<F> packet = packet_of<F>(record);
    const auto judge = std::ranges::find_if(
        judges, [&](const auto& one) { return &one.second->program() == record.program; });
    std::vector<std::string> all;
    const auto write = [&](const std::string& endpoint, const acl::Origin& origin) {
        if (all.size() == kMostLines) {
            ++left_out_;
        } else if (may_write(now)) {
            all.push_back(fmt::format(
                "{}: endpoint {} {}: {}: {}, matched by {}",
                log_prefix(terms_.prefix, origin),
                endpoint,
                record.direction == PolicyDirection::Egress ? "egress" : "ingress",
                packet_text(packet),
                record.allowed ? "allowed" : "denied",
                origin.policy.empty() ? "a policy that has changed since"
                : origin.tier.empty()
                    ? fmt::format("{} rule {}", origin.policy, origin.rule)
                    : fmt::format(
                          "{} rule {} of tier {}", origin.policy, origin.rule, origin.tier)));
        }
    };
    if (judge == judges.end()) {
        write(judges.empty() ? "?" : judges.front().first, {});
        return all;
    }
    const acl::Program& program = judge->second->program();
    for (const std::uint32_t rule : log_rules(*judge->second, packet, record.rule, groups)) {
        write(judge->first, program.origins[program.rules[rule].origin]);
    }
    return all;
}

std::optional<std::string> PolicyLogWriter::complaint(std::uint64_t lost, Time now) {
    const std::uint64_t missing = lost + left_out_;
    if (missing == told_ || now - told_at_ < kBetweenComplaints) {
        return std::nullopt;
    }
    told_at_ = now;
    return fmt::format(
        "policy log: {} lines or more are missing (logActionRateLimit, or too many packets)",
        missing - std::exchange(told_, missing));
}

template std::vector<std::string> PolicyLogWriter::lines(
    const PolicyLogRecord&, const Judges<V4>&, const GroupTable<V4>&, Time);
template std::vector<std::string> PolicyLogWriter::lines(
    const PolicyLogRecord&, const Judges<V6>&, const GroupTable<V6>&, Time);

}  // namespace vr
