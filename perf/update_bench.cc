// How long a change takes: from before the rename() of a resource file, or the write to an etcd, to the first
// packet that is judged by it.
//
// Without arguments: files with 1, 100 and 1,000 endpoints of this host, then a cluster of 50,000 with 100 of
// this host, from files and from etcd.  --source, --endpoints or --cluster: one such run.
//
// --data: where the files are, or where etcd keeps what it has.  etcd confirms nothing that it has not synced
// there, and ext4 writes a file to the disk before another one takes its name: in a tmpfs (/dev/shm) a change
// takes what is ours and etcd's, without the disk.
// --cluster: beside what is changed, N endpoints of other hosts in 1,000 groups and N / 25 policies of 5 rules,
// two for each group; those of one group guard the local endpoints, too.
//
// The parts of vrouterd that a change passes, joined as daemon.cc joins them: its source, graph,
// builder thread, machine, and a worker on its own core that polls a port which makes a packet of a new
// flow every 20 us.  Each change turns the verdict on these packets, from Deny to Allow and back, so that
// every change shows.  Beside the whole, how long each part took (medians): "source" until the objects are
// read, "graph" until the machine was told, "compile" until the last program was built, "apply" until the
// packet; also how long after the rename() was done or etcd had confirmed the write ("conf-"), or 0 where we
// were quicker; and the longest turn of the control thread beside a change (CPU time).  With BENCHMARK_OUT set,
// JSON goes there.
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <linux/magic.h>
#include <rte_mbuf.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

#include "perf/update_objects.h"
#include "perf/update_source.h"
#include "policy/backlog.h"
#include "policy/graph.h"
#include "test/dataplane/packet_builder.h"
#include "vrouter/builder.h"
#include "vrouter/control.h"
#include "vrouter/dataplane/packet_pool.h"
#include "vrouter/eal.h"
#include "vrouter/machine.h"
#include "vrouter/slow_path.h"
#include "vrouter/turns.h"
#include "vrouter/workloads.h"

namespace vr::perf {
namespace {

constexpr Mac kRouterMac{{2, 0, 0, 0, 0, 1}};
constexpr Mac kSenderMac{{2, 0, 0, 0, 1, 1}};
constexpr std::uint32_t kFirstGuest = 0x0a010001;
constexpr std::chrono::microseconds kInterval{20};
/// A flow each interval is begun while it is allowed: were the table full, no change would show.
constexpr std::uint32_t kFlows = 1U << 21U;

/// When each part was done with the newest change; written by the threads that do it.
struct Stamps {
    std::atomic<std::int64_t> source{0};
    std::atomic<std::int64_t> graph{0};
    std::atomic<std::int64_t> compiled{0};
};

/// A port without a packet.
class QuietPort : public Port {
  public:
    [[nodiscard]] PortIo io() noexcept override {
        return {.self = this, .rx = none, .tx = swallow};
    }

    [[nodiscard]] PortStatus status() const override { return {true, "quiet", ""}; }

    [[nodiscard]] Mac mac() const override { return kRouterMac; }

    [[nodiscard]] std::uint16_t mtu() const override { return 1500; }

    std::uint64_t swallowed = 0;  ///< worker only

  private:
    static std::uint16_t none(void*, std::uint16_t, rte_mbuf**, std::uint16_t) noexcept {
        return 0;
    }

    static std::uint16_t swallow(
        void* self, std::uint16_t, rte_mbuf** packets, std::uint16_t count) noexcept {
        static_cast<QuietPort*>(self)->swallowed += count;
        rte_pktmbuf_free_bulk(packets, count);
        return count;
    }
};

/// Sends packets of new flows to a guest and notes when they begin, or cease, to arrive there.
class Probe final : public Port {
  public:
    Probe(rte_mempool* pool, std::uint32_t guest) : pool_(pool) {
        const test::Envelope<V4> envelope{
            .link_source = kSenderMac,
            .link_destination = kRouterMac,
            .source = host<V4>(kClient),
            .destination = host<V4>(guest)};
        frame_ = test::frame_of(envelope, test::udp_header(0, 0));
    }

