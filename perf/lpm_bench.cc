// Route lookup and update: table size x shape of the table, both families.
//
// Addresses are drawn at random from the routes, as many as there are routes and at least 65,536, so
// large tables are also touched widely.  "random" draws lengths as a full BGP table has them; in "mixed"
// every other route is a host of one of 256 nets.  "longest" is the one insert of all that took the most.
// "around" is a prefix of that length around 50,000 routes.
// SPDX-License-Identifier: Apache-2.0
#include <benchmark/benchmark.h>

#include <algorithm>
#include <array>
#include <initializer_list>
#include <memory>
#include <random>
#include <string>
#include <unordered_set>
#include <vector>

#include "perf/cpu_time.h"
#include "perf/measure.h"
#include "vrouter/dataplane/lpm.h"

namespace vr::perf {
namespace {

enum class Shape { Net, Host, Random, Mixed };

/// Prefix number `n` of a dense table: consecutive nets or hosts.
template <Family F>
[[nodiscard]] Prefix<F> dense(std::uint32_t n, Shape shape) {
    if constexpr (std::same_as<F, V4>) {
        return shape == Shape::Net ? *Prefix<V4>::make(Ip4{0x10000000U + (n << 8U)}, 24)
                                   : Prefix<V4>::host(Ip4{0x10000000U + n});
    } else {
        const std::uint64_t base = 0x20010db800000000U;
        return shape == Shape::Net ? *Prefix<V6>::make(Ip6{base + (std::uint64_t{n} << 16U), 0}, 48)
                                   : Prefix<V6>::host(Ip6{base, n});
    }
}

template <Family F>
[[nodiscard]] Prefix<F> drawn(std::mt19937_64& random) {
    // Two thirds of the routes are /24 (/48); the rest spreads, some more specific.
    const std::uint64_t dice = random() % 100;
    if constexpr (std::same_as<F, V4>) {
        const auto length = dice < 60 ? 24 : dice < 95 ? 16 + random() % 8 : 25 + random() % 8;
        const auto address = static_cast<std::uint32_t>(random() % 0xdf000000U + 0x01000000U);
        return *Prefix<V4>::make(Ip4{address}, static_cast<unsigned>(length));
    } else {
        const auto length = dice < 50 ? 48 : dice < 95 ? 29 + random() % 19 : 49 + random() % 16;
        const std::uint64_t high = 0x2000000000000000U | (random() >> 3U);
        return *Prefix<V6>::make(Ip6{high, 0}, static_cast<unsigned>(length));
    }
}

/// Host number `n` of a cluster, whose hosts stand in 256 nets.
template <Family F>
[[nodiscard]] Prefix<F> scattered(std::uint32_t n) {
    if constexpr (std::same_as<F, V4>) {
        return Prefix<V4>::host(Ip4{0x0a000000U + ((n % 256) << 16U) + n / 256});
    } else {
        return Prefix<V6>::host(Ip6{0x20010db800000000U + n % 256, n / 256});
    }
}

template <Family F>
[[nodiscard]] std::vector<Prefix<F>> prefixes(std::uint32_t count, Shape shape) {
    std::mt19937_64 random(count);
    std::unordered_set<Prefix<F>> seen;
    std::vector<Prefix<F>> list;
    list.reserve(count);
    for (std::uint32_t n = 0; list.size() < count; ++n) {
        const auto prefix = shape == Shape::Mixed && n % 2 == 0               ? scattered<F>(n / 2)
                            : shape == Shape::Random || shape == Shape::Mixed ? drawn<F>(random)
                                                                              : dense<F>(n, shape);
        if (seen.insert(prefix).second) {
            list.push_back(prefix);
        }
    }
    std::shuffle(list.begin(), list.end(), random);
    return list;
}

/// An address inside `prefix`.
template <Family F>
[[nodiscard]] typename F::Addr within(const Prefix<F>& prefix, std::uint64_t bits) {
    if constexpr (std::same_as<F, V4>) {
        const auto host = std::uint64_t{0xffffffffU} >> prefix.length();
        return Ip4{prefix.address().value() | static_cast<std::uint32_t>(bits & host)};
    } else {
        const unsigned length = prefix.length();
        const auto high = length < 64 ? bits & (~std::uint64_t{0} >> length) : 0;
        const auto low = length <= 64   ? bits
                         : length < 128 ? bits & (~std::uint64_t{0} >> (length - 64))
                                        : 0;
        return Ip6{prefix.address().high() | high, prefix.address().low() | low};
    }
}

template <Family F>
struct Loaded {
    Loaded(std::uint32_t count, Shape shape) : routes(prefixes<F>(count, shape)), lpm(reclaimer) {
        for (std::uint32_t i = 0; i < count; ++i) {
            lpm.insert(routes[i], i + 1);
        }
    }

