// A world of BGP instances in virtual time: wires instead of sockets, a clock that is set by hand.
//
// Each instance has one address; a wire joins the two ends of a connection and can be cut.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "bgp/instance.h"

namespace vr::bgp::testing {

/// Remembers what the speaker told the machine.
class RecordingSink final : public RouteSink {
  public:
    void update(const IpPrefix& prefix, const LearntRoute& route) override {
        routes[to_string(prefix)] = route;
        ++updates;
    }

    void withdraw(const IpPrefix& prefix) override { routes.erase(to_string(prefix)); }

    void avoid(const IpAddr& next_hop, bool avoid) override {
        avoided.push_back((avoid ? "avoid " : "use ") + to_string(next_hop));
    }

    void restart_done() override {
        ++restarts_done;
        routes_when_done = routes;
    }

    std::map<std::string, LearntRoute> routes;
    unsigned updates = 0;
    unsigned restarts_done = 0;
    std::map<std::string, LearntRoute> routes_when_done;
    std::vector<std::string> avoided;
};

/// Next hops that a test can break.
class TestOracle final : public NextHopOracle {
  public:
    [[nodiscard]] std::optional<std::uint32_t> metric(const IpAddr& next_hop) const override {
        const auto at = metrics.find(next_hop);
        return at == metrics.end() ? std::optional<std::uint32_t>{0} : at->second;
    }

    [[nodiscard]] Zone zone_to(const IpAddr& peer) const override {
        const auto at = zones.find(peer);
        return at == zones.end() ? Zone{0} : at->second;
    }

    [[nodiscard]] std::vector<IpPrefix> way_to(const IpAddr& next_hop) const override {
        const auto at = ways.find(next_hop);
        return at == ways.end() ? std::vector<IpPrefix>{} : at->second;
    }

    [[nodiscard]] std::optional<Ip6> link_local_beside(Ip6 own, Zone /*link*/) const override {
        const auto at = link_locals.find(own);
        return at == link_locals.end() ? std::nullopt : std::optional{at->second};
    }

    [[nodiscard]] std::string interface_to(const IpAddr& destination) const override {
        const auto at = interfaces.find(destination);
        return at == interfaces.end() ? std::string{} : at->second;
    }

    [[nodiscard]] bool is_settled() const override { return settled; }

    bool settled = true;
    std::map<IpAddr, std::optional<std::uint32_t>> metrics;
    std::map<IpAddr, std::vector<IpPrefix>> ways;
    std::map<IpAddr, Zone> zones;
    std::map<IpAddr, std::string> interfaces;
    std::map<IpAddr, Ip6> link_locals;  ///< by our address beside them
};

struct Node {
    Node(const IpAddr& its_address, const SpeakerConfig& config)
        : address(its_address), instance(config, sink, oracle, [] { return 0.5; }) {}

    IpAddr address;
    RecordingSink sink;
    TestOracle oracle;
    Instance instance;
};

class World {
  public:
    /// A speaker with this address; an IPv4 address is its router id, else `id` is.
    Node& add(std::string_view address, std::uint32_t asn, std::string_view id = {}) {
        SpeakerConfig config;
        config.asn = Asn{asn};
        config.router_id = *Ip4::parse(id.empty() ? address : id);
        return *nodes_.emplace_back(std::make_unique<Node>(*parse_ip(address), config));
    }

    /// Makes `a` and `b` peers of each other; `tune` changes both configurations.
    template <typename Tune>
    void peer(Node& a, Node& b, Tune tune) {
        for (const auto& [from, to] : {std::pair{&a, &b}, std::pair{&b, &a}}) {
            PeerConfig config;
            config.address = to->address;
            config.asn = to->instance.config().asn;
            config.import = Filter{.kind = Filter::Kind::All, .rules = {}};
            config.export_ = Filter{.kind = Filter::Kind::All, .rules = {}};
            tune(config, *from);
            const auto added = from->instance.add_peer(config, now);
            if (!added) {
                throw std::runtime_error(added.error().text);
            }
        }
    }

    void peer(Node& a, Node& b) {
        peer(a, b, [](PeerConfig&, Node&) {});
    }

    /// Lets everything happen that needs no time to pass.
    void settle() {
        for (bool busy = true; busy;) {
            busy = false;
            for (auto& node : nodes_) {
                busy = step(*node) || busy;
            }
            busy = deliver() || busy;
        }
    }

    /// Lets `time` pass, timer by timer.
    void pass(std::chrono::milliseconds time) {
        const Time end = now + time;
        settle();
        for (;;) {
            Time next = end;
            for (auto& node : nodes_) {
                next = std::min(next, node->instance.next_deadline());
            }
            now = std::max(now, next);
            for (auto& node : nodes_) {
                node->instance.tick(now);
                node->instance.for_each_peer([&](Peer& peer) { peer.tick(now); });
            }
            settle();
            if (now >= end) {
                return;
            }
        }
    }

    /// Removes the peer and performs its last actions, as the shell does.
    void remove_peer(Node& node, const IpAddr& address) {
        Peer* peer = node.instance.remove_peer(
            address, notification(ErrorCode::Cease, cease::kDeconfigured), now);
        perform(node, *peer);
        settle();
    }

