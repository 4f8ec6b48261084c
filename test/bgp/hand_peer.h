// A speaker with one peer that the test plays by hand: whole messages in, whole messages out.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "bgp/instance.h"
#include "bgp/update.h"
#include "test/bgp/simulation.h"

namespace vr::bgp::testing {

inline const IpAddr kHandAddress = Ip4{0xc0000202};
inline const IpAddr kOurAddress = Ip4{0xc0000201};

class HandPeer {
  public:
    /// Both take and give everything; `tune` changes our configuration of the peer.
    template <typename Tune>
    explicit HandPeer(Tune tune, SpeakerConfig speaker = speaker_config())
        : instance(std::move(speaker), sink, oracle, [] { return 0.5; }) {
        instance.start(now);
        PeerConfig config;
        config.address = kHandAddress;
        config.asn = Asn{65002};
        config.passive = true;
        config.import = config.export_ = Filter{.kind = Filter::Kind::All, .rules = {}};
        config.ipv6.next_hop = parse_ip("2001:db8::1");
        tune(config);
        peer = *instance.add_peer(config, now);
        settle();
    }

    HandPeer() : HandPeer([](PeerConfig&) {}) {}

    static SpeakerConfig speaker_config() {
        SpeakerConfig config;
        config.asn = Asn{65001};
        config.router_id = Ip4{0xc0000201};
        return config;
    }

    /// What an ordinary peer says of itself.
    static Open ordinary() {
        Open open;
        open.as_field = 65002;
        open.hold_time = 90;
        open.identifier = Ip4{0xc0000202};
        open.capabilities.families = {kIpv4Unicast, kIpv6Unicast};
        open.capabilities.route_refresh = true;
        open.capabilities.enhanced_refresh = true;
        open.capabilities.four_octet_as = Asn{65002};
        return open;
    }

    /// The same, knowing graceful restart for both families.
    static Open graceful(bool forwarding = true, bool notification = false) {
        Open open = ordinary();
        open.capabilities.graceful_restart = GracefulRestart{
            .restarting = false,
            .notification = notification,
            .seconds = 120,
            .members = {
                {.family = kIpv4Unicast, .forwarding = forwarding},
                {.family = kIpv6Unicast, .forwarding = forwarding}}};
        return open;
    }

    /// Calls and gets established.
    void come_up(const Open& open) {
        call();
        std::vector<std::uint8_t> bytes;
        encode_open(open, bytes);
        encode_keepalive(bytes);
        say(bytes);
    }

    /// Opens a connection; false when it is not taken.
    bool call() {
        const bool taken = peer->accept(now);
        settle();
        if (taken) {
            peer->connected(Direction::Incoming, kOurAddress, now);
            settle();
        }
        return taken;
    }

    void hang_up() {
        peer->disconnected(Direction::Incoming, "connection closed by the peer", now);
        settle();
    }

    void say(Bytes bytes) {
        peer->receive(Direction::Incoming, bytes);
        while (peer->process(Direction::Incoming, now)) {
        }
        settle();
    }

    void notify(ErrorCode code, std::uint8_t subcode) {
        std::vector<std::uint8_t> bytes;
        encode_notification(Notification{.code = code, .subcode = subcode, .data = {6, 2}}, bytes);
        say(bytes);
        hang_up();
    }

    void announce(std::string_view prefix, CompactVector<std::uint32_t> communities = {}) {
        Attributes attributes;
        attributes.communities = std::move(communities);
        attributes.as_path = AsPath::sequence({65002});
        const AttributeContext context;
        std::vector<std::uint8_t> bytes;
        std::visit(
            [&]<Family F>(const Prefix<F>& one) {
                attributes.next_hop =
                    std::is_same_v<F, V4> ? kHandAddress : *parse_ip("2001:db8::2");
                pack_announcements<F>(attributes, context, {&one, 1}, bytes);
            },
            *parse_prefix(prefix));
        say(bytes);
    }

    template <Family F>
    void end_of_rib() {
        std::vector<std::uint8_t> bytes;
        encode_end_of_rib<F>(bytes);
        say(bytes);
    }

    void refresh(std::uint8_t subtype) {
        std::vector<std::uint8_t> bytes;
        encode_route_refresh(kIpv4Unicast, subtype, bytes);
        say(bytes);
    }

    void pass(std::chrono::milliseconds time) {
        const Time end = now + time;
        while (true) {
            now = std::max(now, std::min(end, instance.next_deadline()));
            peer->tick(now);
            instance.tick(now);
            settle();
            if (now >= end) {
                return;
            }
        }
    }

