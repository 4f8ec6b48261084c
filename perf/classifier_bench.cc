// Classifier: lookup and build by number of rules, both families; and address to group set.
//
// Three programs.  "policy": rules as selectors compile to, each names a group on the other side,
// mostly TCP to one port or a range; an address is in eight groups.  "nets": each rule names a net and a
// port instead.  "deny": distinct denies of one address, net and port that no packet meets, then allow
// (the rule set of the comparison with other routers).  Packets hit rules uniformly, a tenth hits none.
// Both engines; "bytes" is what a classifier takes of the heap and of DPDK's memory.
// SPDX-License-Identifier: Apache-2.0
#include <benchmark/benchmark.h>
#include <fmt/format.h>
#include <malloc.h>
#include <rte_eal.h>
#include <rte_malloc.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "perf/cpu_time.h"
#include "perf/measure.h"
#include "vrouter/dataplane/classifier.h"
#include "vrouter/dataplane/trie_classifier.h"

namespace vr::perf {
namespace {

enum class Kind { Policy, Nets, Deny };

template <Family F>
[[nodiscard]] typename F::Addr address(std::uint32_t n) {
    if constexpr (std::same_as<F, V4>) {
        return Ip4{0x0a000000U + n};
    } else {
        return Ip6{0xfd00000000000000U, n};
    }
}

template <Family F>
void set_net(acl::SideMatch& side, std::uint32_t n, unsigned host_bits) {
    const auto net = *Prefix<F>::make(address<F>(n << host_bits), F::kBits - host_bits);
    if constexpr (std::same_as<F, V4>) {
        side.nets4 = {net};
    } else {
        side.nets6 = {net};
    }
}

[[nodiscard]] L4Port port_of(std::uint32_t rule) {
    return L4Port{static_cast<std::uint16_t>(1 + rule * 7919 % 40000)};
}

template <Family F>
[[nodiscard]] acl::Rule make_rule(Kind kind, std::uint32_t n) {
    acl::Rule rule;
    rule.match.protocol = n % 5 == 0 ? 17 : 6;
    const L4Port port = port_of(n);
    const auto last = static_cast<std::uint16_t>(port.value() + (n % 7 == 0 ? 100 : 0));
    rule.match.destination.ports = {{port, L4Port{last}}};
    rule.action = n % 3 == 0 ? acl::Action::Deny : acl::Action::Allow;
    switch (kind) {
        case Kind::Policy:
            rule.match.source.group = GroupId{n % 500};
            break;
        case Kind::Nets:
            set_net<F>(rule.match.source, n, 4);
            break;
        case Kind::Deny:
            rule.action = acl::Action::Deny;
            rule.match.protocol = 17;
            rule.match.destination.ports = {
                {L4Port{static_cast<std::uint16_t>(1 + n % 999)},
                 L4Port{static_cast<std::uint16_t>(1 + n % 999)}}};
            set_net<F>(rule.match.source, n, 0);
            set_net<F>(rule.match.destination, n % 256, 8);
            break;
    }
    return rule;
}

template <Family F>
[[nodiscard]] std::shared_ptr<const acl::Program> make_program(Kind kind, std::uint32_t rules) {
    auto program = std::make_shared<acl::Program>();
    for (std::uint32_t n = 0; n < rules; ++n) {
        program->rules.push_back(make_rule<F>(kind, n));
    }
    if (kind == Kind::Deny) {
        program->rules.back() = {};
        program->rules.back().action = acl::Action::Allow;
    }
    return program;
}

/// Packets with their group sets.
template <Family F>
struct Traffic {
    static constexpr std::size_t kPackets = 65536;

