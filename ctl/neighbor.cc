// show neighbors.
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <functional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "ctl/handlers.h"

namespace vr::ctl {

namespace {

using View = std::variant<Neighbors<V4>::View, Neighbors<V6>::View>;

pb::Neighbor::State state_of(NeighborState state) {
    switch (state) {
        case NeighborState::Failed:
            return pb::Neighbor::STATE_FAILED;
        case NeighborState::Incomplete:
            return pb::Neighbor::STATE_INCOMPLETE;
        case NeighborState::Stale:
            return pb::Neighbor::STATE_STALE;
        case NeighborState::Delay:
            return pb::Neighbor::STATE_DELAY;
        case NeighborState::Probe:
            return pb::Neighbor::STATE_PROBE;
        case NeighborState::Reachable:
            return pb::Neighbor::STATE_REACHABLE;
        case NeighborState::Permanent:
            return pb::Neighbor::STATE_PERMANENT;
    }
    return pb::Neighbor::STATE_UNSPECIFIED;
}

template <typename V>
void fill(const V& view, const std::string& port, pb::Neighbor& row) {
    row.set_address(to_string(view.key.address));
    row.set_port(port);
    row.set_mac(view.mac ? to_string(*view.mac) : "");
    row.set_state(state_of(view.state));
    row.set_router(view.router);
    row.set_held_packets(static_cast<std::uint32_t>(view.held));
}

template <Family F>
void collect(
    const Neighbors<F>& neighbors,
    const std::string& port,
    const PortName& port_name,
    std::vector<View>& found) {
    for (auto& view : neighbors.view()) {
        if (port.empty() || port == port_name(view.key.port)) {
            found.emplace_back(std::move(view));
        }
    }
}

}  // namespace

void serve_neighbors(
    Dispatch& dispatch,
    const Neighbors<V4>& neighbors4,
    const Neighbors<V6>& neighbors6,
    PortName port_name,
    std::function<bool(const std::string& name)> is_port) {
    dispatch.on(
        pb::Request::kShowNeighbors,
        [&neighbors4, &neighbors6, port_name = std::move(port_name), is_port = std::move(is_port)](
            const pb::Request& request) -> Answer {
            const std::string& port = request.show_neighbors().port();
            if (!port.empty() && is_port && !is_port(port)) {
                return no_port(port);
            }
            std::vector<View> found;
            collect(neighbors4, port, port_name, found);
            collect(neighbors6, port, port_name, found);
            return listing<&pb::Response::mutable_neighbors>(
                std::move(found), [port_name](const View& view, pb::Neighbor& row) {
                    std::visit([&](const auto& v) { fill(v, port_name(v.key.port), row); }, view);
                });
        });
}

}  // namespace vr::ctl
