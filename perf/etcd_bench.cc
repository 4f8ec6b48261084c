// What policy from etcd costs: a snapshot of 50,000 WorkloadEndpoints until it is published, a write until
// the graph was flushed, and 1,000 changes a second.  Against Debian's etcd on loopback, which it starts
// and fills itself; wall time, as most of it is waiting for the other side.
//
// etcd_bench [ENDPOINTS]: prints a table; with BENCHMARK_OUT set, JSON goes there.
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <ctime>
#include <fstream>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

#include "perf/etcd_server.h"
#include "policy/backlog.h"
#include "policy/etcd/messages.h"
#include "policy/etcd/store.h"
#include "policy/graph.h"
#include "vrouter/net/log.h"
#include "vrouter/no_workloads.h"

namespace vr::perf {
namespace {

using Clock = std::chrono::steady_clock;
using namespace policy;

const etcd::Keys kKeys("/calico");
constexpr int kGroups = 1000;
constexpr int kLocal = 100;
constexpr int kPolicies = 2000;
constexpr std::size_t kWritesAtOnce = etcd::Store::kMaxWrites;

double milliseconds(Clock::duration time) {
    return std::chrono::duration<double, std::milli>(time).count();
}

/// What a vrouterd does with a datastore.
struct Router {
    NoWorkloads sink;
    Graph graph{"h0", sink};
    Backlog backlog;
    etcd::Store store;
    std::function<void()> flushed;

