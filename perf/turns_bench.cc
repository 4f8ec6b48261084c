// How long turns of the control thread are when thousands of next hops change: machine and route table alone.
//
// usage: turns_bench [NEXT_HOPS]
//
// That many routes, each over a gateway of its own, that a default route over one gateway, or two that share
// the traffic, leads to; many routes over one gateway; and sets of 64 gateways over 64 stations.  Per event:
// the longest turn by CPU time, how many turns there were, and what they took together.  A turn is what the
// event itself does, with the commit(), or one Machine::finish() behind it, with housekeeping now and then, as
// the loop would call them.
// SPDX-License-Identifier: Apache-2.0
#include <fmt/core.h>
#include <rte_eal.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "perf/cpu_time.h"
#include "vrouter/machine.h"

namespace vr::perf {
namespace {

constexpr Ip4 kNetwork{0x0a630000};     // 10.99.0.0/16
constexpr Ip4 kFirstRoute{0x14000000};  // 20.0.0.0
constexpr Ip4 kFirstHop{0x0a620000};    // 10.98.0.0
constexpr Mac kMac{{2, 0, 0, 0, 0, 1}};
/// Routes that come or go in one turn: about what BGP handles in one.
constexpr std::uint32_t kPerTurn = 512;

/// It moves no packets.
class SilentPort final : public Port {
  public:
    [[nodiscard]] PortIo io() noexcept override {
        const auto none = [](void*, std::uint16_t, rte_mbuf**, std::uint16_t) noexcept {
            return std::uint16_t{0};
        };
        return {.self = this, .rx = none, .tx = none};
    }

    [[nodiscard]] PortStatus status() const override { return {}; }

    [[nodiscard]] Mac mac() const override { return kMac; }

    [[nodiscard]] std::uint16_t mtu() const override { return 1500; }
};

class Bench {
  public:
    explicit Bench(std::uint32_t next_hops) : count_(next_hops) {
        fabric_ = add_port(PortKind::Fabric);
        routes().set(*Prefix<V4>::make(kNetwork, 16), RouteSource::Connected, Connected{fabric_});
        for (std::uint32_t host = 1; host <= 64; ++host) {
            set_station(host, true);
        }
        machine_->commit();
        come_to_rest();
    }

    /// Far gateways are behind these stations from now on.
    void lead_over(std::vector<IpAddr> stations) {
        routes().set(Prefix<V4>{}, RouteSource::Static, Gateways{std::move(stations)});
        machine_->commit();
    }

    /// One turn does `change`; what it leaves is done in others.
    template <typename Change>
    void measure(const std::string& event, Change change) {
        begin();
        turn(change);
        end(event);
    }

    /// The same with one route after the other, some in each turn.
    template <typename Change>
    void measure_each(
        const std::string& event,
        std::uint32_t count,
        Change change,
        std::uint32_t per_turn = kPerTurn) {
        begin();
        for (std::uint32_t at = 0; at < count;) {
            turn([&] {
                const std::uint32_t end = std::min(at + per_turn, count);
                for (; at < end; ++at) {
                    change(at);
                }
                machine_->commit();
            });
            turn([&] { machine_->finish(); });
        }
        end(event);
    }

    [[nodiscard]] PortId add_port(PortKind kind) {
        return *machine_->add_port(
            {.name = "port", .kind = kind, .port = std::make_unique<SilentPort>(), .mac = kMac});
    }

    static IpAddr station(std::uint32_t host) { return Ip4{kNetwork.value() + host}; }

    static IpAddr far(std::uint32_t number) { return Ip4{kFirstHop.value() + number}; }

    static Prefix<V4> route(std::uint32_t number) {
        return Prefix<V4>::host(Ip4{kFirstRoute.value() + number});
    }

    void set_station(std::uint32_t host, bool there) {
        const Adjacency neighbor{fabric_, station(host)};
        there ? routes().next_hops().resolved(neighbor, kMac) : routes().next_hops().lost(neighbor);
    }

    void measure_all(const std::string& over, const std::vector<IpAddr>& stations) {
        const auto named = [&](const char* event) { return over + ": " + event; };
        lead_over(stations);
        measure_each(named("routes come"), count_, [&](std::uint32_t i) {
            routes().set(route(i), RouteSource::IBgp, Gateways{{far(i)}});
        });
        PortId port;
        measure(named("port comes"), [&] {
            port = add_port(PortKind::Workload);
            machine_->commit();
        });
        measure(named("port goes"), [&] {
            machine_->remove_port(port);
            machine_->commit();
        });
        measure(named("station is lost"), [&] {
            set_station(1, false);
            machine_->commit();
        });
        measure(named("station answers"), [&] {
            set_station(1, true);
            machine_->commit();
        });
        measure(named("station is avoided"), [&] {
            routes().avoid(station(1), true);
            machine_->commit();
        });
        measure(named("not any more"), [&] {
            routes().avoid(station(1), false);
            machine_->commit();
        });
        measure(named("way to all moves"), [&] { lead_over({station(9)}); });
        measure(named("and back"), [&] { lead_over(stations); });
        measure_each(named("routes go"), count_, [&](std::uint32_t i) {
            routes().remove(route(i), RouteSource::IBgp);
        });
        for (std::uint32_t i = 0; i < count_; ++i) {
            routes().set(route(i), RouteSource::IBgp, Gateways{{far(i)}});
        }
        machine_->commit();
        come_to_rest();
        measure(named("routes go in one turn"), [&] {
            for (std::uint32_t i = 0; i < count_; ++i) {
                routes().remove(route(i), RouteSource::IBgp);
            }
            machine_->commit();
        });
    }