    Traffic(Kind kind, std::uint32_t rules) {
        std::mt19937 random(rules);
        for (std::uint32_t i = 0; i < 500; ++i) {
            std::vector<GroupId> ids;
            for (std::uint32_t g = 0; g < 8; ++g) {
                // One group that rules name, others that only other programs name.
                ids.push_back(GroupId{g == 0 ? i : 500 + (i * 37 + g * 211) % 4000});
            }
            std::ranges::sort(ids);
            sets.emplace_back(std::move(ids));
        }
        for (std::size_t i = 0; i < kPackets; ++i) {
            const auto n = static_cast<std::uint32_t>(random() % rules);
            acl::Packet<F> packet;
            packet.protocol = n % 5 == 0 ? 17 : 6;
            packet.has_ports = true;
            packet.source_port = L4Port{static_cast<std::uint16_t>(random())};
            packet.destination_port = random() % 10 == 0 ? L4Port{65000} : port_of(n);
            packet.source = address<F>(kind == Kind::Nets ? n << 4U : n);
            packet.destination = address<F>(static_cast<std::uint32_t>(random() % 65536));
            if (kind == Kind::Deny) {
                packet.protocol = 17;
                packet.destination_port = L4Port{1024};
            }
            packets.push_back(packet);
            source.push_back(&sets[n % 500]);
            destination.push_back(&sets[random() % 500]);
        }
    }

