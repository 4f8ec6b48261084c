// Many peers: what they share is made once and each is told what it is to hear; what is done to all of them is
// done in slices.
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <random>
#include <set>
#include <vector>

#include "bgp/framer.h"
#include "bgp/output.h"
#include "bgp/ribs.h"
#include "bgp/speaker.h"
#include "bgp/update.h"
#include "bgp/update_batch.h"
#include "test/bgp/simulation.h"

namespace vr::bgp::many_peers_test {
namespace {

using namespace std::chrono_literals;
using testing::RecordingSink;

// --- Output ----------------------------------------------------------------------------------------

Output::Shared octets_of(std::size_t count, std::uint8_t value) {
    return std::make_shared<const Output::Octets>(count, value);
}

TEST(Output, KeepsTheOrderOfWhatIsSharedAndOwn) {
    Output output;
    output.tail().push_back(1);
    const auto many = octets_of(2000, 2);
    output.append(many, *many);
    const auto few = octets_of(10, 3);
    output.append(few, *few);
    output.tail().push_back(4);
    Output::Octets expected{1};
    expected.insert(expected.end(), 2000, 2);
    expected.insert(expected.end(), 10, 3);
    expected.push_back(4);
    EXPECT_EQ(output.size(), expected.size());
    EXPECT_EQ(output.flat(), expected);
    EXPECT_EQ(many.use_count(), 2) << "a large run is referred to";
    EXPECT_EQ(few.use_count(), 1) << "a small one is copied";
    EXPECT_EQ(output.parts().at(1).data(), many->data());
    const Output moved = std::move(output);
    EXPECT_EQ(moved.flat(), expected);
}

// --- UpdateBatch -----------------------------------------------------------------------------------

class Listener final : public UpdateMember {
  public:
    explicit Listener(SourceId id) : id_(id) {}

    [[nodiscard]] SourceId source_id() const override { return id_; }

    [[nodiscard]] bool has_room() const override { return true; }

    void take(const Output::Shared& of, Bytes updates, unsigned count) override {
        output.append(of, updates);
        messages += count;
    }

    void caught_up() override { has_caught_up = true; }

    Output output;
    bool has_caught_up = false;
    unsigned messages = 0;

