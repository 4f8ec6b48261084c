// trace: a request in words becomes a query to vrouter/trace.h, its steps become rows.
// SPDX-License-Identifier: Apache-2.0
#include "vrouter/trace.h"

#include <optional>
#include <utility>
#include <variant>

#include "ctl/handlers.h"
#include "ctl/protocols.h"
#include "vrouter/machine.h"

namespace vr::ctl {

namespace {

/// Why a trace cannot be made, or the query.
using Query = std::variant<TraceQuery, Failure>;

Failure invalid(std::string text) {
    return {.code = pb::Error::CODE_INVALID, .text = std::move(text)};
}

/// The port of an endpoint, or a port by its own name.
std::optional<PortId> find_from(const Machine& machine, const std::string& name) {
    for (const PortId id : machine.ports()) {
        const auto& endpoint = machine.tables().ports[id.value()].endpoint;
        if (endpoint && endpoint->name == name) {
            return id;
        }
    }
    return machine.find_port(name);
}

/// The first host address of the endpoint behind `port` in the family of `destination`.
std::optional<IpAddr> own_address(const Machine& machine, PortId port, const IpAddr& destination) {
    const auto& endpoint = machine.tables().ports[port.value()].endpoint;
    if (!endpoint) {
        return std::nullopt;
    }
    const auto first = [](const auto& addresses) -> std::optional<IpAddr> {
        return addresses.empty() ? std::nullopt
                                 : std::optional<IpAddr>{addresses.front().address()};
    };
    return std::holds_alternative<Ip4>(destination) ? first(endpoint->v4.addresses)
                                                    : first(endpoint->v6.addresses);
}

Query query_of(const Machine& machine, const pb::Trace& request) {
    const auto from = find_from(machine, request.from());
    if (!from) {
        return Failure{
            .code = pb::Error::CODE_NOT_FOUND,
            .text = "no endpoint or port '" + request.from() +
                    "': 'show endpoints' and 'show ports' list them"};
    }
    const auto destination = parse_ip(request.destination());
    if (!destination) {
        return invalid("destination '" + request.destination() + "' is not an address");
    }
    const auto source = request.source().empty() ? own_address(machine, *from, *destination)
                                                 : parse_ip(request.source());
    if (!source) {
        return invalid(
            request.source().empty()
                ? "'" + request.from() +
                      "' has no address of the destination's family: give a source"
                : "source '" + request.source() + "' is not an address");
    }
    if (source->index() != destination->index()) {
        return invalid("source and destination must be of one family");
    }
    const auto flags = parse_tcp_flags(request.tcp_flags().empty() ? "S" : request.tcp_flags());
    if (!flags) {
        return invalid("'" + request.tcp_flags() + "' are not TCP flags");
    }
    const auto mac = Mac::parse(request.source_mac());
    if (!mac && !request.source_mac().empty()) {
        return invalid("source MAC '" + request.source_mac() + "' is not a MAC address");
    }
    TraceQuery query;
    query.in = *from;
    query.source = *source;
    query.destination = *destination;
    query.protocol = static_cast<std::uint8_t>(request.protocol());
    query.source_port = L4Port{static_cast<std::uint16_t>(request.source_port())};
    query.destination_port = L4Port{static_cast<std::uint16_t>(request.destination_port())};
    query.tcp_flags = *flags;
    query.source_mac = mac;
    query.icmp_type = static_cast<std::uint8_t>(request.icmp_type());
    query.icmp_code = static_cast<std::uint8_t>(request.icmp_code());
    query.length = static_cast<std::uint16_t>(request.size());
    return query;
}

/// Numbers that a packet can hold; vrouterctl sends no others.
bool in_range(const pb::Trace& request) {
    constexpr std::uint32_t kByte = 255;
    constexpr std::uint32_t kWord = 65535;
    return request.protocol() >= 1 && request.protocol() <= kByte && request.icmp_type() <= kByte &&
           request.icmp_code() <= kByte && request.source_port() <= kWord &&
           request.destination_port() <= kWord && request.size() <= kWord;
}

pb::TraceStep::Outcome outcome_of(TraceStep::Outcome outcome) {
    switch (outcome) {
        case TraceStep::Outcome::Pass:
            return pb::TraceStep::OUTCOME_PASS;
        case TraceStep::Outcome::Drop:
            return pb::TraceStep::OUTCOME_DROP;
        case TraceStep::Outcome::Note:
            return pb::TraceStep::OUTCOME_NOTE;
    }
    return pb::TraceStep::OUTCOME_UNSPECIFIED;
}

void fill(const TraceStep& step, pb::TraceStep& row) {
    row.set_stage(step.stage);
    row.set_outcome(outcome_of(step.outcome));
    row.set_detail(step.detail);
    row.set_rule(-1);
    if (step.origin) {
        row.set_tier(step.origin->tier);
        row.set_policy(step.origin->policy);
        row.set_rule(step.origin->rule);
    }
}

pb::Response response_of(const Machine& machine, const TraceResult& result) {
    pb::Response response;
    auto& reply = *response.mutable_trace();
    for (const TraceStep& step : result.steps) {
        fill(step, *reply.add_steps());
    }
    if (result.reason != DropReason::None) {
        reply.set_verdict(pb::TraceReply::VERDICT_DROPPED);
        reply.set_reason(std::string(name(result.reason)));
    } else if (const PortRecord* port = machine.port(result.out)) {
        reply.set_verdict(pb::TraceReply::VERDICT_DELIVERED);
        reply.set_output_port(port->name);
    } else {
        reply.set_verdict(pb::TraceReply::VERDICT_ANSWERED);
    }
    return response;
}

}  // namespace

void serve_trace(Dispatch& dispatch, Machine& machine) {
    dispatch.on(pb::Request::kTrace, [&machine](const pb::Request& request) -> Answer {
        if (!in_range(request.trace())) {
            return invalid("protocol, ports, ICMP type and code, or size are out of range");
        }
        auto query = query_of(machine, request.trace());
        if (auto* failure = std::get_if<Failure>(&query)) {
            return std::move(*failure);
        }
        return response_of(machine, trace(machine, std::get<TraceQuery>(query)));
    });
}

}  // namespace vr::ctl
