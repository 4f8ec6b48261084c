// What benchmarks of vrouter-policyd share: the server in a process of its own (a child), hosts that are clients
// in this one, each with its own certificate, over loopback with TLS, and rows of figures.  CPU is the
// server's.  What hosts make of a change is not part of it, but their reading is, and shares the machine.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fmt/format.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdlib>
#include <filesystem>
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

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

struct Options {
    int hosts = 500;
    int endpoints = 20;  ///< of each host
    int changes = 20;
};

inline double milliseconds_since(Clock::time_point begin) {
    return std::chrono::duration<double, std::milli>(Clock::now() - begin).count();
}

inline std::string object(
    const std::string& kind, const std::string& metadata, const std::string& spec) {
    return fmt::format(
        "---\napiVersion: projectcalico.org/v3\nkind: {}\nmetadata: {{{}}}\nspec: {{{}}}\n",
        kind,
        metadata,
        spec);
}

inline std::string address(int number) {
    return fmt::format("10.{}.{}.{}", number >> 16, number >> 8 & 255, number & 255);
}

inline std::string host_name(int host) {
    return fmt::format("host-{}", host);
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

inline std::uint16_t free_port() {
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
        std::uint16_t port,
        const std::function<policyd::HostReport(int host)>& report = nullptr)
        : io_(&io), count_(static_cast<std::size_t>(options.hosts)) {
        for (int host = 0; host < options.hosts; ++host) {
            const std::string name = host_name(host);
            policyd::ClientSettings settings{
                name, {{"127.0.0.1", port}}, authority.issue(name), {}};
            if (report) {
                settings.report = [report, host] { return report(host); };
            }
            clients_.push_back(std::make_unique<policyd::Client>(
                io, std::move(settings), [this, host](const policy::Batch& batch) {
                    on(host, batch);
                }));
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

inline double quantile(const std::vector<double>& sorted, double part) {
    const auto last = static_cast<double>(sorted.size() - 1);
    return sorted[static_cast<std::size_t>(part * last)];
}

/// `all` are the times of every host and change.
inline Row row(
    std::string name, std::vector<double> all, double cpu_ms, const ServerProcess& server) {
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
inline Row measure_changes(
    const std::string& name, const Options& options, const ServerProcess& server, Change change) {
    std::vector<double> all;
    const double cpu = server.cpu_seconds();
    for (int i = 0; i < options.changes; ++i) {
        const auto taken = change(i);
        all.insert(all.end(), taken.begin(), taken.end());
    }
    return row(name, all, (server.cpu_seconds() - cpu) * 1000 / options.changes, server);
}

/// Of a server on `port` of loopback, but for its source; `scratch` holds its files.
inline policyd::PolicydConfig server_config(
    const fs::path& scratch, const policyd::Authority& authority, std::uint16_t port) {
    policyd::PolicydConfig config;
    config.server.listen = {fmt::format("127.0.0.1:{}", port)};
    config.server.credentials = authority.issue("policyd");
    config.control_socket = scratch / "control.sock";
    return config;
}

/// It knows its source before it listens.
inline void wait_until_it_listens(
    const ServerProcess& server, boost::asio::io_context& io, std::uint16_t port) {
    for (bool listening = false; !listening; usleep(10'000)) {
        server.check();
        boost::asio::ip::tcp::socket probe(io);
        boost::system::error_code error;
        probe.connect({boost::asio::ip::make_address("127.0.0.1"), port}, error);
        listening = !error;
    }
}

inline void print(const std::vector<Row>& rows) {
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

inline void write_json(const std::vector<Row>& rows, const std::string& path) {
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

inline bool read_number(const std::string& text, int& number) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    return error == std::errc{} && end == text.data() + text.size() && number > 0;
}

inline bool read_options(const std::vector<std::string>& words, Options& options) {
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

/// Measures as the words of a command line ask; its exit status.
inline int run_bench(
    const std::string& name,
    const std::vector<std::string>& words,
    const std::function<std::vector<Row>(const Options&)>& measure) {
    Options options;
    if (!read_options(words, options)) {
        fmt::print(stderr, "usage: {} [--hosts N] [--endpoints N] [--changes N]\n", name);
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    log::start(log::Level::Error);
    const auto rows = measure(options);
    print(rows);
    if (const char* path = std::getenv("BENCHMARK_OUT")) {
        write_json(rows, path);
    }
    return 0;
}

}  // namespace vr::perf
