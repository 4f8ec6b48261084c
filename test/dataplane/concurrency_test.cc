// Workers against the control thread.  Meant to be run under ThreadSanitizer too; without it, they still
// notice answers that no order of events explains.
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <functional>
#include <memory>
#include <random>
#include <thread>
#include <vector>

#include "test/dataplane/epoch_reclaimer.h"
#include "test/dataplane/reference_lpm.h"
#include "vrouter/dataplane/flow_table.h"
#include "vrouter/dataplane/groups.h"
#include "vrouter/dataplane/lpm.h"
#include "vrouter/dataplane/relay_classifier.h"

namespace vr::concurrency_test {
namespace {

constexpr unsigned kWorkers = 2;

/// Rounds that each worker runs at least, and steps of the control thread.
constexpr unsigned kRounds = 300;

/// Two workers run `work(worker, round)` over and over, quiescent in between, while this thread runs
/// `control(step)`: until all have done their share.
void against_workers(
    EpochReclaimer& reclaimer,
    const std::function<void(unsigned, unsigned)>& work,
    const std::function<void(unsigned)>& control) {
    std::atomic<bool> stop{false};
    std::atomic<unsigned> done{0};
    std::vector<std::thread> workers;
    for (unsigned worker = 0; worker < kWorkers; ++worker) {
        workers.emplace_back([&, worker] {
            for (unsigned round = 0; !stop.load(std::memory_order_relaxed); ++round) {
                reclaimer.quiesce(worker);
                work(worker, round);
                done += round == kRounds ? 1 : 0;
            }
        });
    }
    for (unsigned step = 0; step < kRounds || done.load() < kWorkers; ++step) {
        control(step);
        reclaimer.collect();
    }
    stop = true;
    for (auto& worker : workers) {
        worker.join();
    }
}

template <typename F>
class Concurrent : public testing::Test {
  public:
    static FlowKey<F> flow(unsigned n) {
        std::mt19937 random(n);
        FlowKey<F> key;
        key.source = clustered_address<F>(random);
        key.destination = clustered_address<F>(random);
        key.source_port = L4Port{static_cast<std::uint16_t>(n)};
        key.protocol = 6;
        return key;
    }