    std::vector<GroupSet> sets;
    std::vector<acl::Packet<F>> packets;
    std::vector<const GroupSet*> source;
    std::vector<const GroupSet*> destination;
};

/// Or why the engine refuses it.
template <Family F>
[[nodiscard]] Result<std::shared_ptr<const acl::Classifier<F>>> make_classifier(
    acl::Engine engine, const std::shared_ptr<const acl::Program>& program) {
    if (engine == acl::Engine::BitVector) {
        return acl::Classifier<F>::build(program);
    }
    return acl::build_trie_classifier<F>(program);
}

/// In use, of the process's heap and of DPDK's.
[[nodiscard]] std::size_t allocated() {
    rte_malloc_socket_stats dpdk{};
    std::size_t bytes = mallinfo2().uordblks + mallinfo2().hblkhd;
    if (rte_malloc_get_socket_stats(0, &dpdk) == 0) {
        bytes += dpdk.heap_allocsz_bytes;
    }
    return bytes;
}

template <Family F>
void classify(
    benchmark::State& state, acl::Engine engine, Kind kind, std::uint32_t rules, unsigned batch) {
    const auto program = make_program<F>(kind, rules);
    const auto classifier = make_classifier<F>(engine, program);
    if (!classifier) {
        state.SkipWithError(classifier.error().text.c_str());
        return;
    }
    const Traffic<F> traffic(kind, rules);
    std::array<acl::Verdict, 32> verdicts;
    std::size_t at = 0;
    for (auto _ : state) {
        (*classifier)
            ->classify(
                traffic.packets.data() + at,
                traffic.source.data() + at,
                traffic.destination.data() + at,
                verdicts.data(),
                batch);
        benchmark::DoNotOptimize(verdicts);
        at = at + 2 * batch <= Traffic<F>::kPackets ? at + batch : 0;
    }
    report(state, batch);
}

template <Family F>
void build(benchmark::State& state, acl::Engine engine, Kind kind, std::uint32_t rules) {
    const auto program = make_program<F>(kind, rules);
    const std::size_t before = allocated();
    if (const auto classifier = make_classifier<F>(engine, program)) {
        state.counters["bytes"] = static_cast<double>(allocated() - before);
    } else {
        state.SkipWithError(classifier.error().text.c_str());
        return;
    }
    for (auto _ : state) {
        benchmark::DoNotOptimize(make_classifier<F>(engine, program));
    }
    report(state, 1);
}

/// Stage one: addresses of 10,000 hosts, each in eight groups.
template <Family F>
void group_lookup(benchmark::State& state) {
    constexpr std::uint32_t kHosts = 10'000;
    ImmediateReclaimer reclaimer;
    GroupTable<F> table(reclaimer);
    std::mt19937 random(1);
    for (std::uint32_t n = 0; n < kHosts; ++n) {
        for (unsigned g = 0; g < 8; ++g) {
            table.add(GroupId{(n % 500 * 8 + g)}, Prefix<F>::host(address<F>(n)));
        }
    }
    std::vector<typename F::Addr> addresses(65536);
    for (auto& a : addresses) {
        a = address<F>(static_cast<std::uint32_t>(random() % kHosts));
    }
    std::array<const GroupSet*, 32> sets;
    std::size_t at = 0;
    for (auto _ : state) {
        table.lookup_bulk(addresses.data() + at, sets.data(), 32);
        benchmark::DoNotOptimize(sets);
        at = at + 64 <= addresses.size() ? at + 32 : 0;
    }
    report(state, 32);
}

/// A host joins a group of 10,000 and leaves it again: two updates.
template <Family F>
void group_update(benchmark::State& state) {
    ImmediateReclaimer reclaimer;
    GroupTable<F> table(reclaimer);
    for (std::uint32_t n = 0; n < 10'000; ++n) {
        table.add(GroupId{n % 500}, Prefix<F>::host(address<F>(n)));
        table.add(GroupId{1000}, Prefix<F>::host(address<F>(n)));
    }
    std::uint32_t n = 0;
    for (auto _ : state) {
        table.remove(GroupId{1000}, Prefix<F>::host(address<F>(n)));
        table.add(GroupId{1000}, Prefix<F>::host(address<F>(n)));
        n = (n + 1) % 10'000;
    }
    report(state, 2);
}

/// A million hosts join a group one by one and leave it again; what the slowest took, in microseconds of CPU.
template <Family F>
void group_longest(benchmark::State& state) {
    constexpr std::uint32_t kHosts = 1'000'000;
    double longest_add = 0;
    double longest_remove = 0;
    for (auto _ : state) {
        ImmediateReclaimer reclaimer;
        GroupTable<F> table(reclaimer);
        const auto longest_of = [](double& longest, auto change) {
            for (std::uint32_t n = 0; n < kHosts; ++n) {
                const double before = cpu_seconds();
                change(Prefix<F>::host(address<F>(n)));
                longest = std::max(longest, cpu_seconds() - before);
            }
        };
        longest_of(longest_add, [&](auto host) { table.add(GroupId{1}, host); });
        longest_of(longest_remove, [&](auto host) { table.remove(GroupId{1}, host); });
    }
    state.counters["longest_add_us"] = longest_add * 1e6;
    state.counters["longest_remove_us"] = longest_remove * 1e6;
    report(state, 2 * kHosts);
}

template <Family F>
void add_rows(acl::Engine engine, Kind kind, std::string_view kind_name, std::uint32_t rules) {
    const std::string tail = fmt::format("{}/{}/{}/{}", name(engine), F::kName, kind_name, rules);
    for (const unsigned batch : {32U, 1U}) {
        benchmark::RegisterBenchmark(
            fmt::format("classify{}/{}", batch, tail).c_str(),
            [engine, kind, rules, batch](benchmark::State& state) {
                classify<F>(state, engine, kind, rules, batch);
            });
    }
    benchmark::RegisterBenchmark(
        ("build/" + tail).c_str(),
        [engine, kind, rules](benchmark::State& state) { build<F>(state, engine, kind, rules); });
}

template <Family F>
void add_all() {
    constexpr std::array kKinds{
        std::pair{Kind::Policy, "policy"},
        std::pair{Kind::Nets, "nets"},
        std::pair{Kind::Deny, "deny"}};
    for (const auto& [kind, name] : kKinds) {
        for (const std::uint32_t rules : {10U, 100U, 1'000U, 10'000U}) {
            for (const acl::Engine engine : {acl::Engine::BitVector, acl::Engine::RteAcl}) {
                add_rows<F>(engine, kind, name, rules);
            }
        }
    }
    const std::string family(F::kName);
    benchmark::RegisterBenchmark(("groups32/" + family).c_str(), group_lookup<F>);
    benchmark::RegisterBenchmark(("group_update/" + family).c_str(), group_update<F>);
    benchmark::RegisterBenchmark(("group_longest/" + family).c_str(), group_longest<F>);
}

}  // namespace
}  // namespace vr::perf

int main(int argc, char** argv) {
    std::array<std::string, 6> words{
        "bench", "--no-huge", "--no-shconf", "-m2048", "--no-pci", "--no-telemetry"};
    std::array<char*, words.size()> eal{};
    for (std::size_t i = 0; i < eal.size(); ++i) {
        eal[i] = words[i].data();
    }
    if (rte_eal_init(static_cast<int>(eal.size()), eal.data()) < 0) {
        return 1;
    }
    vr::perf::add_all<vr::V4>();
    vr::perf::add_all<vr::V6>();
    benchmark::Initialize(&argc, argv);
    benchmark::RunSpecifiedBenchmarks();
    benchmark::Shutdown();
    rte_eal_cleanup();
    return 0;
}
