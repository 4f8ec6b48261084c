// The whole packet path on one core: a source and a sink in memory as ports of one worker.
//
// usage: pipeline_bench [--json] [--rounds N] [--packets N] [--only WORD]
//
// Reports TSC cycles a packet by CPU time of the thread (the machine is shared), source and sink
// included, and beside each figure the floor of the same rounds: the same source and sink without the
// router in between.  A run in which one packet is lost or wrong fails.  With BENCHMARK_OUT set, JSON
// goes there too.  Rows of limits tell what percentage of a rate passes, in three runs of a second each.
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <rte_cycles.h>
#include <rte_eal.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "perf/cpu_time.h"
#include "perf/traffic.h"
#include "vrouter/dataplane/clock.h"
#include "vrouter/machine.h"

namespace vr::perf {
namespace {

using test::host;

constexpr Mac kSourceMac{{2, 0, 0, 0, 0, 1}};
constexpr Mac kSinkMac{{2, 0, 0, 0, 0, 2}};
constexpr Mac kSenderMac{{2, 0, 0, 0, 1, 1}};
constexpr Mac kReceiverMac{{2, 0, 0, 0, 1, 2}};
constexpr std::uint32_t kGuest = 0x0a010002;
constexpr std::uint32_t kGateway = 0x0a0000fe;
constexpr std::uint32_t kHost = 0x0a000001;
/// Rules deny ports below; traffic goes to this one and meets the last rule only.
constexpr std::uint16_t kPort = 2000;

enum class Way : std::uint8_t { Transit, FromWorkload, ToWorkload };

struct Scenario {
    std::string name;
    Way way = Way::Transit;
    std::size_t routes = 1;
    std::size_t flows = 1;
    std::size_t rules = 0;
    bool fresh = false;   ///< every packet begins a flow
    bool nat = false;     ///< it goes out in the host's name
    RateLimits limits{};  ///< of the workload
};

constexpr RateLimits kNeverReached{.bandwidth = 1'000'000'000'000, .packet_rate = 1'000'000'000};

const std::vector<Scenario> kScenarios{
    {"routing, 1 route, 1 flow", Way::Transit, 1, 1, 0},
    {"routing, 10k routes, 65k flows", Way::Transit, 10000, 65536, 0},
    {"egress policy, 1 rule, 1 flow", Way::FromWorkload, 1, 1, 1},
    {"egress policy, 10k routes, 65k flows, 1000 rules", Way::FromWorkload, 10000, 65536, 1000},
    {"ingress policy, 1 rule, 1 flow", Way::ToWorkload, 1, 1, 1},
    {"ingress policy, 10k routes, 65k flows, 1000 rules", Way::ToWorkload, 10000, 65536, 1000},
    {"egress policy and rates, 1 rule, 1 flow",
     Way::FromWorkload,
     1,
     1,
     1,
     false,
     false,
     kNeverReached},
    {"ingress policy and rates, 1 rule, 1 flow",
     Way::ToWorkload,
     1,
     1,
     1,
     false,
     false,
     kNeverReached},
    {"egress policy, 1000 rules, new flows", Way::FromWorkload, 10000, 65536, 1000, true},
    {"ingress policy, 1000 rules, new flows", Way::ToWorkload, 10000, 65536, 1000, true},
    {"natOutgoing, 1 rule, 1 flow", Way::FromWorkload, 1, 1, 1, false, true},
    {"natOutgoing, 10k routes, 65k flows, 1000 rules",
     Way::FromWorkload,
     10000,
     65536,
     1000,
     false,
     true},
    {"natOutgoing, 1000 rules, new flows", Way::FromWorkload, 10000, 65536, 1000, true, true},
};

/// Rates that much more is offered to, and the packets a second that they are.
struct RateScenario {
    std::string name;
    RateLimits limits;
    double packets = 0;
};

const std::vector<RateScenario> kRates{
    {"1,000 packets/s", {.packet_rate = 1000, .packet_burst = 5}, 1e3},
    {"100,000 packets/s", {.packet_rate = 100'000, .packet_burst = 5}, 1e5},
    {"1,000,000 packets/s", {.packet_rate = 1'000'000, .packet_burst = 5}, 1e6},
    {"100 Mbit/s", {.bandwidth = 100'000'000, .burst = 1'000'000}, 1e8 / (kFrameSize * 8)},
    {"peak rate 500 Mbit/s",
     {.bandwidth = 100'000'000, .burst = 34'359'738'360, .peak_rate = 500'000'000},
     5e8 / (kFrameSize * 8)},
};

struct Options {
    bool json = false;
    unsigned rounds = 15;
    std::uint64_t packets = 1U << 20U;
    std::string only;
};

struct Figure {
    double best = 0;
    double median = 0;
    double max = 0;
};

struct Result {
    std::string family;
    Scenario scenario;
    Figure cycles;
    Figure floor;
    std::string unit = "TSC cycles/packet";
};

/// TSC cycles of this thread's CPU time that `work` took.
template <typename Work>
double cycles_of(const Work& work) {
    const double begin = cpu_seconds();
    work();
    return (cpu_seconds() - begin) * static_cast<double>(rte_get_tsc_hz());
}

Figure figure_of(std::vector<double> samples) {
    std::ranges::sort(samples);
    return {samples.front(), samples[samples.size() / 2], samples.back()};
}

/// `count` prefixes of many lengths, and addresses inside them.
template <Family F>
class Internet {
  public:
    explicit Internet(std::size_t count) {
        while (prefixes_.size() < count) {
            const unsigned least = F::kVersion == 4 ? 16 : 32;
            const unsigned length =
                least + static_cast<unsigned>(random_() % (F::kVersion == 4 ? 13 : 33));
            prefixes_.push_back(*Prefix<F>::make(random_address(), length));
        }
    }

    [[nodiscard]] const std::vector<Prefix<F>>& prefixes() const { return prefixes_; }

    [[nodiscard]] typename F::Addr station() {
        const Prefix<F>& prefix = prefixes_[random_() % prefixes_.size()];
        const std::uint64_t bits = random_();
        if constexpr (std::is_same_v<F, V4>) {
            return Ip4{
                prefix.address().value() |
                (static_cast<std::uint32_t>(bits) & (0xffffffffU >> prefix.length()))};
        } else {
            return Ip6{prefix.address().high(), bits};
        }
    }

    [[nodiscard]] std::uint64_t number() { return random_(); }

  private:
    [[nodiscard]] typename F::Addr random_address() {
        // 16.0.0.0/4 and 2000::/3: all of it can be routed.
        if constexpr (std::is_same_v<F, V4>) {
            return Ip4{0x10000000U | (static_cast<std::uint32_t>(random_()) & 0x0fffffffU)};
        } else {
            return Ip6{0x2000000000000000U | random_() >> 3U, random_()};
        }
    }

    std::mt19937_64 random_{7};
    std::vector<Prefix<F>> prefixes_;
};

template <Family F>
std::shared_ptr<const acl::Program> program_of(std::size_t rules, Internet<F>& internet) {
    auto program = std::make_shared<acl::Program>();
    program->origins.emplace_back();
    for (std::size_t i = 1; i < rules; ++i) {
        acl::Rule rule{.action = acl::Action::Deny};
        rule.match.protocol = ipproto::kUdp;
        const L4Port port{static_cast<std::uint16_t>(1 + i % 999)};
        rule.match.destination.ports = {{port, port}};
        const auto net = *Prefix<F>::make(internet.station(), F::kVersion == 4 ? 24 : 64);
        if constexpr (std::is_same_v<F, V4>) {
            rule.match.destination.nets4 = {net};
        } else {
            rule.match.destination.nets6 = {net};
        }
        program->rules.push_back(rule);
    }
    program->rules.push_back({.action = acl::Action::Allow});
    return program;
}

/// A router with one source and one sink.
template <Family F>
class Bench {
  public:
    explicit Bench(const Scenario& scenario)
        : scenario_(scenario),
          machine_(*Machine::make({.packets = 4095, .flows = 262144, .idle = {.sleep = false}})),
          internet_(scenario.routes) {
        const std::vector<TrafficFlow<F>> flows = make_flows();
        const bool from = scenario.way == Way::FromWorkload;
        const bool to = scenario.way == Way::ToWorkload;
        auto source =
            std::make_unique<TrafficSource<F>>(kSourceMac, kSenderMac, flows, machine_->pool());
        auto sink = std::make_unique<TrafficSink<F>>(kSinkMac, kReceiverMac, 63);
        source_ = source.get();
        sink_ = sink.get();
        floor_ =
            std::make_unique<TrafficSource<F>>(kReceiverMac, kSenderMac, flows, machine_->pool());
        const PortId in = add(std::move(source), from ? PortKind::Workload : PortKind::Fabric);
        const PortId out = add(std::move(sink), to ? PortKind::Workload : PortKind::Fabric);
        add_routes(in, out);
        if (from || to) {
            set_policy(from ? in : out);
        }
        if (scenario.nat) {
            translate_guest();
        }
        machine_->commit();
    }

    /// Cycles a packet through the router; `count` packets, or as many as there are new flows.
    double run(std::uint64_t count) {
        const std::uint64_t packets = scenario_.fresh ? scenario_.flows : count;
        Worker& worker = *machine_->workers()[0];
        source_->allow(packets);
        machine_->rcu().online(0);
        const double cycles = cycles_of([&] {
            while (worker.poll_once() != 0) {
            }
        });
        machine_->rcu().offline(0);
        if (scenario_.fresh) {
            machine_->shared().template flows<F>().remove_if([](const auto&) { return true; });
            machine_->rcu().reclaim();
        }
        return cycles / static_cast<double>(packets);
    }

    /// Packets a second that a limit lets through in that time, once its burst is used up.
    double rate(double seconds) {
        const auto offer = [&](double time) {
            const std::uint64_t begin = rte_rdtsc();
            const std::uint64_t taken = sink_->taken();
            const auto hz = static_cast<double>(rte_get_tsc_hz());
            const auto end = begin + static_cast<std::uint64_t>(time * hz);
            while (rte_rdtsc() < end) {
                machine_->workers()[0]->poll_once();
            }
            return static_cast<double>(sink_->taken() - taken) * hz /
                   static_cast<double>(rte_rdtsc() - begin);
        };
        source_->allow(std::numeric_limits<std::uint64_t>::max());
        machine_->rcu().online(0);
        offer(0.1);
        const double packets = offer(seconds);
        machine_->rcu().offline(0);
        return packets;
    }

    /// The same without the router.
    double run_floor(std::uint64_t count) {
        floor_->allow(count);
        std::array<rte_mbuf*, kMaxBatch> packets{};
        PortIo from = floor_->io();
        PortIo to = floor_sink_.io();
        const double cycles = cycles_of([&] {
            while (const std::uint16_t got = from.rx(from.self, 0, packets.data(), kMaxBatch)) {
                to.tx(to.self, 0, packets.data(), got);
            }
        });
        return cycles / static_cast<double>(count);
    }

    /// Empty, or what went wrong.
    [[nodiscard]] std::string complaint() const {
        if (sink_->taken() == source_->made() && sink_->bad() == 0 && floor_sink_.bad() == 0) {
            return {};
        }
        std::string text = fmt::format(
            "made {}, arrived {}, wrong {} and {}",
            source_->made(),
            sink_->taken(),
            sink_->bad(),
            floor_sink_.bad());
        for (const PortId id : machine_->ports()) {
            const PortTotals totals = machine_->totals(id);
            for (std::size_t i = 0; i < kDropCount; ++i) {
                if (totals.drops[i] != 0) {
                    text +=
                        fmt::format(", {} {}", name(static_cast<DropReason>(i)), totals.drops[i]);
                }
            }
        }
        return text;
    }

  private:
    std::vector<TrafficFlow<F>> make_flows() {
        std::vector<TrafficFlow<F>> flows;
        for (std::size_t i = 0; i < scenario_.flows; ++i) {
            TrafficFlow<F> flow{
                .source = internet_.station(),
                .destination = internet_.station(),
                .source_port = L4Port{static_cast<std::uint16_t>(internet_.number())},
                .destination_port = L4Port{kPort}};
            if (scenario_.way == Way::FromWorkload) {
                flow.source = host<F>(kGuest);
            } else if (scenario_.way == Way::ToWorkload) {
                flow.destination = host<F>(kGuest);
            }
            flows.push_back(flow);
        }
        return flows;
    }

    PortId add(std::unique_ptr<Port> port, PortKind kind) {
        const Mac mac = port->mac();
        PortRecord record{.name = "port", .kind = kind, .port = std::move(port), .mac = mac};
        record.addresses = {host<F>(kHost)};
        return *machine_->add_port(std::move(record));
    }

    /// The guest is in a pool with natOutgoing, its flows go beyond.
    void translate_guest() {
        machine_->routes().set(
            Prefix<F>::host(host<F>(kHost)), RouteSource::Local, LocalDelivery{kFamilyOf<F>});
        for (const GroupId group : {kNatPools, kAllPools}) {
            machine_->shared().template groups<F>().add(group, Prefix<F>::host(host<F>(kGuest)));
        }
        machine_->set_workload_rules({.nat_outgoing = NatOutgoing{}});
    }

    void add_routes(PortId in, PortId out) {
        RouteTable& routes = machine_->routes();
        const auto station = [&](std::uint32_t number, PortId port, RouteSource source) {
            const Adjacency neighbor{port, host<F>(number)};
            routes.set(Prefix<F>::host(host<F>(number)), source, neighbor);
            routes.next_hops().resolved(neighbor, port == in ? kSenderMac : kReceiverMac);
        };
        station(kGateway, scenario_.way == Way::ToWorkload ? in : out, RouteSource::Neighbor);
        if (scenario_.way != Way::Transit) {
            station(kGuest, scenario_.way == Way::FromWorkload ? in : out, RouteSource::Workload);
        }
        for (const Prefix<F>& prefix : internet_.prefixes()) {
            routes.set(prefix, RouteSource::Static, Gateways{{IpAddr{host<F>(kGateway)}}});
        }
    }

    void set_policy(PortId guest) {
        const auto classifier =
            acl::Classifier<F>::build(program_of<F>(scenario_.rules, internet_), 1);
        auto endpoint = std::make_shared<Endpoint>();
        endpoint->active = true;
        endpoint->mac = scenario_.way == Way::FromWorkload ? kSenderMac : kReceiverMac;
        const EndpointFamily<F> part{{Prefix<F>::host(host<F>(kGuest))}, classifier, classifier};
        if constexpr (std::is_same_v<F, V4>) {
            endpoint->v4 = part;
        } else {
            endpoint->v6 = part;
        }
        if (scenario_.limits.any()) {
            endpoint->limits = limits(scenario_.limits);
        }
        machine_->set_endpoint(guest, std::move(endpoint));
    }

    /// Of both directions, buckets full.
    static std::shared_ptr<const EndpointLimits> limits(const RateLimits& rates) {
        constexpr std::size_t kFrame = 1514;
        const auto policer = [&] {
            return Policer(rates, kFrame, bucket_hz(), std::make_shared<PolicerState>());
        };
        return std::make_shared<const EndpointLimits>(
            EndpointLimits{.ingress = policer(), .egress = policer()});
    }

    Scenario scenario_;
    std::unique_ptr<Machine> machine_;
    Internet<F> internet_;
    TrafficSource<F>* source_ = nullptr;
    TrafficSink<F>* sink_ = nullptr;
    std::unique_ptr<TrafficSource<F>> floor_;
    TrafficSink<F> floor_sink_{kSinkMac, kReceiverMac, 64};
};

/// Measures one scenario, its floor beside it in every round; nothing: it went wrong.
template <Family F>
std::optional<Result> measure(const Scenario& scenario, const Options& options) {
    Bench<F> bench{scenario};
    bench.run(std::max<std::uint64_t>(options.packets, scenario.flows));
    std::vector<double> cycles;
    std::vector<double> floor;
    for (unsigned round = 0; round < options.rounds; ++round) {
        floor.push_back(bench.run_floor(options.packets));
        cycles.push_back(bench.run(options.packets));
    }
    if (const std::string complaint = bench.complaint(); !complaint.empty()) {
        fmt::print(stderr, "pipeline_bench: {}, {}: {}\n", F::kName, scenario.name, complaint);
        return std::nullopt;
    }
    return Result{std::string(F::kName), scenario, figure_of(cycles), figure_of(floor)};
}

/// What passes of each limit, in percent of it: should be from 95 to 105.
template <Family F>
Result measure_rate(const RateScenario& scenario) {
    constexpr double kSeconds = 1;
    std::vector<double> percents;
    Bench<F> bench{{"", Way::FromWorkload, 1, 1, 1, false, false, scenario.limits}};
    for (int round = 0; round < 3; ++round) {
        percents.push_back(bench.rate(kSeconds) / scenario.packets * 100);
    }
    return {
        std::string(F::kName),
        {.name = "egress limit, " + scenario.name},
        figure_of(percents),
        {},
        "% of the limit"};
}

std::string json_of(const std::vector<Result>& results) {
    std::string text = "{\"benchmarks\": [";
    for (const Result& result : results) {
        text += fmt::format(
            "{}\n  {{\"name\": \"{}, {}\", \"unit\": \"{}\", \"best\": {:.1f}, "
            "\"median\": {:.1f}, \"max\": {:.1f}, \"floor\": {:.1f}}}",
            &result == results.data() ? "" : ",",
            result.family,
            result.scenario.name,
            result.unit,
            result.cycles.best,
            result.cycles.median,
            result.cycles.max,
            result.floor.median);
    }
    return text + "\n]}\n";
}

void print_row(const Result& result) {
    fmt::print(
        "{:<5} {:<50} {:6.1f} {:6.1f} {:6.1f} {:6.1f} {:6.1f}\n",
        result.family,
        result.scenario.name,
        result.cycles.best,
        result.cycles.median,
        result.cycles.max,
        result.floor.best,
        result.floor.median);
    std::fflush(stdout);
}

Options parse_options(const std::vector<std::string>& words) {
    Options options;
    for (std::size_t i = 1; i < words.size(); ++i) {
        const auto value = [&] { return i + 1 < words.size() ? words[++i] : std::string{}; };
        if (words[i] == "--json") {
            options.json = true;
        } else if (words[i] == "--rounds") {
            options.rounds = static_cast<unsigned>(std::max(1, std::atoi(value().c_str())));
        } else if (words[i] == "--packets") {
            options.packets = std::strtoull(value().c_str(), nullptr, 10) / kMaxBatch * kMaxBatch;
        } else if (words[i] == "--only") {
            options.only = value();
        }
    }
    return options;
}

bool start_eal() {
    std::vector<std::string> words{
        "bench",
        "--no-huge",
        "--no-shconf",
        "--no-pci",
        "--no-telemetry",
        "-m256",
        "--lcores",
        "0@0",
        "--log-level=lib.eal:4"};
    std::vector<char*> arguments;
    for (std::string& word : words) {
        arguments.push_back(word.data());
    }
    return rte_eal_init(static_cast<int>(arguments.size()), arguments.data()) >= 0;
}

int run(const Options& options) {
    std::vector<Result> results;
    bool good = true;
    if (!options.json) {
        fmt::print(
            "{:<5} {:<50} {:>6} {:>6} {:>6} {:>6} {:>6}\n",
            "",
            "TSC cycles a packet",
            "best",
            "median",
            "max",
            "floor",
            "median");
    }
    const auto one = [&](const std::optional<Result>& result) {
        good = good && result;
        if (result) {
            results.push_back(*result);
            if (!options.json) {
                print_row(*result);
            }
        }
    };
    for (const Scenario& scenario : kScenarios) {
        if (scenario.name.find(options.only) != std::string::npos) {
            one(measure<V4>(scenario, options));
            one(measure<V6>(scenario, options));
        }
    }
    for (const RateScenario& scenario : kRates) {
        if (("egress limit, " + scenario.name).find(options.only) != std::string::npos) {
            one(measure_rate<V4>(scenario));
            one(measure_rate<V6>(scenario));
        }
    }
    if (options.json) {
        fmt::print("{}", json_of(results));
    }
    if (const char* path = std::getenv("BENCHMARK_OUT")) {
        std::ofstream{path} << json_of(results);
    }
    return good ? 0 : 1;
}

}  // namespace
}  // namespace vr::perf

int main(int argc, char** argv) {
    if (!vr::perf::start_eal()) {
        return 1;
    }
    return vr::perf::run(vr::perf::parse_options({argv, argv + argc}));
}
