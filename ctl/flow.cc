// show flows, clear flows.
// SPDX-License-Identifier: Apache-2.0
#include <optional>
#include <utility>
#include <variant>
#include <vector>

#include "ctl/handlers.h"
#include "ctl/protocols.h"
#include "vrouter/dataplane/clock.h"
#include "vrouter/dataplane/tables.h"

namespace vr::ctl {

namespace {

/// A flow as it was when the listing began; entries themselves may be used anew meanwhile.
template <Family F>
struct Seen {
    FlowKey<F> key;
    PortId from;
    PortId to;
    FlowState state;
    FlowTick last_seen;
};

using Row = std::variant<Seen<V4>, Seen<V6>>;

/// An optional address that flows are chosen by.
struct Filter {
    std::optional<IpAddr> address;

    template <Family F>
    [[nodiscard]] bool takes(const FlowKey<F>& key) const {
        if (!address) {
            return true;
        }
        const auto* wanted = std::get_if<typename F::Addr>(&*address);
        return wanted != nullptr && (key.source == *wanted || key.destination == *wanted);
    }
};

std::variant<Filter, Failure> filter_of(const std::string& text) {
    Filter filter{.address = parse_ip(text)};
    if (!text.empty() && !filter.address) {
        return Failure{
            .code = pb::Error::CODE_INVALID,
            .text = "'" + text + "' is not an IPv4 or IPv6 address"};
    }
    return filter;
}

std::string state_text(FlowState state) {
    switch (state) {
        case FlowState::New:
            return "new";
        case FlowState::Established:
            return "established";
        case FlowState::Closing:
            return "closing";
        case FlowState::Reset:
            return "reset";
        case FlowState::Udp:
            return "udp";
        case FlowState::Icmp:
            return "icmp";
        case FlowState::Other:
            return "other";
        case FlowState::Dead:
            return "dead";
    }
    return {};
}

template <Family F>
void collect(const FlowTable<F>& flows, const Filter& filter, std::vector<Row>& found) {
    flows.for_each([&](const FlowEntry<F>& flow) {
        // Relaxed: some recent value will do for showing.
        const FlowState state = flow.state.load(std::memory_order_relaxed);
        if (state != FlowState::Dead && filter.takes(flow.key)) {
            found.emplace_back(Seen<F>{
                .key = flow.key,
                .from = flow.from,
                .to = flow.to,
                .state = state,
                .last_seen = flow.last_seen.load(std::memory_order_relaxed)});
        }
    });
}

template <Family F>
void fill(const Seen<F>& flow, const PortName& port_name, FlowTick now, pb::Flow& row) {
    constexpr std::uint64_t kMsPerTick = 250;
    row.set_protocol(protocol_text(flow.key.protocol));
    row.set_source(to_string(flow.key.source));
    row.set_source_port(flow.key.source_port.value());
    row.set_destination(to_string(flow.key.destination));
    row.set_destination_port(flow.key.destination_port.value());
    row.set_from(port_name(flow.from));
    row.set_to(port_name(flow.to));
    row.set_state(state_text(flow.state));
    row.set_idle_ms(now > flow.last_seen ? (now - flow.last_seen) * kMsPerTick : 0);
}

Answer show(SharedState& shared, const PortName& port_name, const std::string& address) {
    auto filter = filter_of(address);
    if (auto* failure = std::get_if<Failure>(&filter)) {
        return std::move(*failure);
    }
    std::vector<Row> found;
    collect(shared.flows4, std::get<Filter>(filter), found);
    collect(shared.flows6, std::get<Filter>(filter), found);
    return listing<&pb::Response::mutable_flows>(
        std::move(found), [port_name, now = flow_now()](const Row& flow, pb::Flow& row) {
            std::visit([&](const auto& seen) { fill(seen, port_name, now, row); }, flow);
        });
}

Answer clear(SharedState& shared, const std::string& address) {
    auto filter = filter_of(address);
    if (auto* failure = std::get_if<Failure>(&filter)) {
        return std::move(*failure);
    }
    const auto condemned = [&](const auto& flow) {
        return std::get<Filter>(filter).takes(flow.key);
    };
    pb::Response response;
    response.mutable_cleared()->set_count(
        shared.flows4.remove_if(condemned) + shared.flows6.remove_if(condemned));
    return response;
}

}  // namespace

void serve_flows(Dispatch& dispatch, SharedState& shared, PortName port_name) {
    dispatch.on(
        pb::Request::kShowFlows,
        [&shared, port_name = std::move(port_name)](const pb::Request& request) {
            return show(shared, port_name, request.show_flows().address());
        });
    dispatch.on(pb::Request::kClearFlows, [&shared](const pb::Request& request) {
        return clear(shared, request.clear_flows().address());
    });
}

}  // namespace vr::ctl
