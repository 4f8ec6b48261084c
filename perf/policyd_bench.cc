// vrouter-policyd with hundreds of hosts: what it costs, and how long a change takes to reach them all.
//
// usage: policyd_bench [--hosts N] [--endpoints N] [--changes N]
//
// The server runs in a process of its own (a child) with a watched directory as its source, the hosts are
// clients in this one, each with its own certificate, over loopback with TLS.  Every host has `endpoints`
// endpoints of as many groups; there is a group, with a policy that names the next group, for each host.
//   snapshot   from the first connection until the last host is in sync
//   all        a policy of all endpoints is edited: from the rename of its file until the host has it
//   some       an endpoint comes: the same, for the hosts whose policies name its group
//   burst      that many endpoints come at once: until the last host has the last of them
// CPU is the server's.  What hosts make of the change is not part of it, but their reading is, and shares
// the machine.  With BENCHMARK_OUT set, JSON goes there.
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <iterator>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>

#include "policy/policyd/client.h"
#include "policy/policyd/program.h"
#include "test/policyd/certificates.h"
#include "vrouter/net/log.h"

namespace vr::perf {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

struct Options {
    int hosts = 500;
    int endpoints = 20;  ///< of each host
    int changes = 20;
};

double milliseconds_since(Clock::time_point begin) {
    return std::chrono::duration<double, std::milli>(Clock::now() - begin).count();
}

// --- the cluster --------------------------------------------------------------------------------

std::string object(const std::string& kind, const std::string& metadata, const std::string& spec) {
    return fmt::format(
        "---\napiVersion: projectcalico.org/v3\nkind: {}\nmetadata: {{{}}}\nspec: {{{}}}\n",
        kind,
        metadata,
        spec);
}

std::string address(int number) {
    return fmt::format("10.{}.{}.{}", number >> 16, number >> 8 & 255, number & 255);
}

std::string endpoint(int number, const std::string& host, int group) {
    return object(
        "WorkloadEndpoint",
        fmt::format("name: vm{}, namespace: prod, labels: {{app: a{}}}", number, group),
        fmt::format(
            "node: {}, interfaceName: tap{}, ipNetworks: [{}], profiles: [open]",
            host,
            number,
            address(number)));
}

std::string policy_of_group(int group, int groups) {
    return object(
        "NetworkPolicy",
        fmt::format("name: p{}, namespace: prod", group),
        fmt::format(
            "selector: \"app == 'a{}'\", types: [Ingress], ingress: [{{action: Allow, protocol: "
            "TCP, "
            "source: {{selector: \"app == 'a{}'\"}}, destination: {{ports: [80]}}}}]",
            group,
            (group + 1) % groups));
}

std::string policy_of_all(int port) {
    return object(
        "GlobalNetworkPolicy",
        "name: all",
        fmt::format(
            "order: 1, types: [Ingress], ingress: [{{action: Deny, protocol: TCP, destination: "
            "{{ports: [{}]}}}}, {{action: Pass}}]",
            port));
}

class Directory {
  public:
    explicit Directory(const fs::path& path) : path_(path) { fs::create_directory(path); }

    void put(const std::string& name, const std::string& text) const {
        const fs::path draft = path_ / ".draft";
        std::ofstream(draft) << text;
        fs::rename(draft, path_ / name);
    }

    [[nodiscard]] const fs::path& path() const { return path_; }

  private:
    fs::path path_;
};

std::string host_name(int host) {
    return fmt::format("host-{}", host);
}

void write_cluster(const Directory& directory, const Options& options) {
    std::string endpoints;
    std::string policies;
    for (int host = 0; host < options.hosts; ++host) {
        for (int i = 0; i < options.endpoints; ++i) {
            endpoints +=
                endpoint(host * options.endpoints + i, host_name(host), (host + i) % options.hosts);
        }
        policies += policy_of_group(host, options.hosts);
    }
    directory.put("endpoints.yaml", endpoints);
    directory.put("policies.yaml", policies);
    directory.put("all.yaml", policy_of_all(1));
    directory.put("open.yaml", object("Profile", "name: open", "egress: [{action: Allow}]"));
}

// --- the server ---------------------------------------------------------------------------------

class ServerProcess {
  public:
    explicit ServerProcess(const policyd::PolicydConfig& config) : pid_(fork()) {
        if (pid_ == 0) {
            _exit(policyd::run(config));
        }
    }

