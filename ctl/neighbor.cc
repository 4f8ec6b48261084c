// show neighbors.
// SPDX-License-Identifier: Apache-2.0
#include <functional>
#include <optional>
#include <string>
#include <utility>

#include "ctl/handlers.h"

namespace vr::ctl {

namespace {

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

/// The neighbors of a family behind one port, or of all, slice by slice.
template <Family F>
class Walk {
  public:
    Walk(const Neighbors<F>& neighbors, PortName port_name, std::string port)
        : neighbors_(&neighbors), port_name_(std::move(port_name)), port_(std::move(port)) {}

    /// Adds the next ones; false when there are none.
    bool step(pb::NeighborList& list) {
        const auto views = neighbors_->view(last_, kRowsPerFrame);
        for (const auto& view : views) {
            const std::string port = port_name_(view.key.port);
            if (port_.empty() || port_ == port) {
                fill(view, port, *list.add_rows());
            }
            last_ = view.key;
        }
        return !views.empty();
    }

  private:
    const Neighbors<F>* neighbors_;
    PortName port_name_;
    std::string port_;
    std::optional<NeighborKey<F>> last_;
};

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
            return [ip4 = Walk{neighbors4, port_name, port},
                    ip6 = Walk{neighbors6, port_name, port},
                    has_ip4 = true](pb::Response& frame) mutable {
                auto& list = *frame.mutable_neighbors();
                has_ip4 = has_ip4 && ip4.step(list);
                return has_ip4 || ip6.step(list);
            };
        });
}

}  // namespace vr::ctl
