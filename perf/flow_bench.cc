// Flow table: lookup of known flows by table fill, in batches of 32 and one by one; insert.
//
// Half of the packets go against their flow's direction.  Flows are asked for in random order.
// SPDX-License-Identifier: Apache-2.0
#include <benchmark/benchmark.h>

#include <algorithm>
#include <array>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "perf/measure.h"
#include "vrouter/dataplane/flow_table.h"

namespace vr::perf {
namespace {

template <Family F>
[[nodiscard]] FlowKey<F> flow(std::uint32_t n) {
    FlowKey<F> key;
    if constexpr (std::same_as<F, V4>) {
        key.source = Ip4{0xc0a80000U + n % 65536};
        key.destination = Ip4{0x10000000U + (n >> 4U)};
    } else {
        key.source = Ip6{0xfd00000000000000U, n % 65536};
        key.destination = Ip6{0x20010db800000000U, n >> 4U};
    }
    key.source_port = L4Port{static_cast<std::uint16_t>(1024 + n % 50021)};
    key.destination_port = L4Port{443};
    key.protocol = 6;
    return key;
}

template <Family F>
struct Filled {
    explicit Filled(std::uint32_t count)
        : table(reclaimer, std::max(count, 4096U), 1), keys(count) {
        std::mt19937 random(count);
        for (std::uint32_t n = 0; n < count; ++n) {
            keys[n] = flow<F>(n);
            benchmark::DoNotOptimize(table.insert(0, keys[n], {}, 0));
        }
        std::shuffle(keys.begin(), keys.end(), random);
        for (auto& key : keys) {
            key = random() % 2 == 0 ? key : key.reversed();
        }
        keys.resize(std::max<std::size_t>(count, 32), keys.front());
    }

    ImmediateReclaimer reclaimer;
    FlowTable<F> table;
    std::vector<FlowKey<F>> keys;
};

template <Family F>
void lookup(benchmark::State& state, std::uint32_t count, unsigned batch) {
    const Filled<F> filled(count);
    std::array<FlowHit<F>, 32> hits;
    std::size_t at = 0;
    for (auto _ : state) {
        filled.table.lookup_bulk(filled.keys.data() + at, hits.data(), batch);
        benchmark::DoNotOptimize(hits);
        at = at + 2 * batch <= filled.keys.size() ? at + batch : 0;
    }
    if (hits[0].entry == nullptr) {
        state.SkipWithError("a known flow was not found");
    }
    report(state, batch);
}

/// Flows that are not there: what the first packet of each connection pays.
template <Family F>
void miss(benchmark::State& state, std::uint32_t count) {
    const Filled<F> filled(count);
    auto strangers = filled.keys;
    for (auto& key : strangers) {
        key.protocol = 17;
    }
    std::array<FlowHit<F>, 32> hits;
    std::size_t at = 0;
    for (auto _ : state) {
        filled.table.lookup_bulk(strangers.data() + at, hits.data(), 32);
        benchmark::DoNotOptimize(hits);
        at = at + 64 <= strangers.size() ? at + 32 : 0;
    }
    report(state, 32);
}

/// Fills an empty table.
template <Family F>
void insert(benchmark::State& state, std::uint32_t count) {
    ImmediateReclaimer reclaimer;
    std::vector<FlowKey<F>> keys(count);
    for (std::uint32_t n = 0; n < count; ++n) {
        keys[n] = flow<F>(n);
    }
    FlowTable<F> table(reclaimer, count, 1);
    for (auto _ : state) {
        for (const auto& key : keys) {
            benchmark::DoNotOptimize(table.insert(0, key, {}, 0));
        }
        state.PauseTiming();
        table.remove_if([](const auto&) { return true; });
        state.ResumeTiming();
    }
    report(state, count);
}

template <Family F>
void add_all() {
    for (const std::uint32_t count : {1U, 4096U, 65'536U, 1'048'576U}) {
        const std::string tail = std::string(F::kName) + "/" + std::to_string(count);
        benchmark::RegisterBenchmark(("lookup32/" + tail).c_str(), [=](benchmark::State& state) {
            lookup<F>(state, count, 32);
        });
        benchmark::RegisterBenchmark(("lookup1/" + tail).c_str(), [=](benchmark::State& state) {
            lookup<F>(state, count, 1);
        });
        benchmark::RegisterBenchmark(
            ("miss32/" + tail).c_str(), [=](benchmark::State& state) { miss<F>(state, count); });
        if (count > 1) {
            benchmark::RegisterBenchmark(("insert/" + tail).c_str(), [=](benchmark::State& state) {
                insert<F>(state, count);
            });
        }
    }
}

}  // namespace
}  // namespace vr::perf

int main(int argc, char** argv) {
    vr::perf::add_all<vr::V4>();
    vr::perf::add_all<vr::V6>();
    benchmark::Initialize(&argc, argv);
    benchmark::RunSpecifiedBenchmarks();
    benchmark::Shutdown();
    return 0;
}
