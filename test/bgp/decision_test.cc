// The decision: each step decides where the ones before are equal, and says so.
// SPDX-License-Identifier: Apache-2.0
#include "bgp/decision.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <random>

#include "bgp/attribute_pool.h"

namespace vr::bgp::decision_test {
namespace {

/// One path and who sent it.
struct Offer {
    Attributes attributes;
    PathSource source;
    std::optional<std::uint32_t> metric = 0;
};

struct Row {
    std::string name;
    std::function<void(Offer& winner, Offer& loser)> tune;
    Step wanted;
    unsigned sharing = 1;
};

Offer offer() {
    Offer made;
    made.attributes.as_path = AsPath::sequence({65001, 65002});
    made.source = {.kind = PeerKind::External, .identifier = Ip4{5}, .address = Ip4{5}};
    return made;
}

class DecisionRows : public ::testing::TestWithParam<Row> {};

TEST_P(DecisionRows, LoserFallsAtTheStep) {
    for (const bool swapped : {false, true}) {
        Offer winner = offer();
        Offer loser = offer();
        loser.source.address = Ip4{4};  // would win the last step but one
        if (GetParam().wanted == Step::PeerAddress) {
            loser.source.address = Ip4{6};
        }
        GetParam().tune(winner, loser);
        std::vector<Path> paths;
        for (const Offer* each : {&winner, &loser}) {
            Path path;
            path.attributes = &each->attributes;
            path.source = &each->source;
            path.metric = each->metric;
            paths.push_back(path);
        }
        if (swapped) {
            std::swap(paths[0], paths[1]);
        }
        EXPECT_EQ(decide(paths, 16), GetParam().sharing);
        EXPECT_EQ(paths[0].source, &winner.source);
        EXPECT_EQ(paths[0].lost_at, Step::Best);
        EXPECT_EQ(to_string(paths[1].lost_at), to_string(GetParam().wanted));
    }
}

INSTANTIATE_TEST_SUITE_P(
    Rows,
    DecisionRows,
    ::testing::Values(
        Row{"next_hop", [](Offer&, Offer& l) { l.metric.reset(); }, Step::NextHop},
        Row{"long_lived",
            [](Offer&, Offer& l) {
                l.attributes.communities = {community::kLlgrStale};
                l.attributes.local_pref = 1000;
            },
            Step::LongLived},
        Row{"local_pref", [](Offer& w, Offer&) { w.attributes.local_pref = 101; }, Step::LocalPref},
        Row{"default_local_pref",
            [](Offer&, Offer& l) { l.attributes.local_pref = 99; },
            Step::LocalPref},
        Row{"local_origin",
            [](Offer& w, Offer&) { w.source.kind = PeerKind::Local; },
            Step::LocalOrigin},
        Row{"as_path",
            [](Offer& w, Offer&) { w.attributes.as_path = AsPath::sequence({65001}); },
            Step::AsPath},
        Row{"origin",
            [](Offer&, Offer& l) { l.attributes.origin = Origin::Incomplete; },
            Step::Origin},
        Row{"med", [](Offer&, Offer& l) { l.attributes.med = 1; }, Step::Med},
        Row{"kind", [](Offer&, Offer& l) { l.source.kind = PeerKind::Internal; }, Step::PeerKind},
        Row{"metric", [](Offer&, Offer& l) { l.metric = 10; }, Step::Metric},
        Row{"router_id", [](Offer&, Offer& l) { l.source.identifier = Ip4{6}; }, Step::RouterId, 2},
        Row{"originator",
            [](Offer& w, Offer&) { w.attributes.originator_id = Ip4{1}; },
            Step::RouterId,
            2},
        Row{"clusters",
            [](Offer&, Offer& l) { l.attributes.cluster_list = {Ip4{1}}; },
            Step::ClusterList,
            2},
        Row{"address", [](Offer&, Offer&) {}, Step::PeerAddress, 2},
        Row{"loaded",
            [](Offer& w, Offer& l) {
                w.source = l.source = {};
                l.source.loaded = true;
            },
            Step::Loaded,
            2}),
    [](const auto& row) { return row.param.name; });

TEST(Decision, MedCountsOnlyWithinOneNeighbouringAs) {
    Offer a = offer();
    Offer b = offer();
    a.attributes.med = 10;
    b.attributes.as_path = AsPath::sequence({65009, 65002});
    std::vector<Path> paths(2);
    paths[0].attributes = &a.attributes;
    paths[1].attributes = &b.attributes;
    paths[0].source = &a.source;
    paths[1].source = &b.source;
    paths[0].metric = paths[1].metric = 0;
    EXPECT_EQ(decide(paths, 16), 2U);
}

TEST(Decision, NothingUsableIsNoBestPath) {
    Offer a = offer();
    std::vector<Path> paths(1);
    paths[0].attributes = &a.attributes;
    paths[0].source = &a.source;
    EXPECT_EQ(decide(paths, 16), 0U);
    EXPECT_FALSE(paths[0].multipath);
}

TEST(AttributePool, EqualSetsAreOne) {
    AttributePool pool;
    {
        const AttributesRef a = pool.intern(offer().attributes);
        const AttributesRef b = pool.intern(offer().attributes);
        EXPECT_EQ(a, b);
        EXPECT_EQ(pool.size(), 1U);
    }
    EXPECT_EQ(pool.size(), 0U);
}

/// RFC 4271 9.1.2.2 c, as it stands there: each path is compared with each other one.
TEST(Decision, ManyPathsAreComparedByMedAsFewAre) {
    std::minstd_rand random{3};
    const auto below = [&](std::size_t bound) {
        return static_cast<std::uint32_t>(random() % bound);
    };
    for (unsigned run = 0; run < 300; ++run) {
        std::vector<Offer> offers(1 + below(40));
        std::vector<Path> paths;
        for (std::size_t i = 0; i < offers.size(); ++i) {
            Offer& each = offers[i] = offer();
            if (below(10) == 0) {
                each.attributes.as_path = {};  // of our own AS
            } else {
                each.attributes.as_path = AsPath::sequence({65001 + below(4), 65100});
            }
            if (below(3) != 0) {
                each.attributes.med = below(4);
            }
            each.source.address = each.source.identifier = Ip4{static_cast<std::uint32_t>(i + 1)};
            Path path;
            path.attributes = &each.attributes;
            path.source = &each.source;
            path.metric = 0;
            paths.push_back(path);
        }
        std::size_t shortest = 100;
        for (const Offer& each : offers) {
            shortest = std::min<std::size_t>(shortest, each.attributes.as_path.length());
        }
        const auto med = [](const Attributes& a) { return a.med.value_or(0); };
        std::map<const PathSource*, bool> beaten;
        for (const Offer& each : offers) {
            if (each.attributes.as_path.length() == shortest) {
                beaten[&each.source] = std::ranges::any_of(offers, [&](const Offer& other) {
                    return other.attributes.as_path.length() == shortest &&
                           other.attributes.as_path.first() == each.attributes.as_path.first() &&
                           med(other.attributes) < med(each.attributes);
                });
            }
        }
        decide(paths, 1);
        for (const Path& path : paths) {
            const auto expected = beaten.find(path.source);
            EXPECT_EQ(path.lost_at == Step::AsPath, expected == beaten.end());
            if (expected != beaten.end()) {
                EXPECT_EQ(path.lost_at == Step::Med, expected->second) << "run " << run;
            }
        }
    }
}

}  // namespace
}  // namespace vr::bgp::decision_test