    ServerProcess(const ServerProcess&) = delete;
    ServerProcess& operator=(const ServerProcess&) = delete;
    ServerProcess(ServerProcess&&) = delete;
    ServerProcess& operator=(ServerProcess&&) = delete;

    ~ServerProcess() {
        kill(pid_, SIGTERM);
        waitpid(pid_, nullptr, 0);
    }

    /// Ends the benchmark when the server has ended.
    void check() const {
        if (waitpid(pid_, nullptr, WNOHANG) != 0) {
            fmt::print(stderr, "policyd_bench: the server ended\n");
            std::exit(1);
        }
    }

    [[nodiscard]] double cpu_seconds() const {
        std::ifstream file(fmt::format("/proc/{}/stat", pid_));
        const std::string text((std::istreambuf_iterator<char>(file)), {});
        std::istringstream words(text.substr(std::min(text.size(), text.rfind(')') + 1)));
        std::string skipped;
        for (int field = 3; field < 14; ++field) {
            words >> skipped;
        }
        double user = 0;
        double system = 0;
        words >> user >> system;
        return (user + system) / static_cast<double>(sysconf(_SC_CLK_TCK));
    }

    [[nodiscard]] double resident_mib() const {
        std::ifstream file(fmt::format("/proc/{}/statm", pid_));
        double size = 0;
        double resident = 0;
        file >> size >> resident;
        return resident * static_cast<double>(sysconf(_SC_PAGESIZE)) / (1 << 20);
    }

  private:
    pid_t pid_;
};

std::uint16_t free_port() {
    using boost::asio::ip::tcp;
    boost::asio::io_context io;
    const tcp::acceptor acceptor(io, {boost::asio::ip::make_address("127.0.0.1"), 0});
    return acceptor.local_endpoint().port();
}

// --- the hosts ----------------------------------------------------------------------------------

/// All hosts, and when each of them had what is waited for.
class Hosts {
  public:
    Hosts(
        boost::asio::io_context& io,
        const Options& options,
        const policyd::Authority& authority,
        std::uint16_t port)
        : io_(&io), count_(static_cast<std::size_t>(options.hosts)) {
        for (int host = 0; host < options.hosts; ++host) {
            const std::string name = host_name(host);
            clients_.push_back(std::make_unique<policyd::Client>(
                io,
                policyd::ClientSettings{name, {{"127.0.0.1", port}}, authority.issue(name)},
                [this, host](const policy::Batch& batch) { on(host, batch); }));
        }
    }

    void start() {
        for (const auto& client : clients_) {
            if (const auto started = client->start(); !started) {
                fmt::print(stderr, "policyd_bench: {}\n", started.error().text);
                std::exit(1);
            }
        }
    }

    /// Runs until `hosts` of them had a batch that `counts`; the milliseconds that each took, sorted.
    template <typename Counts>
    std::vector<double> wait(Clock::time_point begin, std::size_t hosts, Counts counts) {
        counts_ = counts;
        begin_ = begin;
        taken_.clear();
        seen_.assign(count_, false);
        while (taken_.size() < hosts) {
            io_->run_one_for(std::chrono::seconds(1));
            if (milliseconds_since(begin) > 300'000) {
                fmt::print(stderr, "policyd_bench: only {} hosts had it\n", taken_.size());
                std::exit(1);
            }
        }
        counts_ = nullptr;
        std::ranges::sort(taken_);
        return taken_;
    }