    [[nodiscard]] PortIo io() noexcept override { return {.self = this, .rx = rx, .tx = tx}; }

    [[nodiscard]] PortStatus status() const override { return {true, "probe", ""}; }

    [[nodiscard]] Mac mac() const override { return kRouterMac; }

    [[nodiscard]] std::uint16_t mtu() const override { return 1500; }

    /// Where the packets arrive; before the worker runs.
    void watch(const QuietPort& sink) { sink_ = &sink; }

    /// How often the verdict has turned, and when the first packet that met the last turn came in.
    [[nodiscard]] std::uint32_t turns() const { return turns_.load(std::memory_order_acquire); }

    [[nodiscard]] std::int64_t turned_at() const {
        return turned_at_.load(std::memory_order_relaxed);
    }

  private:
    static std::uint16_t rx(void* self, std::uint16_t, rte_mbuf** packets, std::uint16_t) noexcept {
        return static_cast<Probe*>(self)->make(packets);
    }

    static std::uint16_t tx(void*, std::uint16_t, rte_mbuf**, std::uint16_t) noexcept { return 0; }

    std::uint16_t make(rte_mbuf** packets) noexcept {
        const std::int64_t time = now();
        if (sink_ == nullptr || time - sent_at_ < std::chrono::nanoseconds{kInterval}.count()) {
            return 0;
        }
        // The last packet's way ended within the worker's last round.
        const bool passed = sink_->swallowed != seen_;
        seen_ = sink_->swallowed;
        if (sent_at_ != 0 && passed != passed_) {
            passed_ = passed;
            turned_at_.store(sent_at_, std::memory_order_relaxed);
            turns_.fetch_add(1, std::memory_order_release);
        }
        sent_at_ = time;
        ++flow_;
        store_be(&frame_[test::kL4<V4>], static_cast<std::uint16_t>(flow_));
        store_be(&frame_[test::kL4<V4> + 2], static_cast<std::uint16_t>(flow_ >> 16U));
        packets[0] = make_packet(pool_, frame_);
        return packets[0] == nullptr ? 0 : 1;
    }

    rte_mempool* pool_;
    test::Frame frame_;
    const QuietPort* sink_ = nullptr;
    std::int64_t sent_at_ = 0;
    std::uint64_t seen_ = 0;
    std::uint32_t flow_ = 0;
    bool passed_ = false;
    std::atomic<std::uint32_t> turns_{0};
    std::atomic<std::int64_t> turned_at_{0};
};

Config bench_config() {
    Config config;
    config.node = "h";
    config.eal = {"--no-huge"};
    const long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    config.workers.lcores = {static_cast<unsigned>(cpus - 1)};
    return config;
}

/// The router around one scenario.
class Router {
  public:
    Router(Eal& eal, Source& source, std::size_t endpoints)
        : eal_(eal),
          source_(source),
          machine_(*Machine::make({.flows = kFlows})),
          slow_path_(*machine_),
          control_(loop_, *machine_, slow_path_),
          builder_([this](std::function<void()> task) {
              stamps.compiled.store(now());
              boost::asio::post(loop_, std::move(task));
          }),
          workloads_(
              *machine_,
              slow_path_,
              builder_,
              {},
              [this](const Workload& workload) { return open(workload); },
              [](const IpPrefix&, bool, std::optional<std::uint32_t>) {}),
          graph_("h", workloads_),
          backlog_(
              graph_,
              [this](std::function<void()> task) { boost::asio::post(loop_, std::move(task)); },
              [this](const policy::Batch&) {
                  machine_->commit();
                  stamps.graph.store(now());
              }),
          store_(source.store(loop_, [this](policy::Batch batch) {
              stamps.source.store(now());
              backlog_.add(std::move(batch));
          })) {
        machine_->shared().fetch();
        workloads_.on_unfinished(
            [this] { boost::asio::post(loop_, [this] { workloads_.finish(); }); });
        last_ = fmt::format("tap{:03}", endpoints - 1);
        auto fabric = std::make_unique<Probe>(
            machine_->pool(), kFirstGuest + static_cast<std::uint32_t>(endpoints - 1));
        probe_ = fabric.get();
        static_cast<void>(machine_->add_port(
            {.name = "fabric",
             .kind = PortKind::Fabric,
             .port = std::move(fabric),
             .mac = kRouterMac}));
        machine_->commit();
    }

