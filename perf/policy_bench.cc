// The policy's way at cluster size: from the texts of objects to what the machine is told.
//
// usage: policy_bench [--endpoints N] [--policies N] [--changes N] [--nets N]
//
// A cluster of 50,000 endpoints in 1,000 groups on 500 hosts, 2,000 policies; one host's 100 endpoints
// are ours.  Reports how long the snapshot takes (reading the texts, the graph with its first publish)
// and the memory that it leaves resident; then how long single changes take from the text to the last
// call to the machine, and how many a second that makes; and of one object that concerns all others, or is
// as large as --nets, the slices in which the control thread works it off.  No disk, no socket, no packet: update_bench
// measures those for a small cluster.  CPU time of the thread, since the machine is shared.  With
// BENCHMARK_OUT set, JSON goes there.
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <numeric>
#include <string>
#include <vector>

#include "perf/cpu_time.h"
#include "policy/catalog.h"
#include "policy/graph.h"

namespace vr::perf {
namespace {

constexpr std::size_t kGroups = 1000;
constexpr std::size_t kEndpointsOfHost = 100;
constexpr std::size_t kRulesOfPolicy = 5;

struct Options {
    std::size_t endpoints = 50000;
    std::size_t policies = 2000;
    std::size_t changes = 2000;
    std::size_t nets = 1000000;
};

double resident_megabytes() {
    std::ifstream statm{"/proc/self/statm"};
    std::size_t total = 0;
    std::size_t resident = 0;
    statm >> total >> resident;
    return static_cast<double>(resident) * static_cast<double>(sysconf(_SC_PAGESIZE)) / 1e6;
}

/// Counts what the machine is told.
class CountingSink final : public WorkloadSink {
  public:
    void add_member(GroupId, const IpPrefix&) override { ++members; }

    void remove_member(GroupId, const IpPrefix&) override { ++members; }

    void update_workload(const Workload&) override { ++workloads; }

    void remove_workload(const std::string&) override { ++workloads; }

    void replace_programs(const ReplacedPrograms&) override { ++workloads; }

    void update_host(const HostGuard&) override { ++workloads; }

    void remove_host(const std::string&) override { ++workloads; }

    void set_workload_rules(const WorkloadRules&) override {}

    std::size_t members = 0;
    std::size_t workloads = 0;
};

std::string head(std::string_view kind, std::string_view name, std::string_view labels) {
    return fmt::format(
        R"({{"apiVersion": "projectcalico.org/v3", "kind": "{}", )"
        R"("metadata": {{"name": "{}", "namespace": "prod", "labels": {{{}}}}}, "spec": )",
        kind,
        name,
        labels);
}

/// Endpoint number `i`; those of the first host are ours.
std::string endpoint(std::size_t i, std::size_t group) {
    const std::size_t host = i / kEndpointsOfHost;
    return head(
               "WorkloadEndpoint",
               fmt::format("h{}-k8s-w{}-eth0", host, i),
               fmt::format(R"("group": "g{}", "app": "a{}")", group, i % 50)) +
           fmt::format(
               R"({{"node": "h{}", "orchestrator": "k8s", "pod": "w{}", "endpoint": "eth0", )"
               R"("interfaceName": "tap{}", "ipNetworks": ["10.{}.{}.{}/32", "fd00::{:x}/128"], )"
               R"("profiles": ["kns.prod"]}}}})",
               host,
               i,
               i,
               i >> 16U & 0xffU,
               i >> 8U & 0xffU,
               i & 0xffU,
               i + 1);
}

/// Guards one group, lets others in; `rules` of its rules name ports of their own.
std::string network_policy(std::size_t i, std::size_t rules, std::size_t first_port) {
    std::string text = head("NetworkPolicy", fmt::format("default.p{}", i), "") +
                       fmt::format(
                           R"({{"tier": "default", "order": {}, "selector": "group == 'g{}'", )"
                           R"("types": ["Ingress"], "ingress": [)",
                           i,
                           i % kGroups);
    for (std::size_t r = 0; r < rules; ++r) {
        text += fmt::format(
            R"({}{{"action": "Allow", "protocol": "TCP", "source": {{"selector": "group == 'g{}'"}}, )"
            R"("destination": {{"ports": [{}]}}}})",
            r == 0 ? "" : ", ",
            (i * 7 + r * 131) % kGroups,
            first_port + r);
    }
    return text + "]}}";
}

/// Guards a group that has one of ours, lets in what `source` selects.
std::string policy_for(std::string_view source) {
    return head("NetworkPolicy", "default.big", "") +
           fmt::format(
               R"({{"tier": "default", "selector": "group == 'g5'", "types": ["Ingress"], )"
               R"("ingress": [{{"action": "Allow", "source": {{"selector": "{}"}}}}]}}}})",
               source);
}

/// Which all endpoints have.
std::string profile_with(std::string_view label) {
    return fmt::format(
        R"({{"apiVersion": "projectcalico.org/v3", "kind": "Profile", )"
        R"("metadata": {{"name": "kns.prod"}}, )"
        R"("spec": {{"labelsToApply": {{"env": "{}"}}}}}})",
        label);
}

std::string network_set(std::size_t nets) {
    std::string text = head("NetworkSet", "big", R"("list": "big")") + R"({"nets": [)";
    for (std::size_t i = 0; i < nets; ++i) {
        text += fmt::format(
            R"({}"11.{}.{}.{}/32")",
            i == 0 ? "" : ", ",
            i >> 16U & 0xffU,
            i >> 8U & 0xffU,
            i & 0xffU);
    }
    return text + "]}}";
}

/// Catalog and graph of one host.
class Host {
  public:
    Host() : graph_("h0", sink_) {}

