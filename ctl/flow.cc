// show flows, clear flows.
// SPDX-License-Identifier: Apache-2.0
#include <optional>
#include <utility>
#include <variant>

#include "ctl/handlers.h"
#include "ctl/protocols.h"
#include "vrouter/dataplane/tables.h"

namespace vr::ctl {

namespace {

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
        case FlowState::Mapping:
            return "mapping";
        case FlowState::Dead:
            return "dead";
    }
    return {};
}

template <Family F>
void fill(const FlowEntry<F>& flow, const PortName& port_name, FlowTick now, pb::Flow& row) {
    constexpr std::uint64_t kMsPerTick = 250;
    // Relaxed: some recent value will do for showing.
    const FlowTick last_seen = flow.last_seen.load(std::memory_order_relaxed);
    row.set_protocol(protocol_text(flow.key.protocol));
    row.set_source(to_string(flow.key.source));
    row.set_source_port(flow.key.source_port.value());
    row.set_destination(to_string(flow.key.destination));
    row.set_destination_port(flow.key.destination_port.value());
    row.set_from(port_name(flow.from));
    row.set_to(port_name(flow.to));
    row.set_state(state_text(flow.state.load(std::memory_order_relaxed)));
    row.set_idle_ms(now > last_seen ? (now - last_seen) * kMsPerTick : 0);
}

/// The floating address that a flow's sender knows; empty: none.
template <Family F>
std::string floating_text(const FlowEntry<F>& flow, const SharedState& shared) {
    const Tables* tables = shared.tables.load(std::memory_order_acquire);
    if (flow.translation == TranslationId{} || tables == nullptr) {
        return {};
    }
    const auto* translation = find_translation<F>(*tables, flow.to, flow.translation);
    return translation == nullptr ? std::string() : to_string(translation->external);
}

/// What the receiver of a flow in the host's name knows as its source.
template <Family F>
void fill_mapping(const FlowTable<F>& flows, const FlowEntry<F>& flow, pb::Flow& row) {
    if (const FlowEntry<F>* mapping = flows.twin(flow)) {
        row.set_mapping(to_string(mapping->key.source));
        row.set_mapping_port(mapping->key.source_port.value());
    }
}

/// A walk over the flows of both families, slice by slice.
class Walk {
  public:
    explicit Walk(SharedState& shared) : shared_(&shared) {}

    /// Calls `visit(table, range)` for the next slice; false when it was the last.
    template <typename Visit>
    bool step(Visit visit) {
        return ip6_ ? step(shared_->flows6, visit) : step(shared_->flows4, visit);
    }

  private:
    template <Family F, typename Visit>
    bool step(FlowTable<F>& flows, Visit visit) {
        visit(flows, FlowRange{at_, at_ + kRowsPerFrame});
        at_ += kRowsPerFrame;
        if (at_ < flows.extent()) {
            return true;
        }
        at_ = 0;
        return !std::exchange(ip6_, true);
    }

    SharedState* shared_;
    std::size_t at_ = 0;
    bool ip6_ = false;
};

Answer show(
    SharedState& shared, const PortName& port_name, FlowTick now, const std::string& address) {
    auto filter = filter_of(address);
    if (auto* failure = std::get_if<Failure>(&filter)) {
        return std::move(*failure);
    }
    return [walk = Walk{shared}, &shared, port_name, now, wanted = std::get<Filter>(filter)](
               pb::Response& frame) mutable {
        auto& list = *frame.mutable_flows();
        return walk.step([&](const auto& flows, FlowRange range) {
            flows.for_each(
                [&](const auto& flow) {
                    if (wanted.takes(flow.key)) {
                        pb::Flow& row = *list.add_rows();
                        fill(flow, port_name, now, row);
                        row.set_floating(floating_text(flow, shared));
                        fill_mapping(flows, flow, row);
                    }
                },
                range);
        });
    };
}

/// Frames before the last are empty: they only let others have their turn.
Answer clear(SharedState& shared, const std::string& address) {
    auto filter = filter_of(address);
    if (auto* failure = std::get_if<Failure>(&filter)) {
        return std::move(*failure);
    }
    return [walk = Walk{shared}, wanted = std::get<Filter>(filter), count = std::uint64_t{0}](
               pb::Response& frame) mutable {
        const bool more = walk.step([&](auto& flows, FlowRange range) {
            count +=
                flows.remove_if([&](const auto& flow) { return wanted.takes(flow.key); }, range);
        });
        if (!more) {
            frame.mutable_cleared()->set_count(count);
        }
        return more;
    };
}

}  // namespace

void serve_flows(
    Dispatch& dispatch, SharedState& shared, PortName port_name, std::function<FlowTick()> now) {
    dispatch.on(
        pb::Request::kShowFlows,
        [&shared, port_name = std::move(port_name), now = std::move(now)](
            const pb::Request& request) {
            return show(shared, port_name, now(), request.show_flows().address());
        });
    dispatch.on(pb::Request::kClearFlows, [&shared](const pb::Request& request) {
        return clear(shared, request.clear_flows().address());
    });
}

}  // namespace vr::ctl
