// vrouter-policyd with hundreds of hosts that tell the state of their endpoints, which it writes into an etcd.
//
// usage: report_bench [--hosts N] [--endpoints N] [--changes N]
//
//   reports    from the first connection until the last state is in etcd
//   a report   an endpoint changes its state: until that is in etcd
// See policyd_lab.h.  With BENCHMARK_OUT set, JSON goes there.
// SPDX-License-Identifier: Apache-2.0
#include <map>

#include "perf/etcd_server.h"
#include "perf/policyd_lab.h"
#include "policy/etcd/keys.h"
#include "policy/etcd/messages.h"
#include "policy/etcd/store.h"

namespace vr::perf {
namespace {

/// An etcd and a store beside the server's: what is written into it, and what the server wrote.
class Etcd {
  public:
    explicit Etcd(boost::asio::io_context& io)
        : io_(&io),
          server_(io),
          store_(io.get_executor(), server_.config("bench"), [](const auto&) {}) {
        store_.start();
        run_until([this] { return store_.is_live(); });
    }

    [[nodiscard]] EtcdConfig config() const { return server_.config("server"); }

    void put(const std::string& text) {
        bool done = false;
        store_.put("object", text, [&](const auto& written) {
            if (!written) {
                fmt::print(stderr, "policyd_bench: {}\n", written.error().text);
                std::exit(1);
            }
            done = true;
        });
        run_until([&] { return done; });
    }

    /// The states of endpoints that are there, those of `host` or of all.
    std::map<std::string, std::string> states(const std::string& host = {}) {
        const policy::etcd::Keys& keys = store_.keys();
        std::string begin = keys.endpoint_statuses("no-region", host.empty() ? "h" : host);
        begin.resize(host.empty() ? begin.rfind("h/") : begin.size());
        std::map<std::string, std::string> found;
        bool done = false;
        store_.call(
            policy::etcd::kRangePath,
            encode(policy::etcd::RangeRequest{begin, policy::etcd::prefix_end(begin), 0, 0}),
            [&](const auto& body) {
                if (const auto reply = policy::etcd::decode_range(body.value_or(""))) {
                    for (const auto& item : reply->items) {
                        if (item.key.ends_with("/endpoint/eth0")) {
                            found[item.key] = item.value;
                        }
                    }
                }
                done = true;
            });
        run_until([&] { return done; });
        return found;
    }

  private:
    template <typename Done>
    void run_until(Done done) {
        while (!done()) {
            io_->run_one_for(std::chrono::seconds(1));
        }
    }

    boost::asio::io_context* io_;
    EtcdServer server_;
    policy::etcd::Store store_;
};

policy::Key reported_key(int number, int host) {
    return {
        policy::Kind::WorkloadEndpoint,
        "prod",
        fmt::format("host--{}-openstack-vm{}-eth0", host, number)};
}

std::string reported(int number, int host) {
    return object(
        "WorkloadEndpoint",
        fmt::format("name: {}, namespace: prod", reported_key(number, host).name),
        fmt::format(
            "node: {}, orchestrator: openstack, workload: vm{}, endpoint: eth0, interfaceName: "
            "tap{}, ipNetworks: [{}]",
            host_name(host),
            number,
            number,
            address(number)));
}

std::vector<Row> measure(const Options& options) {
    const policyd::TemporaryDirectory scratch;
    const policyd::Authority authority(scratch.path, "authority");
    boost::asio::io_context io{1};
    Etcd etcd(io);
    etcd.put(object("FelixConfiguration", "name: default", "endpointReportingEnabled: true"));
    for (int number = 0; number < options.hosts * options.endpoints; ++number) {
        etcd.put(reported(number, number / options.endpoints));
    }
    const std::uint16_t port = free_port();
    policyd::PolicydConfig config = server_config(scratch.path, authority, port);
    config.etcd = etcd.config();
    const ServerProcess server(config);
    int down = -1;  // this endpoint is, the others are up
    Hosts hosts(io, options, authority, port, [&](int host) {
        policyd::HostReport report;
        for (int i = 0; i < options.endpoints; ++i) {
            const int number = host * options.endpoints + i;
            report.endpoints[reported_key(number, host)] = number == down ? "down" : "up";
        }
        return report;
    });
    wait_until_it_listens(server, io, port);
    std::vector<Row> rows;

    double cpu = server.cpu_seconds();
    const auto begin = Clock::now();
    hosts.start();
    const auto all = static_cast<std::size_t>(options.hosts * options.endpoints);
    while (etcd.states().size() < all) {
        server.check();
        hosts.run_for(std::chrono::milliseconds(200));
    }
    rows.push_back(
        row("reports", {milliseconds_since(begin)}, (server.cpu_seconds() - cpu) * 1000, server));

    constexpr int kIdle = 30;  // within which each host says once that it lives
    cpu = server.cpu_seconds();
    hosts.run_for(std::chrono::seconds(kIdle));
    fmt::print(
        "idle: {:.1f} % of a core for {} hosts that report\n",
        (server.cpu_seconds() - cpu) * 100 / kIdle,
        options.hosts);

    rows.push_back(measure_changes("a report", options, server, [&](int i) {
        const int host = i % options.hosts;
        const auto since = Clock::now();
        down = host * options.endpoints;
        const auto is_there = [&] {
            return std::ranges::any_of(etcd.states(host_name(host)), [](const auto& state) {
                return state.second.find("down") != std::string::npos;
            });
        };
        while (!is_there()) {
            server.check();
            hosts.run_for(std::chrono::milliseconds(1));
        }
        return std::vector<double>{milliseconds_since(since)};
    }));
    return rows;
}

}  // namespace
}  // namespace vr::perf

int main(int argc, char** argv) {
    return vr::perf::run_bench("report_bench", {argv + 1, argv + argc}, vr::perf::measure);
}