    /// Connections between two nodes end as if a link were cut.
    void cut(Node& a, Node& b) {
        for (auto& wire : std::vector(wires_)) {
            if ((wire->caller == &a && wire->callee == &b) ||
                (wire->caller == &b && wire->callee == &a)) {
                wire->dead = true;
                lost(*wire->caller, wire->callee->address, Direction::Outgoing);
                lost(*wire->callee, wire->caller->address, Direction::Incoming);
            }
        }
        settle();
    }

    /// Nothing gets through between them, but nobody is told; new calls stay unanswered too.
    void freeze(bool frozen) { frozen_ = frozen; }

    [[nodiscard]] Peer& peer_of(Node& node, const Node& other) {
        return *node.instance.find(other.address);
    }

    [[nodiscard]] std::size_t wires() const { return wires_.size(); }

    Time now{std::chrono::hours{1}};

  private:
    struct Wire {
        Node* caller = nullptr;
        Node* callee = nullptr;
        bool dead = false;
        std::vector<std::uint8_t> to_callee;
        std::vector<std::uint8_t> to_caller;
    };

    using WirePtr = std::shared_ptr<Wire>;

    bool step(Node& node) {
        bool busy = node.instance.work();
        node.instance.for_each_peer([&](Peer& peer) { busy = perform(node, peer) || busy; });
        return busy;
    }

    bool perform(Node& node, Peer& peer) {
        bool busy = false;
        for (auto actions = peer.take_actions(); !actions.empty(); actions = peer.take_actions()) {
            busy = true;
            for (PeerAction& action : actions) {
                if (action.kind == PeerAction::Kind::Close) {
                    close(node, peer, action);
                } else {
                    connect(node, peer);
                }
            }
        }
        for (const Direction direction : {Direction::Outgoing, Direction::Incoming}) {
            if (const WirePtr wire = find(node, peer.config().address, direction)) {
                const auto bytes = peer.take_output(direction).flat();
                auto& to = direction == Direction::Outgoing ? wire->to_callee : wire->to_caller;
                to.insert(to.end(), bytes.begin(), bytes.end());
                if (!bytes.empty() && !frozen_) {
                    peer.sent(direction, now);
                }
                busy = busy || !bytes.empty();
            }
        }
        return busy;
    }

    void connect(Node& node, Peer& peer) {
        if (frozen_) {
            return;
        }
        const auto callee =
            std::ranges::find(nodes_, peer.config().address, [](auto& n) { return n->address; });
        Peer* other = callee == nodes_.end() ? nullptr : (*callee)->instance.find(node.address);
        const bool welcome = other != nullptr && other->accept(now);
        if (other != nullptr) {
            perform(**callee, *other);
        }
        if (!welcome) {
            peer.disconnected(Direction::Outgoing, "connection refused", now);
            return;
        }
        const auto wire = std::make_shared<Wire>();
        wire->caller = &node;
        wire->callee = callee->get();
        wires_.push_back(wire);
        peer.connected(Direction::Outgoing, node.address, now);
        other->connected(Direction::Incoming, (*callee)->address, now);
    }

    void close(Node& node, Peer& peer, PeerAction& action) {
        const WirePtr wire = find(node, peer.config().address, action.direction);
        if (!wire) {
            return;
        }
        std::erase(wires_, wire);
        const bool called = action.direction == Direction::Outgoing;
        Node& far = called ? *wire->callee : *wire->caller;
        Peer* other = far.instance.find(node.address);
        if (other == nullptr || frozen_) {
            return;
        }
        auto bytes = called ? wire->to_callee : wire->to_caller;
        const auto last_words = action.last_words.flat();
        bytes.insert(bytes.end(), last_words.begin(), last_words.end());
        const Direction back = called ? Direction::Incoming : Direction::Outgoing;
        other->receive(back, bytes);
        while (other->process(back, now)) {
        }
        other->disconnected(back, "connection closed by the peer", now);
    }

    void lost(Node& node, const IpAddr& far, Direction direction) {
        std::erase_if(wires_, [](const WirePtr& wire) { return wire->dead; });
        if (Peer* peer = node.instance.find(far)) {
            peer->disconnected(direction, "link cut", now);
        }
    }

    bool deliver() {
        bool busy = false;
        if (frozen_) {
            return false;
        }
        for (const WirePtr& wire : std::vector(wires_)) {
            busy =
                hand_over(
                    *wire->callee, wire->caller->address, Direction::Incoming, wire->to_callee) ||
                busy;
            busy =
                hand_over(
                    *wire->caller, wire->callee->address, Direction::Outgoing, wire->to_caller) ||
                busy;
        }
        return busy;
    }

    bool hand_over(
        Node& node, const IpAddr& from, Direction direction, std::vector<std::uint8_t>& bytes) {
        Peer* peer = node.instance.find(from);
        if (peer == nullptr || bytes.empty()) {
            return false;
        }
        peer->receive(direction, std::exchange(bytes, {}));
        while (peer->process(direction, now)) {
        }
        return true;
    }

    [[nodiscard]] WirePtr find(const Node& node, const IpAddr& far, Direction direction) const {
        for (const WirePtr& wire : wires_) {
            const bool called = direction == Direction::Outgoing;
            const Node* near = called ? wire->caller : wire->callee;
            const Node* other = called ? wire->callee : wire->caller;
            if (near == &node && other->address == far) {
                return wire;
            }
        }
        return nullptr;
    }

    std::vector<std::unique_ptr<Node>> nodes_;
    std::vector<WirePtr> wires_;
    bool frozen_ = false;
};

}  // namespace vr::bgp::testing