    Router(boost::asio::io_context& loop, const EtcdConfig& config)
        : backlog(
              graph,
              [&loop](std::function<void()> task) { boost::asio::post(loop, std::move(task)); },
              [this](const Batch&) {
                  if (flushed) {
                      flushed();
                  }
              }),
          store(
              loop.get_executor(), config, [this](Batch batch) { backlog.add(std::move(batch)); }) {
    }
};

void run_until(boost::asio::io_context& loop, const std::function<bool()>& done) {
    while (!done()) {
        loop.run_one();
    }
}

Key endpoint_key(int i) {
    return {Kind::WorkloadEndpoint, "prod", fmt::format("h{}-k8s-vm{}-eth0", i / kLocal, i)};
}

std::string endpoint(int i, int group) {
    const Key key = endpoint_key(i);
    return fmt::format(
        R"({{"kind":"WorkloadEndpoint","apiVersion":"projectcalico.org/v3","metadata":{{"name":"{}",)"
        R"("namespace":"prod","uid":"8d6c0fb1-51d5-4f1f-a1d2-{:012}","creationTimestamp":)"
        R"("2026-11-22T00:00:00Z","labels":{{"group":"g{}","app":"web","projectcalico.org/namespace":)"
        R"("prod","projectcalico.org/orchestrator":"k8s"}}}},"spec":{{"orchestrator":"k8s","workload":)"
        R"("vm{}","node":"h{}","endpoint":"eth0","interfaceName":"tap{}","mac":"02:00:00:00:00:01",)"
        R"("ipNetworks":["10.{}.{}.{}/32","fd00::{:x}:{:x}/128"],"ipv4Gateway":"169.254.1.1",)"
        R"("profiles":["prod"]}}}})",
        key.name,
        i,
        group,
        i,
        i / kLocal,
        i,
        i >> 16,
        (i >> 8) & 255,
        i & 255,
        i >> 16,
        i & 65535);
}

std::string policy_text(int i) {
    return fmt::format(
        R"({{"kind":"NetworkPolicy","apiVersion":"projectcalico.org/v3","metadata":{{"name":"default.p{}",)"
        R"("namespace":"prod"}},"spec":{{"order":{},"selector":"group == 'g{}'","types":["Ingress"],)"
        R"("ingress":[{{"action":"Allow","protocol":"TCP","source":{{"selector":"group == 'g{}'"}},)"
        R"("destination":{{"ports":[80,443]}}}}]}}}})",
        i,
        i,
        i % kGroups,
        (i * 7) % kGroups);
}

/// Puts the cluster into etcd, a hundred objects at a time.
void fill(boost::asio::io_context& loop, etcd::Store& store, int endpoints) {
    std::vector<etcd::Write> writes;
    const auto flush = [&] {
        bool written = false;
        store.call(etcd::kTransactionPath, etcd::encode_transaction(writes), [&](const auto& body) {
            written = body.has_value();
        });
        writes.clear();
        run_until(loop, [&] { return written; });
    };
    const auto add = [&](const Key& key, std::string value) {
        writes.push_back({kKeys.of(key), std::move(value), 0});
        if (writes.size() == kWritesAtOnce) {
            flush();
        }
    };
    for (int i = 0; i < kPolicies; ++i) {
        add({Kind::NetworkPolicy, "prod", fmt::format("default.p{}", i)}, policy_text(i));
    }
    for (int i = 0; i < endpoints; ++i) {
        add(endpoint_key(i), endpoint(i, i % kGroups));
    }
    if (!writes.empty()) {
        flush();
    }
}

std::size_t resident_mib() {
    std::ifstream status("/proc/self/status");
    std::string word;
    std::size_t kib = 0;
    while (status >> word) {
        if (word == "VmRSS:") {
            status >> kib;
        }
    }
    return kib >> 10U;
}

struct Row {
    std::string name;
    double p50 = 0;
    double p99 = 0;
};

Row percentiles(std::string name, std::vector<double> samples) {
    std::ranges::sort(samples);
    const auto at = [&](std::size_t percent) {
        return samples[std::min(samples.size() * percent / 100, samples.size() - 1)];
    };
    return {std::move(name), at(50), at(99)};
}

/// Changes of endpoints all over the cluster, one written each `pause`, or each after the last was seen.
Row changes(
    boost::asio::io_context& loop,
    Router& router,
    etcd::Store& writer,
    int endpoints,
    int count,
    std::chrono::microseconds pause) {
    const std::string group = fmt::format("paced{}", pause.count());
    std::map<std::string, Clock::time_point> begun;
    std::vector<double> samples;
    const auto seen = [&] {
        // Of those under way, the ones whose new labels are in force.
        std::erase_if(begun, [&](const auto& change) {
            const Key key{Kind::WorkloadEndpoint, "prod", change.first};
            const auto resource = router.graph.resource(key);
            const bool there = resource && resource->labels.at("group") == group;
            if (there) {
                samples.push_back(milliseconds(Clock::now() - change.second));
            }
            return there;
        });
    };
    router.flushed = seen;
    boost::asio::steady_timer timer(loop);
    const auto start = Clock::now();
    for (int i = 0; i < count; ++i) {
        const int number = static_cast<int>((i * 7919LL) % endpoints);
        std::string value = endpoint(number, 0);
        const std::string old = "\"group\":\"g0\"";
        value.replace(value.find(old), old.size(), "\"group\":\"" + group + "\"");
        bool written = false;
        begun[endpoint_key(number).name] = Clock::now();
        writer.call(
            etcd::kPutPath,
            etcd::encode_put(kKeys.of(endpoint_key(number)), value, 0),
            [&](const auto& body) { written = body.has_value(); });
        if (pause.count() == 0) {
            run_until(loop, [&] { return written && begun.empty(); });
            continue;
        }
        bool due = false;
        timer.expires_at(start + pause * (i + 1));
        timer.async_wait([&](boost::system::error_code) { due = true; });
        run_until(loop, [&] { return due && written; });
    }
    run_until(loop, [&] { return begun.empty(); });
    router.flushed = nullptr;
    return percentiles(
        pause.count() == 0 ? "write until flush, ms" : "the same at 1,000 a second, ms", samples);
}

void print(const std::vector<Row>& rows) {
    std::string json;
    for (const Row& row : rows) {
        fmt::print("{:<46} p50 {:>10.2f}   p99 {:>10.2f}\n", row.name, row.p50, row.p99);
        json += fmt::format(
            "{}{{\"name\": \"{}\", \"p50\": {:.3f}, \"p99\": {:.3f}}}",
            json.empty() ? "" : ",\n    ",
            row.name,
            row.p50,
            row.p99);
    }
    if (const char* path = std::getenv("BENCHMARK_OUT")) {
        std::ofstream{path} << "{\n  \"benchmarks\": [\n    " << json << "\n  ]\n}\n";
    }
}

int run(int endpoints) {
    log::start(log::Level::Warning);
    boost::asio::io_context loop{1};
    const EtcdServer server(loop);
    if (!server.is_started()) {
        fmt::print("etcd_bench: etcd is not installed\n");
        return 1;
    }
    // One that only writes: nothing is below its prefix.
    EtcdConfig elsewhere = server.config("writer");
    elsewhere.prefix = "/elsewhere";
    etcd::Store writer(loop.get_executor(), elsewhere, [](const Batch& /*batch*/) {});
    writer.start();
    run_until(loop, [&] { return writer.is_live(); });
    fill(loop, writer, endpoints);
    std::vector<double> snapshots;
    std::vector<double> busy;
    std::unique_ptr<Router> router;
    std::size_t resident = 0;
    for (int i = 0; i < 3; ++i) {
        router.reset();
        const std::size_t before = resident_mib();
        const auto start = Clock::now();
        const std::clock_t worked = std::clock();
        router = std::make_unique<Router>(loop, server.config(fmt::format("state{}", i)));
        router->store.start();
        run_until(loop, [&] { return router->graph.is_in_sync(); });
        snapshots.push_back(milliseconds(Clock::now() - start));
        busy.push_back(1000.0 * static_cast<double>(std::clock() - worked) / CLOCKS_PER_SEC);
        resident = std::max(resident, resident_mib() - before);
    }
    std::vector<Row> rows{
        percentiles(fmt::format("snapshot of {} endpoints, ms", endpoints), snapshots)};
    rows.push_back(percentiles("its CPU, ms", busy));
    rows.push_back(
        {"its memory, MiB", static_cast<double>(resident), static_cast<double>(resident)});
    rows.push_back(changes(loop, *router, writer, endpoints, 1000, std::chrono::microseconds{0}));
    rows.push_back(
        changes(loop, *router, writer, endpoints, 5000, std::chrono::microseconds{1000}));
    print(rows);
    return 0;
}

}  // namespace
}  // namespace vr::perf

int main(int argc, char** argv) {
    int endpoints = 50000;
    if (argc > 1) {
        const std::string_view word(argv[1]);
        const auto [end, error] =
            std::from_chars(word.data(), word.data() + word.size(), endpoints);
        if (error != std::errc{} || end != word.data() + word.size() || endpoints < 1) {
            fmt::print(stderr, "usage: etcd_bench [ENDPOINTS]\n");
            return 2;
        }
    }
    return vr::perf::run(endpoints);
}