    /// Reads a text and takes what it says, without publishing.
    void take(const std::string& file, const std::string& text) {
        for (const policy::Event& event : catalog_.set_file(file, text)) {
            graph_.take(event);
        }
    }

    void in_sync() {
        graph_.take(policy::InSync{});
        graph_.flush();
    }

    /// A change, all the way.
    void change(const std::string& file, const std::string& text) {
        graph_.on({.events = catalog_.set_file(file, text)});
    }

    /// The same as the control thread does it; milliseconds of each slice.
    std::vector<double> change_in_slices(const std::string& file, const std::string& text) {
        const auto events = catalog_.set_file(file, text);
        std::vector<double> slices;
        const auto run = [&](auto step) {
            for (bool done = false; !done;) {
                const double begin = cpu_seconds();
                done = step(policy::Slice(std::chrono::microseconds{500}));
                slices.push_back((cpu_seconds() - begin) * 1e3);
            }
        };
        for (const policy::Event& event : events) {
            run([&](const policy::Slice&) {
                graph_.take(event);
                return true;
            });
            run([&](const policy::Slice& slice) { return graph_.settle(slice); });
        }
        run([&](const policy::Slice& slice) { return graph_.flush(slice); });
        return slices;
    }

    void remove(const std::string& file) { graph_.on({.events = catalog_.remove_file(file)}); }

    [[nodiscard]] const CountingSink& sink() const { return sink_; }

    [[nodiscard]] std::size_t problems() const { return catalog_.problems().size(); }

