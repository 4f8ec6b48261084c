// vrouter-policyd with hundreds of hosts: what it costs, and how long a change takes to reach them all.
//
// usage: policyd_bench [--hosts N] [--endpoints N] [--changes N]
//
// The server's source is a watched directory.  Every host has `endpoints` endpoints of as many groups; there is a
// group, with a policy that names the next group, for each host.
//   snapshot   from the first connection until the last host is in sync
//   all        a policy of all endpoints is edited: from the rename of its file until the host has it
//   some       an endpoint comes: the same, for the hosts whose policies name its group
//   burst      that many endpoints come at once: until the last host has the last of them
// See policyd_lab.h.  With BENCHMARK_OUT set, JSON goes there.
// SPDX-License-Identifier: Apache-2.0
#include "perf/policyd_lab.h"

namespace vr::perf {
namespace {

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

bool has_set_change(const policy::Batch& batch) {
    return !batch.sets.empty();
}

std::vector<Row> measure(const Options& options) {
    const policyd::TemporaryDirectory scratch;
    const Directory directory(scratch.path / "resources");
    write_cluster(directory, options);
    const policyd::Authority authority(scratch.path, "authority");
    const std::uint16_t port = free_port();
    policyd::PolicydConfig config = server_config(scratch.path, authority, port);
    config.resource_directory = directory.path();
    const ServerProcess server(config);
    boost::asio::io_context io{1};
    Hosts hosts(io, options, authority, port);
    wait_until_it_listens(server, io, port);
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

}  // namespace
}  // namespace vr::perf

int main(int argc, char** argv) {
    return vr::perf::run_bench("policyd_bench", {argv + 1, argv + argc}, vr::perf::measure);
}
