// Networks of many speakers in virtual time, drawn at random: they converge, forward without loops,
// and iBGP passes nothing on that came over iBGP.
// SPDX-License-Identifier: Apache-2.0
#include <fmt/core.h>
#include <gtest/gtest.h>

#include <random>
#include <set>

#include "test/bgp/simulation.h"

namespace vr::bgp::network_test {
namespace {

using testing::Node;
using testing::World;

struct Shape {
    std::string name;
    unsigned systems;      ///< autonomous systems
    unsigned per_system;   ///< speakers in each
    unsigned extra_links;  ///< between systems, besides the ring that joins all
    bool reflected;        ///< the first speaker of a system is its reflector; else a full mesh
    bool several_paths;    ///< ADD-PATH everywhere
};

class Networks : public ::testing::TestWithParam<Shape> {
  protected:
    struct Member {
        Node* node;
        unsigned system;
        std::set<std::string> own;
    };

    explicit Networks(unsigned seed = 1) : random_(seed) {}

    unsigned draw(unsigned below) { return std::uniform_int_distribution{0U, below - 1}(random_); }

    void build() {
        const Shape& shape = GetParam();
        for (unsigned system = 0; system < shape.systems; ++system) {
            for (unsigned i = 0; i < shape.per_system; ++i) {
                Node& node = world.add(fmt::format("10.0.{}.{}", system, i + 1), 65001 + system);
                members.push_back({.node = &node, .system = system, .own = {}});
            }
            join_inside(system);
        }
        for (unsigned system = 0; system < shape.systems; ++system) {
            join_outside(system, (system + 1) % shape.systems);
        }
        for (unsigned i = 0; i < shape.extra_links; ++i) {
            join_outside(draw(shape.systems), draw(shape.systems));
        }
        world.settle();
    }

    void join_inside(unsigned system) {
        const Shape& shape = GetParam();
        for (unsigned i = 0; i < shape.per_system; ++i) {
            for (unsigned j = i + 1; j < shape.per_system; ++j) {
                if (!shape.reflected || i == 0) {
                    Node& first = speaker(system, i);
                    world.peer(first, speaker(system, j), [&](PeerConfig& config, Node& from) {
                        config.reflector_client = shape.reflected && &from == &first;
                        config.add_path = {shape.several_paths, shape.several_paths};
                    });
                }
            }
        }
    }

    void join_outside(unsigned a, unsigned b) {
        Node& from = speaker(a, draw(GetParam().per_system));
        Node& to = speaker(b, draw(GetParam().per_system));
        if (a != b && from.instance.find(to.address) == nullptr) {
            world.peer(from, to, [&](PeerConfig& config, Node&) {
                config.add_path = {GetParam().several_paths, GetParam().several_paths};
            });
            links.emplace_back(&from, &to);
        }
    }

    Node& speaker(unsigned system, unsigned index) {
        return *members[system * GetParam().per_system + index].node;
    }

    /// One thing changes somewhere.
    void disturb() {
        Member& member = members[draw(static_cast<unsigned>(members.size()))];
        const std::string text = fmt::format("172.16.{}.{}/32", draw(2), draw(16));
        const IpPrefix prefix = *parse_prefix(text);
        const unsigned choice = draw(10);
        if (choice == 0) {
            const auto& [a, b] = links[draw(static_cast<unsigned>(links.size()))];
            world.cut(*a, *b);
        } else if (choice < 7) {
            member.node->instance.originate(prefix, {});
            member.own.insert(text);
        } else {
            member.node->instance.withdraw(prefix);
            member.own.erase(text);
        }
    }

    [[nodiscard]] Member* at(const IpAddr& address) {
        const auto found =
            std::ranges::find(members, address, [](const Member& m) { return m.node->address; });
        return found == members.end() ? nullptr : &*found;
    }

    /// Follows every next hop from `from`; how it ends: "arrived", or what is wrong.
    std::string follow(Member& from, const std::string& prefix) {
        Member* here = &from;
        for (std::size_t hops = 0; hops <= members.size(); ++hops) {
            if (here->own.contains(prefix)) {
                return "arrived";
            }
            const auto route = here->node->sink.routes.find(prefix);
            if (route == here->node->sink.routes.end()) {
                return fmt::format("no route at {}", to_string(here->node->address));
            }
            here = at(route->second.next_hops.front());
            if (here == nullptr) {
                return "next hop is nobody";
            }
        }
        return "loop";
    }

    /// Every announced prefix is reached from everywhere, and no other is known anywhere.
    void check() {
        std::set<std::string> announced;
        for (const Member& member : members) {
            announced.insert(member.own.begin(), member.own.end());
        }
        for (Member& member : members) {
            for (const std::string& prefix : announced) {
                ASSERT_EQ(follow(member, prefix), "arrived")
                    << prefix << " from " << to_string(member.node->address);
            }
            for (const auto& [prefix, route] : member.node->sink.routes) {
                ASSERT_TRUE(announced.contains(prefix)) << prefix << " is a ghost";
            }
        }
    }

    /// No speaker tells an iBGP peer what it knows from another one, unless it reflects.
    void check_no_leak() {
        for (Member& member : members) {
            member.node->instance.for_each_peer([&](Peer& peer) {
                if (peer.source().kind != PeerKind::Internal) {
                    return;
                }
                for (const auto& told : peer.routes<V4>().advertised_routes()) {
                    const auto known = member.node->instance.routes(told.prefix, 1);
                    ASSERT_EQ(known.size(), 1U);
                    EXPECT_NE(known[0].paths[0].kind, PeerKind::Internal);
                }
            });
        }
    }

    std::minstd_rand random_;
    World world;
    std::vector<Member> members;
    std::vector<std::pair<Node*, Node*>> links;
};

TEST_P(Networks, ConvergeAfterEveryDisturbance) {
    using namespace std::chrono_literals;
    build();
    for (unsigned round = 0; round < 12; ++round) {
        for (unsigned i = 0; i < 8; ++i) {
            disturb();
        }
        world.pass(5s);  // what was cut comes back
        check();
    }
    if (!GetParam().reflected && !GetParam().several_paths) {
        check_no_leak();
    }
}

INSTANTIATE_TEST_SUITE_P(
    Shapes,
    Networks,
    ::testing::Values(
        Shape{"ring_of_systems", 8, 1, 0, false, false},
        Shape{"many_links", 8, 1, 10, false, false},
        Shape{"meshes", 4, 4, 3, false, false},
        Shape{"reflectors", 4, 4, 3, true, false},
        Shape{"several_paths", 4, 3, 3, false, true},
        Shape{"reflected_paths", 4, 4, 3, true, true}),
    [](const auto& shape) { return shape.param.name; });

}  // namespace
}  // namespace vr::bgp::network_test