    Router(const Router&) = delete;
    Router& operator=(const Router&) = delete;
    Router(Router&&) = delete;
    Router& operator=(Router&&) = delete;

    ~Router() {
        loop_.stop();
        loop_thread_.join();
        for (const auto& worker : machine_->workers()) {
            worker->stop();
        }
        eal_.join();
    }

    [[nodiscard]] bool start() {
        if (!source_.start(*store_) || !eal_.launch(machine_->workers())) {
            return false;
        }
        loop_thread_ = std::thread{[this] { run(loop_, times_); }};
        return true;
    }

    /// By CPU time, since this was last asked.
    [[nodiscard]] Turns turns() {
        std::promise<Turns> turns;
        boost::asio::post(loop_, [&] { turns.set_value(std::exchange(times_.cpu, {})); });
        return turns.get_future().get();
    }

    [[nodiscard]] const Probe& probe() const { return *probe_; }

    Stamps stamps;

  private:
    Result<std::unique_ptr<Port>> open(const Workload& workload) {
        auto port = std::make_unique<QuietPort>();
        if (workload.interface_name == last_) {
            // The one that is told last.
            probe_->watch(*port);
        }
        return port;
    }

    Eal& eal_;
    Source& source_;
    boost::asio::io_context loop_{1};
    std::unique_ptr<Machine> machine_;
    SlowPath slow_path_;
    Control control_;
    Builder builder_;
    Workloads workloads_;
    policy::Graph graph_;
    policy::Backlog backlog_;
    std::unique_ptr<policy::Datastore> store_;
    std::string last_;
    Probe* probe_ = nullptr;
    LoopTimes times_;
    std::thread loop_thread_;
};

/// Microseconds of one change, the whole and its parts.
struct Sample {
    double whole = 0;
    double confirmed = 0;  ///< the whole, from the confirmation of the write on
    double turn = 0;       ///< the longest
    double source = 0;
    double graph = 0;
    double compile = 0;
    double apply = 0;
};

double quantile(std::vector<Sample> samples, double Sample::* part, double q) {
    std::ranges::sort(samples, {}, part);
    const auto rank = static_cast<std::size_t>(q * static_cast<double>(samples.size() - 1) + 0.5);
    return samples[rank].*part;
}

Sample sample(
    const Written& written, const Stamps& stamps, std::int64_t judged, const Turns& turns) {
    constexpr double kMicrosecond = 1000;
    const std::int64_t read = stamps.source.load();
    // Group members take effect while the graph runs; programs after they are compiled.
    const std::int64_t graph = std::clamp(stamps.graph.load(), read, std::max(read, judged));
    const std::int64_t compiled =
        std::clamp(stamps.compiled.load(), graph, std::max(graph, judged));
    const auto us = [](std::int64_t ns) { return static_cast<double>(ns) / kMicrosecond; };
    return {
        us(judged - written.begin),
        us(std::max<std::int64_t>(judged - written.confirmed, 0)),
        us(turns.longest().count()),
        us(read - written.begin),
        us(graph - read),
        us(compiled - graph),
        us(judged - compiled)};
}

bool wait_for_turn(const Probe& probe, std::uint32_t before) {
    const auto limit = Clock::now() + std::chrono::seconds{20};
    while (probe.turns() == before) {
        if (Clock::now() > limit) {
            return false;
        }
        std::this_thread::sleep_for(std::chrono::microseconds{200});
    }
    return true;
}

struct Options {
    std::size_t changes = 100;
    std::string source = "file";                ///< or "etcd"
    fs::path data = fs::temp_directory_path();  ///< of the files, or of etcd
    std::string only;
    std::size_t endpoints = 0;  ///< 0: 1, 100 and 1,000
    std::size_t cluster = 0;
};

bool is_etcd(const Options& options) {
    return options.source == "etcd";
}

std::vector<Sample> measure(
    Eal& eal,
    Source& source,
    const Scenario& scenario,
    std::size_t endpoints,
    const Options& options) {
    const std::size_t policies = options.cluster / 25;
    if (!source.fill(options.cluster + policies, [&](std::size_t i) {
            return i < policies ? policy_elsewhere(i) : endpoint_elsewhere(i - policies);
        })) {
        return {};
    }
    source.replace("set.yaml", network_set(scenario.has_client));
    source.replace("policy.yaml", network_policy(!scenario.has_client));
    source.replace(scenario.file, scenario.text(true));
    for (std::size_t i = 0; i < endpoints; ++i) {
        const Ip4 address = host<V4>(kFirstGuest + static_cast<std::uint32_t>(i));
        source.replace(fmt::format("w{:03}.yaml", i), endpoint("h", i, address, "server"));
    }
    Router router{eal, source, endpoints};
    std::vector<Sample> samples;
    // The first turn: the policy is in place and the client may pass.
    if (!router.start() || !wait_for_turn(router.probe(), 0)) {
        return samples;
    }
    for (std::size_t i = 0; i < options.changes; ++i) {
        // What the last change left to do must not count for the next.
        std::this_thread::sleep_for(std::chrono::milliseconds{30 + i % 7});
        const std::string text = scenario.text(i % 2 != 0);
        const std::uint32_t before = router.probe().turns();
        static_cast<void>(router.turns());
        const auto written = text.empty() ? source.remove(scenario.file, kClientKey)
                                          : source.replace(scenario.file, text);
        if (!written || !wait_for_turn(router.probe(), before)) {
            return {};
        }
        // A file that vanished is waited for a while: it may come back.
        if (!text.empty()) {
            samples.push_back(
                sample(*written, router.stamps, router.probe().turned_at(), router.turns()));
        }
    }
    return samples;
}

/// What is told of the changes of a row.
struct Column {
    const char* name;
    double Sample::* part;
    double quantile;
};

constexpr Column kColumns[] = {
    {"p50", &Sample::whole, 0.5},
    {"p99", &Sample::whole, 0.99},
    {"max", &Sample::whole, 1.0},
    {"conf-p50", &Sample::confirmed, 0.5},
    {"conf-p99", &Sample::confirmed, 0.99},
    {"conf-max", &Sample::confirmed, 1.0},
    {"source", &Sample::source, 0.5},
    {"graph", &Sample::graph, 0.5},
    {"compile", &Sample::compile, 0.5},
    {"apply", &Sample::apply, 0.5},
    {"turn", &Sample::turn, 0.5},
    {"turn-max", &Sample::turn, 1.0}};

void print_head(const Options& options) {
    fmt::print(
        "{:<26} {:>9}",
        is_etcd(options) ? "ms from write to packet" : "ms from rename() to packet",
        "endpoints");
    for (const Column& column : kColumns) {
        fmt::print(" {:>8}", column.name);
    }
    fmt::print("\n");
}

void print_row(const std::string& name, std::size_t endpoints, const std::vector<Sample>& samples) {
    fmt::print("{:<26} {:>9}", name, endpoints);
    for (const Column& column : kColumns) {
        fmt::print(" {:>8.2f}", quantile(samples, column.part, column.quantile) / 1000);
    }
    fmt::print("\n");
    std::fflush(stdout);
}

std::string json_row(
    const Options& options,
    const Scenario& scenario,
    std::size_t endpoints,
    const std::vector<Sample>& samples) {
    std::string row = fmt::format(
        R"({{"name": "{}/{}/{}/{}", "changes": {}, "time_unit": "us")",
        scenario.name,
        options.source,
        options.cluster,
        endpoints,
        samples.size());
    for (const Column& column : kColumns) {
        row += fmt::format(
            R"(, "{}": {:.1f})", column.name, quantile(samples, column.part, column.quantile));
    }
    return row + "}";
}

bool is_in_memory(const fs::path& path) {
    struct statfs status{};
    return ::statfs(path.c_str(), &status) == 0 && status.f_type == TMPFS_MAGIC;
}

std::unique_ptr<Source> make_source(const Options& options) {
    if (is_etcd(options)) {
        return std::make_unique<Cluster>(options.data);
    }
    return std::make_unique<Directory>(options.data);
}

/// Appends a row of JSON for each scenario; false: a change did not show.
bool run(Eal& eal, const Options& options, std::vector<std::string>& rows) {
    fmt::print(
        "{}: {}, {}{}\n",
        is_etcd(options) ? "etcd's data" : "files",
        options.data.string(),
        is_in_memory(options.data) ? "in memory" : "on a disk",
        options.cluster == 0 ? std::string()
                             : fmt::format(", {} endpoints of other hosts", options.cluster));
    print_head(options);
    for (const Scenario& scenario : kScenarios) {
        for (const std::size_t endpoints : {1U, 100U, 1000U}) {
            if (scenario.name.find(options.only) == std::string::npos ||
                (options.endpoints != 0 && options.endpoints != endpoints)) {
                continue;
            }
            const auto source = make_source(options);
            const auto samples = measure(eal, *source, scenario, endpoints, options);
            if (samples.empty()) {
                fmt::print(stderr, "update_bench: {}: a change did not show\n", scenario.name);
                return false;
            }
            print_row(scenario.name, endpoints, samples);
            rows.push_back(json_row(options, scenario, endpoints, samples));
        }
    }
    return true;
}

int run(const std::vector<Options>& runs) {
    log::start(log::Level::Error);
    auto eal = Eal::start(bench_config(), getpid());
    if (!eal) {
        fmt::print(stderr, "update_bench: {}\n", eal.error().text);
        return 1;
    }
    std::vector<std::string> rows;
    const bool done = std::ranges::all_of(
        runs, [&](const Options& options) { return run(**eal, options, rows); });
    if (const char* path = std::getenv("BENCHMARK_OUT")) {
        std::ofstream{path} << fmt::format(
            "{{\n  \"benchmarks\": [\n    {}\n  ]\n}}\n", fmt::join(rows, ",\n    "));
    }
    return done ? 0 : 1;
}

/// What is measured where nothing is said of it: the goals of a cluster, too.
std::vector<Options> all_runs(const Options& options) {
    std::vector<Options> runs{options};
    for (const char* source : {"file", "etcd"}) {
        Options cluster = options;
        cluster.source = source;
        cluster.endpoints = 100;
        cluster.cluster = 50'000;
        runs.push_back(cluster);
    }
    return runs;
}

}  // namespace
}  // namespace vr::perf

int main(int argc, char** argv) {
    vr::perf::Options options;
    CLI::App app{"How long a change takes until packets follow it"};
    const CLI::Option* one[] = {
        app.add_option("--source", options.source, "where changes come from")
            ->check(CLI::IsMember({"file", "etcd"})),
        app.add_option("--endpoints", options.endpoints, "of this host alone")
            ->check(CLI::IsMember({1, 100, 1000})),
        app.add_option("--cluster", options.cluster, "endpoints of other hosts")};
    app.add_option("--data", options.data, "where files are, or etcd keeps what it has")
        ->check(CLI::ExistingDirectory);
    app.add_option("--changes", options.changes, "in a row");
    app.add_option("--only", options.only, "scenarios with this word");
    CLI11_PARSE(app, argc, argv);
    const bool is_one = std::ranges::any_of(one, [](const auto* o) { return o->count() != 0; });
    return vr::perf::run(is_one ? std::vector{options} : vr::perf::all_runs(options));
}
