// Random walks over changing policies: what a peer is told changes again and again, with the table and the links of next
// hops, and before it has been told of the last change.  When all is said it knows what a fresh session would tell it, and nothing else.
// SPDX-License-Identifier: Apache-2.0
#include <fmt/core.h>
#include <gtest/gtest.h>

#include <random>

#include "test/bgp/simulation.h"

namespace vr::bgp::changing_policies_test {
namespace {

using namespace std::chrono_literals;
using testing::Node;
using testing::World;

struct Walk {
    std::string name;
    bool several_paths;  ///< ADD-PATH
    unsigned own;        ///< routes of the speaker; those of many fill what may wait for a peer
    unsigned walks;
};

class ChangingPolicies : public ::testing::TestWithParam<Walk> {
  protected:
    ChangingPolicies() {
        for (unsigned i = 0; i < kListeners; ++i) {
            const bool internal = i < kListeners / 2;
            listeners.push_back(
                &world.add(fmt::format("10.0.1.{}", i + 1), internal ? 65001 : 65002));
        }
        for (unsigned i = 0; i < 2; ++i) {
            feeders.push_back(&world.add(fmt::format("10.0.2.{}", i + 1), 65003 + i));
        }
        for (Node* other : feeders) {
            join(*other);
        }
        for (Node* other : listeners) {
            join(*other);
        }
        for (unsigned i = 0; i < GetParam().own; ++i) {
            originate(speaker, i);
        }
        world.settle();
    }

    void join(Node& other) {
        world.peer(speaker, other, [&](PeerConfig& config, Node& from) {
            config.add_path = {GetParam().several_paths, GetParam().several_paths};
            config.passive = &from == &other;
            config.timers.idle_hold_most = config.timers.idle_hold = 1s;
        });
    }

    unsigned draw(unsigned below) { return std::uniform_int_distribution{0U, below - 1}(random); }

    static IpPrefix prefix(unsigned number) { return Prefix<V4>::host(Ip4{0xac100000U + number}); }

    /// As one of many sets: what has one of its own fills a message.
    void originate(Node& node, unsigned number) {
        Attributes attributes;
        attributes.communities = {draw(3), 0x10000U + draw(GetParam().own)};
        node.instance.originate(prefix(number), attributes);
    }

    static FilterRule reject(std::uint32_t community) {
        FilterRule rule;
        rule.match.communities = {StandardCommunity{community}};
        return rule;
    }

    Filter policy() {
        FilterRule change{.match = {}, .action = FilterRule::Action::Accept, .operations = {}};
        change.operations = {AddCommunity{StandardCommunity{0x20000}}};
        FilterRule link{.match = {}, .action = FilterRule::Action::Accept, .operations = {}};
        link.match.interface = "eth1";
        switch (draw(7)) {
            case 0:
                return {.kind = Filter::Kind::All, .rules = {reject(0)}};
            case 1:
                return {.kind = Filter::Kind::All, .rules = {reject(1), change}};
            case 2:
                return {.kind = Filter::Kind::Local, .rules = {}};
            case 3:
                return {.kind = Filter::Kind::None, .rules = {}};
            case 4:
                return {.kind = Filter::Kind::Local, .rules = {reject(2)}};
            case 5:
                return {.kind = Filter::Kind::Local, .rules = {link}};
            default:
                return {.kind = Filter::Kind::All, .rules = {}};
        }
    }

    void change_policy() {
        Peer& peer = world.peer_of(speaker, *listeners[draw(kListeners)]);
        PeerConfig config = peer.config();
        if (draw(4) == 0) {
            config.next_hop = draw(2) == 0 ? NextHopMode::Self : NextHopMode::Auto;
        } else {
            config.export_ = policy();
        }
        peer.reconfigure(config, world.now);
    }

    void change_route() {
        Node& node = draw(2) == 0 ? speaker : *feeders[draw(2)];
        const unsigned number = draw(GetParam().own + 20);
        if (draw(3) == 0) {
            node.instance.withdraw(prefix(number));
        } else {
            originate(node, number);
        }
    }

    void change_link() {
        const IpAddr& next_hop = feeders[draw(2)]->address;
        speaker.oracle.interfaces[next_hop] = draw(2) == 0 ? "eth0" : "eth1";
        speaker.instance.next_hop_changed(next_hop);
    }

    /// Often the speaker has hardly begun to tell of the last step when the next one comes.
    void step() {
        const unsigned what = draw(20);
        if (what < 10) {
            change_policy();
        } else if (what < 18) {
            change_route();
        } else {
            change_link();
        }
        const unsigned pause = draw(12);
        if (pause == 0) {
            world.settle();
        } else if (pause < 8) {
            for (unsigned i = 0; i < pause; ++i) {
                static_cast<void>(speaker.instance.work());
            }
        }
    }

    /// What `listener` knows from the speaker; path identifiers are the speaker's own choice.
    std::vector<std::string> known(Node& listener) {
        std::vector<std::string> routes;
        for (const auto& route : world.peer_of(listener, speaker).routes<V4>().received_routes()) {
            routes.push_back(to_string(route.prefix) + " " + to_string(route.attributes));
        }
        std::ranges::sort(routes);
        return routes;
    }

    static constexpr unsigned kListeners = 6;

    std::minstd_rand random{7};
    World world;
    Node& speaker = world.add("10.0.0.1", 65001);
    std::vector<Node*> listeners;
    std::vector<Node*> feeders;
};

TEST_P(ChangingPolicies, EndWithWhatAFreshSessionTells) {
    for (unsigned walk = 0; walk < GetParam().walks; ++walk) {
        for (unsigned i = 0; i < 30; ++i) {
            step();
        }
        world.settle();
        std::vector<std::vector<std::string>> before;
        for (Node* listener : listeners) {
            before.push_back(known(*listener));
        }
        for (Node* listener : listeners) {
            world.cut(speaker, *listener);
        }
        world.pass(10s);
        for (unsigned i = 0; i < kListeners; ++i) {
            const auto fresh = known(*listeners[i]);
            std::vector<std::string> wrong;
            std::ranges::set_symmetric_difference(before[i], fresh, std::back_inserter(wrong));
            ASSERT_TRUE(wrong.empty())
                << "walk " << walk << ", listener " << i << ", " << wrong.size() << " of "
                << fresh.size() << ": " << wrong[0];
        }
    }
}

INSTANTIATE_TEST_SUITE_P(
    Walks,
    ChangingPolicies,
    ::testing::Values(
        Walk{"few_routes", false, 40, 60},
        Walk{"many_routes", false, 2500, 3},
        Walk{"few_paths", true, 40, 60},
        Walk{"many_paths", true, 2500, 3}),
    [](const auto& walk) { return walk.param.name; });

}  // namespace
}  // namespace vr::bgp::changing_policies_test