  private:
    SourceId id_;
};

/// What `output` says of each prefix in the end: its MED, or nothing when it is withdrawn.
std::map<Prefix<V4>, std::optional<std::uint32_t>> heard(const Listener& listener) {
    std::map<Prefix<V4>, std::optional<std::uint32_t>> said;
    Framer framer;
    framer.feed(listener.output.flat());
    unsigned messages = 0;
    for (auto next = framer.next(); std::holds_alternative<Framer::Message>(next);
         next = framer.next()) {
        ++messages;
        const auto decoded =
            decode_update(std::get<Framer::Message>(next).body(), AttributeContext{});
        EXPECT_TRUE(std::holds_alternative<Update>(decoded));
        const auto& reach = std::get<Update>(decoded).of<V4>();
        for (const Prefix<V4>& prefix : reach.withdrawn) {
            said[prefix] = std::nullopt;
        }
        for (const Prefix<V4>& prefix : reach.announced) {
            said[prefix] = reach.attributes.med;
        }
    }
    EXPECT_EQ(messages, listener.messages);
    return said;
}

TEST(UpdateBatch, EachMemberHearsWhatItIsToHear) {
    AttributePool pool;
    std::minstd_rand random{7};
    const auto below = [&](unsigned bound) { return static_cast<unsigned>(random() % bound); };
    constexpr unsigned kMembers = 9;
    UpdateBatch<V4> batch;
    for (unsigned run = 0; run < 100; ++run) {
        std::vector<AttributesRef> sets(1);  // the first one: withdrawn
        std::vector<SourceId> hop_of(1);
        for (unsigned i = 0; i < 4; ++i) {
            Attributes attributes;
            attributes.med = i;
            attributes.next_hop = Ip4{0xc0000200U + i};
            sets.push_back(pool.intern(attributes));
            hop_of.push_back(static_cast<SourceId>(below(3) == 0 ? 1 + below(kMembers) : 0));
        }
        std::vector<UpdateBatch<V4>::Item> items;
        const unsigned rows = 1 + below(run % 2 == 0 ? 10 : 400);
        for (unsigned row = 0; row < rows; ++row) {
            const unsigned set = below(5);
            const auto owner = static_cast<SourceId>(below(2) == 0 ? 1 + below(kMembers) : 0);
            items.push_back(
                {.told = &sets[set],
                 .prefix = Prefix<V4>::host(Ip4{0x0a000000U + row}),
                 .path_id = row + 1,
                 .owner = owner,
                 .hop = hop_of[set],
                 .retold = below(2) == 0});
        }
        batch.clear();
        for (const auto& item : items) {
            batch.add(item);
        }
        batch.encode(AttributeContext{});
        for (SourceId id = 1; id <= kMembers + 1; ++id) {
            Listener listener{id};
            batch.hand_out(listener);
            std::map<Prefix<V4>, std::optional<std::uint32_t>> expected;
            for (const auto& item : items) {
                const bool own = item.owner == id || item.hop == id;
                const bool forgets = item.owner == id ? item.retold : true;
                if (!own) {
                    expected[item.prefix] =
                        *item.told ? (*item.told)->med : std::optional<std::uint32_t>{};
                } else if (*item.told && forgets) {
                    expected[item.prefix] = std::nullopt;
                }
            }
            ASSERT_EQ(heard(listener), expected) << "run " << run << ", member " << id;
        }
    }
}

TEST(UpdateBatch, MembersShareTheOctets) {
    AttributePool pool;
    Attributes attributes;
    attributes.next_hop = Ip4{0xc0000201};
    const AttributesRef told = pool.intern(attributes);
    UpdateBatch<V4> batch;
    for (std::uint32_t i = 0; i < 500; ++i) {
        batch.add(
            {.told = &told,
             .prefix = Prefix<V4>::host(Ip4{0x0a000000U + i}),
             .path_id = 0,
             .owner = 0,
             .hop = 0,
             .retold = false});
    }
    batch.encode(AttributeContext{});
    Listener one{1};
    Listener other{2};
    batch.hand_out(one);
    batch.hand_out(other);
    EXPECT_EQ(one.output.parts().at(0).data(), other.output.parts().at(0).data());
    const auto before = one.output.flat();
    batch.clear();
    batch.encode(AttributeContext{});  // those that are on their way stay as they are
    EXPECT_EQ(one.output.flat(), before);
}

TEST(Output, ASmallPartDoesNotKeepTheWhole) {
    const auto whole = octets_of(100'000, 1);
    Output output;
    output.append(whole, Bytes{*whole}.first(600));
    EXPECT_EQ(whole.use_count(), 1);
    EXPECT_EQ(output.size(), 600U);
}

// --- UpdateGroup -----------------------------------------------------------------------------------

class Group : public ::testing::Test {
  protected:
    static constexpr unsigned kRoutes = 5000;

    Group() {
        own.kind = PeerKind::Local;
        ribs.sources.add(own);
        for (unsigned i = 0; i < kRoutes; ++i) {
            set(i, 0);
        }
        decide_all();
    }

    Listener& join() {
        auto& source = *sources.emplace_back(std::make_unique<PathSource>());
        source.kind = PeerKind::External;
        source.address = Ip4{0x0b000000U + static_cast<std::uint32_t>(sources.size())};
        ribs.sources.add(source);
        listeners.push_back(std::make_unique<Listener>(source.id));
        obtain(terms())->join(*listeners.back());
        return *listeners.back();
    }

    std::shared_ptr<UpdateGroup<V4>> obtain(const ExportTerms& wanted) {
        return ribs.groups4.obtain(wanted);
    }

    static ExportTerms terms() {
        ExportTerms terms;
        terms.ends.kind = PeerKind::External;
        terms.ends.local_as = terms.ends.speaker_as = Asn{65001};
        terms.own_next_hop = Ip4{0xc0000201};
        terms.filter.kind = Filter::Kind::All;
        return terms;
    }

    void set(unsigned route, std::uint32_t med) {
        Attributes attributes;
        attributes.next_hop = Ip4{0xc0000209};
        attributes.med = med;
        static_cast<void>(ribs.v4.set(
            Prefix<V4>::host(Ip4{0x0a000000U + route}),
            PathCell{.attributes = ribs.pool.intern(attributes), .source = own.id}));
    }

    void decide_all() {
        while (ribs.v4.has_dirty()) {
            ribs.v4.decide_some(200, [&](RouteId id, const auto& route, auto change) {
                ribs.groups4.route_changed(id, route, change.best_path);
            });
        }
    }

    AnyNextHop oracle;
    Ribs ribs{oracle, 1, 7};
    PathSource own;
    std::vector<std::unique_ptr<PathSource>> sources;
    std::vector<std::unique_ptr<Listener>> listeners;
};

TEST_F(Group, ManyWhoAreToldChangesKeepNobodyFromTheTable) {
    for (unsigned i = 0; i < 500; ++i) {
        join();
    }
    while (ribs.groups4.work()) {
    }
    const Listener& late = join();
    unsigned rounds = 0;
    for (unsigned route = 0; !late.has_caught_up && rounds < 200; ++rounds) {
        for (unsigned i = 0; i < 100; ++i) {
            set(route++ % kRoutes, 1 + rounds % 7);
        }
        decide_all();
        static_cast<void>(ribs.groups4.work());
    }
    EXPECT_TRUE(late.has_caught_up) << "in " << rounds << " rounds";
}

TEST_F(Group, WaitsForSelectionWithFarewells) {
    ribs.selection_deferred = true;
    Listener& member = join();
    while (ribs.groups4.work()) {
    }
    const auto former = obtain(terms());
    ExportTerms changed = terms();
    changed.ends.next_hop = NextHopMode::Self;
    obtain(changed)->join(member, former.get());
    former->leave(member);
    unsigned rounds = 0;
    while (ribs.groups4.work() && rounds < 1000) {
        ++rounds;
    }
    EXPECT_LT(rounds, 1000U) << "nothing can be said before selection is done";
    ribs.selection_deferred = false;
    while (ribs.groups4.work()) {
    }
    EXPECT_TRUE(member.has_caught_up);
}

// --- Speaker ---------------------------------------------------------------------------------------

class ManyPeers : public ::testing::Test {
  protected:
    static constexpr unsigned kPeers = 40;

    static SpeakerConfig config_of(const IpAddr& address, std::uint32_t asn) {
        SpeakerConfig config;
        config.asn = Asn{asn};
        config.router_id = std::get<Ip4>(address);
        config.listen = {address};
        config.port = L4Port{0};
        return config;
    }

    static IpAddr address_of(unsigned peer) { return Ip4{0x7f000102U + peer}; }

    ManyPeers() { EXPECT_TRUE(hub.start()); }

    void add_peers() {
        for (unsigned i = 0; i < kPeers; ++i) {
            PeerConfig config;
            config.address = address_of(i);
            config.asn = Asn{65002};
            config.passive = true;
            config.import = config.export_ = Filter{.kind = Filter::Kind::All, .rules = {}};
            ASSERT_TRUE(hub.add_peer(config));
        }
    }

    void call() {
        for (unsigned i = 0; i < kPeers; ++i) {
            sinks.push_back(std::make_unique<RecordingSink>());
            auto& speaker = *speakers.emplace_back(std::make_unique<Speaker>(
                io, config_of(address_of(i), 65002), *sinks.back(), oracle));
            PeerConfig config;
            config.address = *parse_ip("127.0.0.1");
            config.asn = Asn{65001};
            config.port = hub.port();
            config.source = address_of(i);
            config.import = config.export_ = Filter{.kind = Filter::Kind::All, .rules = {}};
            config.timers.idle_hold = 1s;
            ASSERT_TRUE(speaker.add_peer(config));
        }
    }

    template <typename Done>
    bool wait_for(Done done) {
        const auto end = std::chrono::steady_clock::now() + 30s;
        while (!done() && std::chrono::steady_clock::now() < end) {
            io.run_one_for(1s);
        }
        return done();
    }

    [[nodiscard]] bool all_have(std::size_t routes) const {
        return std::ranges::all_of(
            sinks, [&](const auto& each) { return each->routes.size() == routes; });
    }

    boost::asio::io_context io;
    AnyNextHop oracle;
    RecordingSink sink;
    Speaker hub{io, config_of(*parse_ip("127.0.0.1"), 65001), sink, oracle};
    std::vector<std::unique_ptr<RecordingSink>> sinks;
    std::vector<std::unique_ptr<Speaker>> speakers;
};

TEST_F(ManyPeers, AllHearWhatComesAndGoes) {
    add_peers();
    call();
    Attributes attributes;
    attributes.next_hop = *parse_ip("192.0.2.9");
    for (std::uint32_t i = 0; i < 500; ++i) {
        attributes.med = i;
        hub.originate(Prefix<V4>::host(Ip4{0x0a000000U + i}), attributes);
    }
    EXPECT_TRUE(wait_for([&] { return all_have(500); }));
    for (std::uint32_t i = 1; i < 500; ++i) {
        hub.withdraw(Prefix<V4>::host(Ip4{0x0a000000U + i}));
    }
    EXPECT_TRUE(wait_for([&] { return all_have(1); }));
    std::optional<std::size_t> cleared;
    hub.for_each_peer(
        [this](const IpAddr& peer) { return hub.clear(peer); },
        [&](std::size_t count) { cleared = count; });
    EXPECT_TRUE(wait_for([&] { return cleared.has_value(); }));
    EXPECT_EQ(cleared, kPeers);
    EXPECT_TRUE(wait_for([&] { return all_have(0); }));
    EXPECT_TRUE(wait_for([&] { return all_have(1); }));
}

/// A stand-in for work that takes its time.
void take_long() {
    const auto end = std::chrono::steady_clock::now() + Speaker::kSlice / 4;
    while (std::chrono::steady_clock::now() < end) {
    }
}

TEST_F(ManyPeers, AreDealtWithInSlices) {
    add_peers();
    unsigned dealt = 0;
    std::optional<std::size_t> first;
    std::optional<std::size_t> second;
    hub.for_each_peer(
        [&](const IpAddr&) {
            take_long();
            return ++dealt % 2 == 0;
        },
        [&](std::size_t count) { first = count; });
    EXPECT_GT(dealt, 0U);
    EXPECT_LT(dealt, kPeers) << "one turn must not do all";
    hub.for_each_peer(
        [&](const IpAddr& peer) {
            EXPECT_TRUE(first) << "one after the other";
            return hub.remove_peer(peer);
        },
        [&](std::size_t count) { second = count; });
    EXPECT_TRUE(wait_for([&] { return second.has_value(); }));
    EXPECT_EQ(first, kPeers / 2);
    EXPECT_EQ(second, kPeers);
    EXPECT_EQ(hub.summary().peers, 0U);
}

TEST_F(ManyPeers, WhoIsRemovedMeanwhileIsLeftOut) {
    add_peers();
    std::optional<std::size_t> done;
    hub.for_each_peer(
        [&](const IpAddr&) {
            take_long();
            return true;
        },
        [&](std::size_t count) { done = count; });
    for (const IpAddr& peer : hub.addresses()) {
        hub.remove_peer(peer);
    }
    EXPECT_TRUE(wait_for([&] { return done.has_value(); }));
    EXPECT_LT(*done, kPeers);
}

TEST_F(ManyPeers, WhoWaitsIsToldWhenTheSpeakerEnds) {
    auto speaker =
        std::make_unique<Speaker>(io, config_of(*parse_ip("127.0.0.3"), 65001), sink, oracle);
    PeerConfig config;
    config.asn = Asn{65002};
    config.passive = true;
    for (unsigned i = 0; i < kPeers; ++i) {
        config.address = address_of(i);
        ASSERT_TRUE(speaker->add_peer(config));
    }
    bool told = false;
    speaker->for_each_peer(
        [&](const IpAddr&) {
            take_long();
            return true;
        },
        [&](std::size_t) { told = true; });
    ASSERT_FALSE(told);
    speaker.reset();
    EXPECT_TRUE(told);
}

}  // namespace
}  // namespace vr::bgp::many_peers_test
