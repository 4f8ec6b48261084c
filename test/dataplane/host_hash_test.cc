// SPDX-License-Identifier: Apache-2.0
#include "vrouter/dataplane/host_hash.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <utility>
#include <vector>

#include "test/dataplane/allocations.h"
#include "test/dataplane/slow_reclaimer.h"
#include "test/rounds.h"

namespace vr::host_hash_test {
namespace {

/// Frees when told to, oldest first: readers that take their time.
class SteppedReclaimer final : public Reclaimer {
  public:
    void retire(std::function<void()> free) override { waiting_.push_back(std::move(free)); }

    void step() {
        const auto free = std::move(waiting_.front());
        waiting_.pop_front();
        free();  // and may retire more
    }

    [[nodiscard]] std::size_t waiting() const { return waiting_.size(); }

  private:
    std::deque<std::function<void()>> waiting_;
};

/// Hosts of a few nets; a small range, so that they leave and come back.
Ip6 host(std::mt19937_64& random, unsigned range) {
    return {0xfd00000000000000U + random() % 3, random() % range};
}

void agree(const HostHash& table, const std::map<Ip6, std::uint32_t>& wanted, unsigned range) {
    ASSERT_EQ(table.size(), wanted.size());
    for (std::uint64_t net = 0; net < 3; ++net) {
        for (std::uint64_t low = 0; low < range; ++low) {
            const Ip6 address{0xfd00000000000000U + net, low};
            const auto at = wanted.find(address);
            ASSERT_EQ(table.lookup(address), at == wanted.end() ? 0U : at->second);
        }
    }
}

/// Erased and added again, replaced and split again, while copies that splits left behind still lie there
/// or rest: what the Reclaimer has done by then is random, from nothing at all to everything.
TEST(HostHash, AgreesWithAMapWhateverRests) {
    constexpr unsigned kRange = 400;
    for (unsigned seed = 0; seed < test::rounds(20); ++seed) {
        std::mt19937_64 random(seed);
        SteppedReclaimer reclaimer;
        auto table = std::make_unique<HostHash>(reclaimer);
        std::map<Ip6, std::uint32_t> wanted;
        const unsigned patience = seed % 4;  // 0: nothing is freed while the table lives
        for (std::uint32_t step = 1; step <= 4000; ++step) {
            const Ip6 address = host(random, kRange);
            if (random() % 3 != 0) {
                table->set(address, step);
                wanted[address] = step;
            } else if (wanted.erase(address) != 0) {
                table->erase(address);
            }
            for (auto n = random() % (patience + 1); n > 0 && reclaimer.waiting() != 0; --n) {
                reclaimer.step();
            }
            if (step % 200 == 0) {
                ASSERT_NO_FATAL_FAILURE(agree(*table, wanted, kRange)) << seed << ' ' << step;
            }
        }
        if (seed % 2 == 0) {
            table.reset();  // the rest comes due later
        }
        while (reclaimer.waiting() != 0) {
            reclaimer.step();
        }
        if (table) {
            ASSERT_NO_FATAL_FAILURE(agree(*table, wanted, kRange));
        }
    }
}

TEST(HostHash, BulkFindsWhatSingleLookupsFind) {
    SlowReclaimer reclaimer;
    HostHash table(reclaimer);
    std::mt19937_64 random(1);
    for (std::uint32_t value = 1; value <= 5000; ++value) {
        table.set(host(random, 5000), value);
        std::array<Ip6, HostHash::kBulk> addresses;
        std::array<std::uint32_t, HostHash::kBulk> values;
        std::ranges::generate(addresses, [&] { return host(random, 5000); });
        ASSERT_TRUE(table.lookup_bulk(addresses.data(), values.data(), HostHash::kBulk));
        for (unsigned i = 0; i < HostHash::kBulk; ++i) {
            ASSERT_EQ(values[i], table.lookup(addresses[i]));
        }
    }
}

/// The largest value that an Lpm has, and the address that is all zeros.
TEST(HostHash, TakesTheExtremes) {
    SlowReclaimer reclaimer;
    HostHash table(reclaimer);
    EXPECT_EQ(table.lookup(Ip6{}), 0U);
    table.set(Ip6{}, 0x7fffffff);
    EXPECT_EQ(table.lookup(Ip6{}), 0x7fffffffU);
    table.erase(Ip6{});
    EXPECT_EQ(table.lookup(Ip6{}), 0U);
}

/// A key that came back, in a slot before or behind the one where it rests.
TEST(HostHash, FindsWhatCameBackBesideItsOwnRest) {
    SteppedReclaimer reclaimer;
    HostHash table(reclaimer);
    const Ip6 address{1, 1};
    for (std::uint32_t value = 1; value <= 40; ++value) {
        table.set(address, value);
        EXPECT_EQ(table.lookup(address), value);
        table.erase(address);
        EXPECT_EQ(table.lookup(address), 0U);
        if (value % 3 == 0) {
            reclaimer.step();
        }
    }
}

/// One host more moves the keys of one bucket, however many there are, and so does one that leaves.
TEST(HostHash, OneChangeTouchesFewKeys) {
    constexpr unsigned kHosts = test::rounds(500'000);
    SteppedReclaimer reclaimer;
    HostHash table(reclaimer);
    std::mt19937_64 random(2);
    std::vector<Ip6> hosts(kHosts);
    std::ranges::generate(hosts, [&] { return Ip6{random() % 1000, random()}; });
    test::Allocations most;
    std::size_t most_retired = 0;
    const auto measure = [&](auto change) {
        const std::size_t buckets = table.buckets();
        const std::size_t waiting = reclaimer.waiting();
        const test::Allocations now = test::allocations_of(change);
        most = {std::max(most.bytes, now.bytes), std::max(most.calls, now.calls)};
        ASSERT_LE(table.buckets() - buckets, 1U);
        most_retired = std::max(most_retired, reclaimer.waiting() - waiting);
    };
    const auto measure_reclaimer = [&] {
        for (unsigned n = 0; n < 3 && reclaimer.waiting() != 0; ++n) {
            const test::Allocations now = test::allocations_of([&] { reclaimer.step(); });
            most = {std::max(most.bytes, now.bytes), std::max(most.calls, now.calls)};
        }
    };
    for (const Ip6 address : hosts) {
        measure([&] { table.set(address, 1); });
        measure_reclaimer();
    }
    EXPECT_EQ(table.size(), kHosts);
    for (const Ip6 address : hosts) {
        measure([&] { table.erase(address); });
        measure_reclaimer();
    }
    EXPECT_EQ(table.size(), 0U);
    EXPECT_LE(most.bytes, 4096U);
    EXPECT_LE(most.calls, 40U);
    EXPECT_LE(most_retired, 2U);
}

}  // namespace
}  // namespace vr::host_hash_test