    void settle() {
        bool busy = true;
        while (busy) {
            busy = instance.work();
            for (const PeerAction& action : peer->take_actions()) {
                collect(action.last_words.flat());
            }
            const auto bytes = peer->take_output(Direction::Incoming).flat();
            collect(bytes);
            if (!bytes.empty()) {
                peer->sent(Direction::Incoming, now);
                busy = true;
            }
        }
    }

    /// What was said to the peer since the last call: "OPEN", "KEEPALIVE", "UPDATE 10.0.0.0/24", "EOR
    /// ipv4", "BEGIN", "END", "NOTIFICATION 6/2", ...
    [[nodiscard]] std::vector<std::string> take_heard() { return std::exchange(heard_, {}); }

    [[nodiscard]] bool has(const std::string& prefix) const { return sink.routes.contains(prefix); }

    [[nodiscard]] PeerSummary summary() const { return peer->summary(now); }

    Time now{std::chrono::hours{1}};
    RecordingSink sink;
    TestOracle oracle;
    Instance instance;
    Peer* peer = nullptr;
    std::vector<std::vector<std::uint8_t>> messages;  ///< raw, all of them

  private:
    void collect(Bytes bytes) {
        Framer framer;
        framer.set_most(kMaxExtendedMessage);
        framer.feed(bytes);
        for (auto next = framer.next(); std::holds_alternative<Framer::Message>(next);
             next = framer.next()) {
            const auto& message = std::get<Framer::Message>(next);
            messages.emplace_back(message.whole.begin(), message.whole.end());
            heard_.push_back(words(message));
        }
    }

    static std::string words(const Framer::Message& message) {
        switch (message.type) {
            case MessageType::Open:
                return "OPEN";
            case MessageType::Keepalive:
                return "KEEPALIVE";
            case MessageType::Notification: {
                const auto what = decode_notification(message.body());
                return "NOTIFICATION " + std::to_string(static_cast<int>(what.code)) + "/" +
                       std::to_string(what.subcode);
            }
            case MessageType::RouteRefresh: {
                const auto subtype = decode_route_refresh(message.body())->subtype;
                return subtype == 0 ? "REFRESH" : subtype == 1 ? "BEGIN" : "END";
            }
            case MessageType::Update:
                break;
        }
        const auto update = std::get<Update>(
            decode_update(message.body(), AttributeContext{.as_width = AsWidth::Four}));
        return "UPDATE" + words(update.of<V4>()) + words(update.of<V6>());
    }

    template <Family F>
    static std::string words(const Reach<F>& reach) {
        std::string text;
        for (const auto& prefix : reach.announced) {
            text += " " + to_string(IpPrefix{prefix});
        }
        for (const auto& prefix : reach.withdrawn) {
            text += " -" + to_string(IpPrefix{prefix});
        }
        return text + (reach.end_of_rib ? " end of " + std::string(F::kName) : "");
    }

    std::vector<std::string> heard_;
};

inline constexpr const char* kRoute = "10.0.0.0/24";
inline constexpr const char* kOther = "10.0.1.0/24";
inline constexpr const char* kRoute6 = "2001:db8:1::/64";

/// Graceful restart for one family.
inline Open only_ipv4() {
    Open open = HandPeer::graceful();
    open.capabilities.graceful_restart->members.pop_back();
    return open;
}

/// Appends an UPDATE with the route to one address.
inline void add_announcement(std::vector<std::uint8_t>& bytes, Ip4 address) {
    Attributes attributes;
    attributes.as_path = AsPath::sequence({65002});
    attributes.next_hop = kHandAddress;
    const auto prefix = Prefix<V4>::host(address);
    pack_announcements<V4>(attributes, AttributeContext{}, {&prefix, 1}, bytes);
}

/// Of tests of what is kept: the peer is up with three routes and all said.
inline void begin(HandPeer& hand, const Open& open) {
    hand.come_up(open);
    hand.announce(kRoute);
    hand.announce(kOther);
    hand.announce(kRoute6);
    hand.end_of_rib<V4>();
    hand.end_of_rib<V6>();
    static_cast<void>(hand.take_heard());
}

/// Which of the three routes the machine has, one letter each.
inline std::string kept(const HandPeer& hand) {
    return std::string(hand.has(kRoute) ? "a" : "") + (hand.has(kOther) ? "b" : "") +
           (hand.has(kRoute6) ? "c" : "");
}

}  // namespace vr::bgp::testing