    /// All routes over a single gateway.
    void measure_shared_gateway() {
        constexpr std::uint32_t kRoutes = 65536;
        lead_over({station(1)});
        measure_each("65536 routes over one gateway: come", kRoutes, [&](std::uint32_t i) {
            routes().set(route(i), RouteSource::IBgp, Gateways{{far(0)}});
        });
        measure("65536 routes over one gateway: no way to it", [&] {
            routes().remove(Prefix<V4>{}, RouteSource::Static);
            machine_->commit();
        });
        measure("65536 routes over one gateway: and back", [&] { lead_over({station(1)}); });
    }

    /// 64 gateways each, of 128 that 64 stations lead to.
    void measure_wide_sets() {
        constexpr std::uint32_t kSets = 1000;
        constexpr std::uint32_t kWide = 64;
        std::vector<IpAddr> stations;
        for (std::uint32_t host = 1; host <= kWide; ++host) {
            stations.push_back(station(host));
        }
        lead_over(stations);
        measure_each(
            "1000 sets of 64 over 64: come",
            kSets,
            [&](std::uint32_t i) {
                std::vector<IpAddr> gateways;
                for (std::uint32_t at = 0; at < kWide; ++at) {
                    gateways.push_back(far(2 * at + ((i >> at % 10U) & 1U)));
                }
                routes().set(route(i), RouteSource::IBgp, Gateways{std::move(gateways)});
            },
            kPerTurn / kWide);
        measure("1000 sets of 64 over 64: station is lost", [&] {
            set_station(1, false);
            machine_->commit();
        });
        measure("1000 sets of 64 over 64: station is avoided", [&] {
            routes().avoid(station(2), true);
            machine_->commit();
        });
        measure("1000 sets of 64 over 64: gateway is avoided", [&] {
            routes().avoid(far(2), true);
            machine_->commit();
        });
        stations.pop_back();
        measure("1000 sets of 64 over 64: way to all moves", [&] { lead_over(stations); });
    }

  private:
    [[nodiscard]] RouteTable& routes() { return machine_->routes(); }

    static MachineSettings settings() {
        MachineSettings settings;
        settings.packets = 1024;
        settings.flows = 4096;
        return settings;
    }

    void begin() {
        longest_ = 0;
        all_ = 0;
        turns_ = 0;
    }

    void end(const std::string& event) {
        come_to_rest();
        fmt::print("{:<48}{:>10.2f}{:>10}{:>12.1f}\n", event, longest_ * 1e3, turns_, all_ * 1e3);
    }

    template <typename Task>
    void turn(Task task) {
        const double begin = cpu_seconds();
        task();
        const double took = cpu_seconds() - begin;
        longest_ = std::max(longest_, took);
        all_ += took;
        ++turns_;
    }

    /// Housekeeping is due every 10 ms; it may free something that leaves more.
    void come_to_rest() {
        constexpr int kQuiet = 4;
        for (int quiet = 0; quiet < kQuiet; ++quiet) {
            turn([&] { machine_->housekeeping(); });
            for (unsigned i = 0; machine_->is_unfinished(); ++i) {
                turn([&] { machine_->finish(); });
                if (i % 16 == 0) {
                    turn([&] { machine_->housekeeping(); });
                }
                quiet = 0;
            }
        }
    }

    std::unique_ptr<Machine> machine_{*Machine::make(settings())};
    std::uint32_t count_;
    PortId fabric_;
    double longest_ = 0;
    double all_ = 0;
    unsigned turns_ = 0;
};

}  // namespace
}  // namespace vr::perf

int main(int argc, char** argv) {
    using vr::perf::Bench;
    const char* eal[] = {
        "turns_bench",
        "--no-huge",
        "--no-shconf",
        "--no-pci",
        "--no-telemetry",
        "-m",
        "256",
        "--log-level",
        "error"};
    if (rte_eal_init(static_cast<int>(std::size(eal)), const_cast<char**>(eal)) < 0) {
        fmt::print(stderr, "turns_bench: EAL does not start\n");
        return 1;
    }
    const auto count = static_cast<std::uint32_t>(argc > 1 ? std::atoi(argv[1]) : 16384);
    fmt::print("{:<48}{:>10}{:>10}{:>12}\n", "event", "ms, most", "turns", "ms, all");
    Bench{count}.measure_all("one way", {Bench::station(1)});
    Bench{count}.measure_all("two ways", {Bench::station(1), Bench::station(2)});
    Bench{0}.measure_shared_gateway();
    Bench{0}.measure_wide_sets();
    return 0;
}