    void run_for(std::chrono::milliseconds time) { io_->run_for(time); }

  private:
    void on(int host, const policy::Batch& batch) {
        const auto at = static_cast<std::size_t>(host);
        if (counts_ && !seen_[at] && counts_(batch)) {
            seen_[at] = true;
            taken_.push_back(milliseconds_since(begin_));
        }
    }

    boost::asio::io_context* io_;
    std::size_t count_;
    std::vector<std::unique_ptr<policyd::Client>> clients_;
    std::function<bool(const policy::Batch&)> counts_;
    Clock::time_point begin_;
    std::vector<bool> seen_;
    std::vector<double> taken_;
};

// --- measuring ----------------------------------------------------------------------------------

struct Row {
    std::string name;
    double median_ms = 0;
    double p99_ms = 0;
    double last_ms = 0;
    double cpu_ms = 0;  ///< of the server, each
    double resident_mib = 0;
};

double quantile(const std::vector<double>& sorted, double part) {
    const auto last = static_cast<double>(sorted.size() - 1);
    return sorted[static_cast<std::size_t>(part * last)];
}

/// `all` are the times of every host and change.
Row row(std::string name, std::vector<double> all, double cpu_ms, const ServerProcess& server) {
    std::ranges::sort(all);
    return {
        std::move(name),
        quantile(all, 0.5),
        quantile(all, 0.99),
        all.back(),
        cpu_ms,
        server.resident_mib()};
}

template <typename Change>
Row measure_changes(
    const std::string& name, const Options& options, const ServerProcess& server, Change change) {
    std::vector<double> all;
    const double cpu = server.cpu_seconds();
    for (int i = 0; i < options.changes; ++i) {
        const auto taken = change(i);
        all.insert(all.end(), taken.begin(), taken.end());
    }
    return row(name, all, (server.cpu_seconds() - cpu) * 1000 / options.changes, server);
}

bool has_set_change(const policy::Batch& batch) {
    return !batch.sets.empty();
}

std::vector<Row> measure(const Options& options) {
    const policyd::TemporaryDirectory scratch;
    const Directory directory(scratch.path / "resources");
    write_cluster(directory, options);
    const policyd::Authority authority(scratch.path, "authority");
    policyd::PolicydConfig config;
    const std::uint16_t port = free_port();
    config.server.listen = {fmt::format("127.0.0.1:{}", port)};
    config.server.credentials = authority.issue("policyd");
    config.resource_directory = directory.path();
    config.control_socket = scratch.path / "control.sock";
    const ServerProcess server(config);
    boost::asio::io_context io{1};
    Hosts hosts(io, options, authority, port);
    while (!fs::exists(config.control_socket) || server.cpu_seconds() == 0) {
        server.check();
        usleep(10'000);
    }
    // The server reads its directory before it listens.
    for (bool listening = false; !listening; usleep(10'000)) {
        server.check();
        boost::asio::ip::tcp::socket probe(io);
        boost::system::error_code error;
        probe.connect({boost::asio::ip::make_address("127.0.0.1"), port}, error);
        listening = !error;
    }
    const auto everybody = static_cast<std::size_t>(options.hosts);
    std::vector<Row> rows;

    double cpu = server.cpu_seconds();
    const auto begin = Clock::now();
    hosts.start();
    const auto snapshot =
        hosts.wait(begin, everybody, [](const policy::Batch& b) { return !b.events.empty(); });
    rows.push_back(row("snapshot", snapshot, (server.cpu_seconds() - cpu) * 1000, server));

    hosts.run_for(std::chrono::seconds(1));
    cpu = server.cpu_seconds();
    hosts.run_for(std::chrono::seconds(5));
    fmt::print(
        "idle: {:.1f} % of a core for {} hosts\n",
        (server.cpu_seconds() - cpu) * 100 / 5,
        options.hosts);

    rows.push_back(measure_changes("all", options, server, [&](int i) {
        const auto since = Clock::now();
        directory.put("all.yaml", policy_of_all(i + 2));
        return hosts.wait(
            since, everybody, [](const policy::Batch& b) { return !b.events.empty(); });
    }));
    const auto concerned = static_cast<std::size_t>(std::min(options.endpoints, options.hosts));
    int next = options.hosts * options.endpoints;
    rows.push_back(measure_changes("some", options, server, [&](int i) {
        const auto since = Clock::now();
        directory.put(fmt::format("new{}.yaml", next), endpoint(next, "elsewhere", i));
        ++next;
        return hosts.wait(since, concerned, has_set_change);
    }));
    rows.push_back(measure_changes("burst of 100", options, server, [&](int i) {
        const auto since = Clock::now();
        for (int n = 0; n < 100; ++n, ++next) {
            directory.put(fmt::format("new{}.yaml", next), endpoint(next, "elsewhere", i));
        }
        const auto member = parse_prefix(address(next - 1));
        return hosts.wait(since, concerned, [&](const policy::Batch& batch) {
            return std::ranges::any_of(batch.sets, [&](const auto& set) {
                return std::ranges::any_of(
                    set.added, [&](const auto& added) { return added.second == *member; });
            });
        });
    }));
    return rows;
}

void print(const std::vector<Row>& rows) {
    fmt::print(
        "{:<14} {:>11} {:>11} {:>11} {:>13} {:>13}\n",
        "",
        "median ms",
        "p99 ms",
        "last ms",
        "server CPU ms",
        "resident MiB");
    for (const auto& r : rows) {
        fmt::print(
            "{:<14} {:>11.1f} {:>11.1f} {:>11.1f} {:>13.1f} {:>13.1f}\n",
            r.name,
            r.median_ms,
            r.p99_ms,
            r.last_ms,
            r.cpu_ms,
            r.resident_mib);
    }
}

void write_json(const std::vector<Row>& rows, const std::string& path) {
    std::ofstream out(path);
    out << "{\"benchmarks\": [";
    const char* comma = "";
    for (const auto& r : rows) {
        out << comma
            << fmt::format(
                   "{{\"name\": \"policyd/{}\", \"median_ms\": {:.2f}, \"p99_ms\": {:.2f}, "
                   "\"last_ms\": {:.2f}, \"server_cpu_ms\": {:.2f}, \"resident_mib\": {:.1f}}}",
                   r.name,
                   r.median_ms,
                   r.p99_ms,
                   r.last_ms,
                   r.cpu_ms,
                   r.resident_mib);
        comma = ", ";
    }
    out << "]}\n";
}

bool read_number(const std::string& text, int& number) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    return error == std::errc{} && end == text.data() + text.size() && number > 0;
}

bool read_options(const std::vector<std::string>& words, Options& options) {
    if (words.size() % 2 != 0) {
        return false;
    }
    for (std::size_t i = 0; i < words.size(); i += 2) {
        int* const number = words[i] == "--hosts"       ? &options.hosts
                            : words[i] == "--endpoints" ? &options.endpoints
                            : words[i] == "--changes"   ? &options.changes
                                                        : nullptr;
        if (number == nullptr || !read_number(words[i + 1], *number)) {
            return false;
        }
    }
    return true;
}

}  // namespace
}  // namespace vr::perf

int main(int argc, char** argv) {
    vr::perf::Options options;
    if (!vr::perf::read_options({argv + 1, argv + argc}, options)) {
        fmt::print(stderr, "usage: policyd_bench [--hosts N] [--endpoints N] [--changes N]\n");
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    vr::log::start(vr::log::Level::Error);
    const auto rows = vr::perf::measure(options);
    vr::perf::print(rows);
    if (const char* path = std::getenv("BENCHMARK_OUT")) {
        vr::perf::write_json(rows, path);
    }
    return 0;
}