    ImmediateReclaimer reclaimer;
    std::vector<Prefix<F>> routes;
    Lpm<F> lpm;
};

template <Family F>
void lookup(benchmark::State& state, std::uint32_t count, Shape shape, unsigned batch) {
    const Loaded<F> table(count, shape);
    std::mt19937_64 random(1);
    std::vector<typename F::Addr> addresses(std::max<std::size_t>(count, 65536));
    for (auto& address : addresses) {
        address = within<F>(table.routes[random() % count], random());
    }
    std::array<std::uint32_t, 32> values;
    std::size_t at = 0;
    for (auto _ : state) {
        table.lpm.lookup_bulk(addresses.data() + at, values.data(), batch);
        benchmark::DoNotOptimize(values);
        at = at + 2 * batch <= addresses.size() ? at + batch : 0;
    }
    report(state, batch);
}

/// One route leaves and comes back: two updates.
template <Family F>
void update(benchmark::State& state, std::uint32_t count, Shape shape) {
    Loaded<F> table(count, shape);
    std::size_t at = 0;
    for (auto _ : state) {
        table.lpm.erase(table.routes[at]);
        table.lpm.insert(table.routes[at], 1);
        at = at + 1 < table.routes.size() ? at + 1 : 0;
    }
    report(state, 2);
}

/// A prefix around the whole table comes and goes: two updates.
template <Family F>
void around(benchmark::State& state, std::uint32_t count, Shape shape, unsigned length) {
    Loaded<F> table(count, shape);
    const auto prefix = *Prefix<F>::make(table.routes.front().address(), length);
    for (auto _ : state) {
        table.lpm.insert(prefix, 1);
        table.lpm.erase(prefix);
    }
    report(state, 2);
}

/// A table is filled; what the slowest insert took, in microseconds of CPU.
template <Family F>
void longest(benchmark::State& state, std::uint32_t count, Shape shape) {
    const std::vector<Prefix<F>> routes = prefixes<F>(count, shape);
    double most = 0;
    for (auto _ : state) {
        ImmediateReclaimer reclaimer;
        Lpm<F> lpm(reclaimer);
        double before = cpu_seconds();
        for (std::uint32_t i = 0; i < count; ++i) {
            lpm.insert(routes[i], i + 1);
            const double after = cpu_seconds();
            most = std::max(most, after - before);
            before = after;
        }
    }
    state.counters["longest_us"] = most * 1e6;
    report(state, count);
}

template <Family F>
void add(std::uint32_t count, Shape shape, const std::string& name) {
    const std::string tail = std::string(F::kName) + "/" + name + "/" + std::to_string(count);
    benchmark::RegisterBenchmark(("lookup32/" + tail).c_str(), [=](benchmark::State& state) {
        lookup<F>(state, count, shape, 32);
    });
    benchmark::RegisterBenchmark(("lookup1/" + tail).c_str(), [=](benchmark::State& state) {
        lookup<F>(state, count, shape, 1);
    });
    benchmark::RegisterBenchmark(("update/" + tail).c_str(), [=](benchmark::State& state) {
        update<F>(state, count, shape);
    });
    benchmark::RegisterBenchmark(("longest/" + tail).c_str(), [=](benchmark::State& state) {
        longest<F>(state, count, shape);
    });
}

template <Family F>
void add_around(Shape shape, std::initializer_list<unsigned> lengths) {
    for (const unsigned length : lengths) {
        const auto name = "around/" + std::string(F::kName) +
                          (shape == Shape::Random ? "/random/"
                           : shape == Shape::Host ? "/host/"
                                                  : "/net/") +
                          std::to_string(length);
        benchmark::RegisterBenchmark(name.c_str(), [=](benchmark::State& state) {
            around<F>(state, 50'000, shape, length);
        });
    }
}

void add_all() {
    for (const std::uint32_t count : {1U, 256U, 10'000U, 100'000U, 1'000'000U}) {
        add<V4>(count, Shape::Net, "net24");
        add<V4>(count, Shape::Host, "host32");
        add<V4>(count, Shape::Random, "random");
    }
    for (const std::uint32_t count : {1U, 256U, 10'000U, 100'000U, 200'000U}) {
        add<V6>(count, Shape::Net, "net48");
        add<V6>(count, Shape::Random, "random");
    }
    for (const std::uint32_t count : {1U, 256U, 10'000U, 50'000U, 100'000U, 1'000'000U}) {
        add<V6>(count, Shape::Host, "host128");
    }
    for (const std::uint32_t count : {10'000U, 100'000U, 400'000U}) {
        add<V6>(count, Shape::Mixed, "mixed");
    }
    add_around<V4>(Shape::Random, {1, 4, 9});
    add_around<V4>(Shape::Host, {16});
    add_around<V6>(Shape::Random, {3});
    add_around<V6>(Shape::Net, {32});
}

}  // namespace
}  // namespace vr::perf

int main(int argc, char** argv) {
    vr::perf::add_all();
    benchmark::Initialize(&argc, argv);
    benchmark::RunSpecifiedBenchmarks();
    benchmark::Shutdown();
    return 0;
}