  private:
    CountingSink sink_;
    policy::Catalog catalog_;
    policy::Graph graph_;
};

struct Row {
    std::string name;
    std::string unit;
    double p50 = 0;
    double p99 = 0;
    double max = 0;
};

std::string file_of(std::string_view what, std::size_t i) {
    return fmt::format("{}{}.json", what, i);
}

/// Fills `host`; the rows tell what it cost.
std::vector<Row> snapshot(const Options& options, Host& host) {
    const double before = resident_megabytes();
    double begin = cpu_seconds();
    for (std::size_t i = 0; i < options.policies; ++i) {
        host.take(file_of("p", i), network_policy(i, kRulesOfPolicy, 1000));
    }
    for (std::size_t i = 0; i < options.endpoints; ++i) {
        host.take(file_of("w", i), endpoint(i, i % kGroups));
    }
    const double read = cpu_seconds() - begin;
    begin = cpu_seconds();
    host.in_sync();
    const double flush = cpu_seconds() - begin;
    const auto once = [](std::string name, std::string unit, double value) {
        return Row{std::move(name), std::move(unit), value, value, value};
    };
    return {
        once("snapshot: read and take", "s", read),
        once("snapshot: first publish", "s", flush),
        once("snapshot: resident", "MB", resident_megabytes() - before)};
}

Row row_of(std::string name, std::vector<double> times) {
    std::ranges::sort(times);
    const auto rank = [&](double q) {
        return times[static_cast<std::size_t>(q * static_cast<double>(times.size() - 1) + 0.5)];
    };
    return {std::move(name), "ms", rank(0.5), rank(0.99), times.back()};
}

/// Milliseconds of each of `count` changes.
Row repeat(std::string name, std::size_t count, const std::function<void(std::size_t)>& change) {
    std::vector<double> times;
    for (std::size_t n = 0; n < count; ++n) {
        const double begin = cpu_seconds();
        change(n);
        times.push_back((cpu_seconds() - begin) * 1e3);
    }
    return row_of(std::move(name), std::move(times));
}

/// What one object sets off.
std::vector<Row> big_objects(const Options& options, Host& host) {
    // Programs of 1,000 rules are not what is asked for here.
    host.change(file_of("p", 1), network_policy(1, kRulesOfPolicy, 1000));
    std::vector<Row> rows;
    const auto step =
        [&](const std::string& name, const std::string& file, const std::string& text) {
            const auto slices = host.change_in_slices(file, text);
            const double all = std::accumulate(slices.begin(), slices.end(), 0.0);
            rows.push_back(row_of(name + ": slice", slices));
            rows.push_back({name + ": all", "ms", all, all, all});
        };
    step("policy of all()", "big.json", policy_for("all()"));
    step("policy of one group instead", "big.json", policy_for("group == 'g7'"));
    step("label of all by profile", "profile.json", profile_with("prod"));
    step("policy of that label", "big.json", policy_for("env == 'prod'"));
    step("another value of it", "profile.json", profile_with("test"));
    step(fmt::format("set of {} nets", options.nets), "set.json", network_set(options.nets));
    step("policy of that set", "big.json", policy_for("list == 'big'"));
    step("one net less", "set.json", network_set(options.nets - 1));
    step("policy of none", "big.json", policy_for("group == 'none'"));
    return rows;
}

std::vector<Row> changes(const Options& options, Host& host) {
    const std::size_t next = options.endpoints;
    std::vector<Row> rows;
    rows.push_back(repeat("endpoint elsewhere added", options.changes, [&](std::size_t n) {
        host.change(file_of("w", next + n), endpoint(next + n, n % kGroups));
    }));
    rows.push_back(repeat("endpoint elsewhere removed", options.changes, [&](std::size_t n) {
        host.remove(file_of("w", next + n));
    }));
    rows.push_back(
        repeat("endpoint elsewhere in another group", options.changes, [&](std::size_t n) {
            host.change(file_of("w", 1000 + n), endpoint(1000 + n, (n + 1) % kGroups));
        }));
    rows.push_back(repeat("own endpoint in another group", 100, [&](std::size_t n) {
        host.change(file_of("w", n), endpoint(n, (n + 1) % kGroups));
    }));
    rows.push_back(repeat("policy of 5 rules for others", 200, [&](std::size_t n) {
        host.change(file_of("p", 500 + n), network_policy(500 + n, kRulesOfPolicy, 2000));
    }));
    rows.push_back(repeat("policy of 5 rules for ours", 90, [&](std::size_t n) {
        host.change(file_of("p", 1 + n), network_policy(1 + n, kRulesOfPolicy, 2000));
    }));
    rows.push_back(repeat("policy of 1,000 rules for ours", 20, [&](std::size_t n) {
        host.change(file_of("p", 1), network_policy(1, 1000, 2000 + n));
    }));
    return rows;
}

void print(const std::vector<Row>& rows) {
    for (const Row& row : rows) {
        fmt::print(
            "{:<36} {:>3} {:>9.3f} {:>9.3f} {:>9.3f}\n",
            row.name,
            row.unit,
            row.p50,
            row.p99,
            row.max);
    }
    std::fflush(stdout);
}

void write_json(const char* path, const std::vector<Row>& rows) {
    std::string text;
    for (const Row& row : rows) {
        text += fmt::format(
            R"({}    {{"name": "{}", "unit": "{}", "p50": {:.4f}, "p99": {:.4f}, "max": {:.4f}}})",
            text.empty() ? "" : ",\n",
            row.name,
            row.unit,
            row.p50,
            row.p99,
            row.max);
    }
    std::ofstream{path} << "{\n  \"benchmarks\": [\n" << text << "\n  ]\n}\n";
}

int run(const Options& options) {
    fmt::print(
        "{:<36} {:>3} {:>9} {:>9} {:>9}\n",
        fmt::format("{} endpoints, {} policies", options.endpoints, options.policies),
        "",
        "p50",
        "p99",
        "max");
    Host host;
    std::vector<Row> rows = snapshot(options, host);
    print(rows);
    if (host.problems() != 0 || host.sink().workloads != kEndpointsOfHost) {
        fmt::print(
            stderr,
            "policy_bench: {} objects are wrong, {} endpoints told instead of {}\n",
            host.problems(),
            host.sink().workloads,
            kEndpointsOfHost);
        return 1;
    }
    const std::vector<Row> changed = changes(options, host);
    print(changed);
    fmt::print(
        "one change after the other: {:.0f} endpoints a second\n", 1e3 / changed.front().p50);
    const std::vector<Row> big = big_objects(options, host);
    print(big);
    if (host.problems() != 0) {
        fmt::print(stderr, "policy_bench: {} objects are wrong\n", host.problems());
        return 1;
    }
    rows.insert(rows.end(), changed.begin(), changed.end());
    rows.insert(rows.end(), big.begin(), big.end());
    if (const char* path = std::getenv("BENCHMARK_OUT")) {
        write_json(path, rows);
    }
    return 0;
}

Options parse_options(const std::vector<std::string>& arguments) {
    Options options;
    for (std::size_t i = 1; i + 1 < arguments.size(); i += 2) {
        const std::string& value = arguments[i + 1];
        const auto number = [&](std::size_t& into) {
            std::from_chars(value.data(), value.data() + value.size(), into);
        };
        if (arguments[i] == "--endpoints") {
            number(options.endpoints);
        } else if (arguments[i] == "--policies") {
            number(options.policies);
        } else if (arguments[i] == "--changes") {
            number(options.changes);
        } else if (arguments[i] == "--nets") {
            number(options.nets);
        }
    }
    return options;
}

}  // namespace
}  // namespace vr::perf

int main(int argc, char** argv) {
    return vr::perf::run(vr::perf::parse_options({argv, argv + argc}));
}