    EpochReclaimer reclaimer{kWorkers};
};

using Families = testing::Types<V4, V6>;
TYPED_TEST_SUITE(Concurrent, Families);

TYPED_TEST(Concurrent, LookupGivesAnAnswerOfBeforeOrAfterEachChange) {
    using F = TypeParam;
    Lpm<F> lpm(this->reclaimer);
    // A value tells the length of its prefix; the default route always stands.
    const auto value = [](const Prefix<F>& prefix) { return prefix.length() + 1; };
    std::mt19937 random(3);
    std::vector<Prefix<F>> prefixes;
    for (unsigned i = 0; i < 300; ++i) {
        prefixes.push_back(clustered_prefix<F>(random));
    }
    std::atomic<unsigned> wrong{0};
    lpm.insert(Prefix<F>{}, 1);
    against_workers(
        this->reclaimer,
        [&](unsigned worker, unsigned round) {
            std::mt19937 dice(worker * 1000 + round);
            std::array<typename F::Addr, 32> addresses;
            std::array<std::uint32_t, 32> values;
            for (auto& address : addresses) {
                address = prefixes[dice() % prefixes.size()].address();
            }
            lpm.lookup_bulk(addresses.data(), values.data(), 32);
            for (unsigned i = 0; i < 32; ++i) {
                const auto length = values[i] - 1;
                const bool known = std::ranges::any_of(prefixes, [&](const Prefix<F>& prefix) {
                    return prefix.length() == length && prefix.contains(addresses[i]);
                });
                wrong += known || length == 0 ? 0 : 1;
            }
        },
        [&](unsigned) {
            const auto& prefix = prefixes[random() % prefixes.size()];
            if (random() % 2 == 0) {
                lpm.insert(prefix, value(prefix));
            } else if (prefix.length() != 0) {
                lpm.erase(prefix);
            }
        });
    EXPECT_EQ(wrong, 0U);
}

/// Always one of the two stands: the one comes before the other goes.
TYPED_TEST(Concurrent, NobodyMissesBothOfAShortAndALongPrefix) {
    using F = TypeParam;
    Lpm<F> lpm(this->reclaimer);
    std::array<std::uint8_t, 16> bytes{10};
    const auto address = F::Addr::load(bytes.data());
    const std::array prefixes{*Prefix<F>::make(address, 8), *Prefix<F>::make(address, 9)};
    lpm.insert(prefixes[0], 1);
    std::array<typename F::Addr, 32> addresses;
    addresses.fill(address);
    std::atomic<unsigned> wrong{0};
    against_workers(
        this->reclaimer,
        [&](unsigned, unsigned) {
            std::array<std::uint32_t, 32> values;
            lpm.lookup_bulk(addresses.data(), values.data(), 32);
            const bool none = std::ranges::count(values, 0U) != 0 || lpm.lookup(address) == 0;
            wrong += none ? 1 : 0;
        },
        [&](unsigned step) {
            lpm.insert(prefixes[(step + 1) % 2], step + 1);
            lpm.erase(prefixes[step % 2]);
        });
    EXPECT_EQ(wrong, 0U);
}

/// One host after the other comes, so that the workers' table grows all the time; every third leaves soon.
TYPED_TEST(Concurrent, HostsThatStayAreFoundWhileTheTableGrows) {
    using F = TypeParam;
    constexpr unsigned kHosts = 30'000;
    Lpm<F> lpm(this->reclaimer);
    std::mt19937_64 random(5);
    std::vector<typename F::Addr> hosts;
    for (unsigned i = 0; i < kHosts; ++i) {
        if constexpr (std::same_as<F, V4>) {
            hosts.emplace_back(0x0a000000U + i);
        } else {
            hosts.emplace_back(0xfd00000000000000U + i % 5, random());
        }
    }
    std::atomic<unsigned> there{0};
    std::atomic<unsigned> wrong{0};
    against_workers(
        this->reclaimer,
        [&](unsigned worker, unsigned round) {
            const unsigned known = there.load(std::memory_order_acquire);
            std::mt19937 dice(worker * 1000 + round);
            std::array<unsigned, 32> numbers;
            std::array<typename F::Addr, 32> addresses;
            std::array<std::uint32_t, 32> values;
            for (unsigned i = 0; i < 32; ++i) {
                numbers[i] = static_cast<unsigned>(dice() % std::min(known + 100, kHosts));
                addresses[i] = hosts[numbers[i]];
            }
            lpm.lookup_bulk(addresses.data(), values.data(), 32);
            for (unsigned i = 0; i < 32; ++i) {
                const bool absent = numbers[i] >= known || numbers[i] % 3 == 0;
                wrong += values[i] == numbers[i] + 1 || (absent && values[i] == 0) ? 0 : 1;
            }
        },
        [&](unsigned step) {
            for (unsigned i = step * 100; i < std::min((step + 1) * 100, kHosts); ++i) {
                lpm.insert(Prefix<F>::host(hosts[i]), i + 1);
                if (i % 3 == 1 && i >= 50) {
                    lpm.erase(Prefix<F>::host(hosts[(i - 50) / 3 * 3]));
                }
            }
            there.store(std::min((step + 1) * 100, kHosts), std::memory_order_release);
        });
    EXPECT_EQ(wrong, 0U);
}

TYPED_TEST(Concurrent, GroupSetsAreWholeWhileMembersChange) {
    using F = TypeParam;
    GroupTable<F> table(this->reclaimer);
    std::mt19937 random(4);
    std::vector<Prefix<F>> members;
    for (unsigned i = 0; i < 100; ++i) {
        members.push_back(clustered_prefix<F>(random));
    }
    std::atomic<unsigned> wrong{0};
    against_workers(
        this->reclaimer,
        [&](unsigned worker, unsigned round) {
            std::mt19937 dice(worker * 1000 + round);
            std::array<typename F::Addr, 32> addresses;
            std::array<const GroupSet*, 32> sets;
            for (auto& address : addresses) {
                address = members[dice() % members.size()].address();
            }
            table.lookup_bulk(addresses.data(), sets.data(), 32);
            for (const GroupSet* set : sets) {
                wrong += std::ranges::is_sorted(set->ids()) ? 0 : 1;
            }
        },
        [&](unsigned) {
            const GroupId group{static_cast<std::uint32_t>(random() % 6)};
            const auto& member = members[random() % members.size()];
            if (random() % 2 == 0) {
                table.add(group, member);
            } else {
                table.remove(group, member);
            }
            table.refresh(random() % 8);
        });
    EXPECT_EQ(wrong, 0U);
}

TYPED_TEST(Concurrent, WorkersThatMeetTheSameNewFlowShareOneEntry) {
    using F = TypeParam;
    constexpr unsigned kFlows = 5000;
    FlowTable<F> table(this->reclaimer, kFlows + 64, kWorkers);
    std::array<std::vector<FlowEntry<F>*>, kWorkers> entries;
    std::vector<std::thread> workers;
    for (unsigned worker = 0; worker < kWorkers; ++worker) {
        workers.emplace_back([&, worker] {
            for (unsigned n = 0; n < kFlows; ++n) {
                const auto key = worker == 0 ? this->flow(n) : this->flow(n).reversed();
                entries[worker].push_back(table.insert(worker, key, {}, 0).entry);
            }
        });
    }
    for (auto& worker : workers) {
        worker.join();
    }
    EXPECT_EQ(entries[0], entries[1]);
    EXPECT_EQ(table.size(), kFlows);
}

/// Many flows want few mappings.
TYPED_TEST(Concurrent, AFlowAndItsMappingNameEachOtherWhileOthersComeAndGo) {
    using F = TypeParam;
    constexpr unsigned kMappings = 50;
    FlowTable<F> table(this->reclaimer, 600, kWorkers);
    FlowStart start;
    start.state = FlowState::Udp;
    std::atomic<unsigned> wrong{0};
    const auto outside = [this](unsigned n) { return this->flow(2000 + n % kMappings); };
    against_workers(
        this->reclaimer,
        [&](unsigned worker, unsigned round) {
            std::mt19937 dice(worker * 1000 + round);
            for (unsigned i = 0; i < 32; ++i) {
                const auto n = static_cast<unsigned>(dice() % 1000);
                const auto entered =
                    table.insert_mapped(worker, this->flow(n), outside(n), start, round);
                FlowEntry<F>* flow = entered.flow.entry;
                if (const auto* mapping = flow == nullptr ? nullptr : table.twin(*flow)) {
                    wrong += mapping->key == outside(n) ? 0 : 1;
                }
                if (flow != nullptr && dice() % 3 == 0) {
                    flow->state.store(FlowState::Dead, std::memory_order_relaxed);
                }
                const FlowKey<F> known = outside(static_cast<unsigned>(dice()));
                FlowHit<F> hit;
                table.lookup_mappings(&known, &hit, 1);
                if (const auto* of = hit.entry == nullptr ? nullptr : table.twin(*hit.entry)) {
                    wrong += outside(of->key.source_port.value()) == known ? 0 : 1;
                }
            }
        },
        [&](unsigned step) {
            table.age(step * 10, {}, 100);
            table.remove_if([&](const FlowEntry<F>& entry) {
                return entry.key.source_port.value() % 7 == step % 7;
            });
        });
    EXPECT_EQ(wrong, 0U);
    table.age(0, {}, table.capacity());
    table.remove_if([](const auto&) { return true; });
    EXPECT_EQ(table.size(), 0U);
}

TYPED_TEST(Concurrent, FoundFlowIsTheOneAskedForWhileOthersComeAndGo) {
    using F = TypeParam;
    FlowTable<F> table(this->reclaimer, 600, kWorkers);
    FlowStart start;
    start.state = FlowState::Udp;
    std::atomic<unsigned> wrong{0};
    against_workers(
        this->reclaimer,
        [&](unsigned worker, unsigned round) {
            std::mt19937 dice(worker * 1000 + round);
            std::array<FlowKey<F>, 32> keys;
            std::array<FlowHit<F>, 32> hits;
            for (auto& key : keys) {
                key = this->flow(static_cast<unsigned>(dice() % 1000));
            }
            table.lookup_bulk(keys.data(), hits.data(), 32);
            for (unsigned i = 0; i < 32; ++i) {
                FlowHit<F> hit = hits[i];
                if (hit.entry == nullptr) {
                    hit = table.insert(worker, keys[i], start, round);
                }
                if (hit.entry == nullptr) {
                    continue;
                }
                wrong += hit.entry->key == keys[i] ? 0 : 1;
                hit.entry->last_seen.store(round, std::memory_order_relaxed);
                if (dice() % 50 == 0) {
                    hit.entry->state.store(FlowState::Dead, std::memory_order_relaxed);
                }
            }
        },
        [&](unsigned step) {
            table.age(step * 10, {}, 100);
            table.remove_if([&](const FlowEntry<F>& entry) {
                return entry.key.source_port.value() % 7 == step % 7;
            });
            table.for_each(
                [&](const FlowEntry<F>& entry) { wrong += entry.key.protocol == 6 ? 0 : 1; });
        });
    EXPECT_EQ(wrong, 0U);
    EXPECT_LE(table.size(), table.capacity());
}

TYPED_TEST(Concurrent, WorkersGoOverToTheSuccessorOfAClassifier) {
    using F = TypeParam;
    const auto program = std::make_shared<const acl::Program>(
        acl::Program{.rules = {{.action = acl::Action::Allow}}, .origins = {{}}});
    acl::Relay<F> relay(program, acl::Classifier<F>::build(program), 1, kWorkers);
    std::array<unsigned, kWorkers> allowed{};
    std::array<unsigned, kWorkers> rounds{};
    against_workers(
        this->reclaimer,
        [&](unsigned worker, unsigned) {
            const acl::Packet<F> packet{};
            const GroupSet none{{}};
            const GroupSet* set = &none;
            acl::Verdict verdict;
            relay.classify(&packet, &set, &set, &verdict, 1, relay.hits().row(worker));
            allowed[worker] += verdict.allow ? 1U : 0U;
            ++rounds[worker];
        },
        [&](unsigned step) {
            if (step == kRounds / 2) {
                relay.succeed(acl::Classifier<F>::build(program));
            }
        });
    EXPECT_EQ(allowed, rounds);
    EXPECT_EQ(relay.hits().sum(0), allowed[0] + allowed[1]);
}

}  // namespace
}  // namespace vr::concurrency_test
