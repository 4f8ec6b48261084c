// What the tests of the route table have in common: a table of two ports, whose workers look on.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

#include "vrouter/routes.h"

namespace vr::test {

inline constexpr PortId kEast{1};
inline constexpr PortId kWest{2};

/// Workers that may be in the middle of a batch for as long as a test says.
class Workers final : public Reclaimer {
  public:
    void retire(std::function<void()> free) override {
        resting_.push_back(std::move(free));
        if (!busy) {
            pass();
        }
    }

    /// All have come to the end of their batch.
    void pass() {
        for (const auto& free : std::exchange(resting_, {})) {
            free();
        }
    }

    bool busy = false;

  private:
    std::vector<std::function<void()>> resting_;
};

template <typename F>
class Routes : public testing::Test {
  protected:
    using Addr = typename F::Addr;

    Routes() {
        table.next_hops().set_port(kEast, {});
        table.next_hops().set_port(kWest, {});
    }

    ~Routes() override { workers.pass(); }

    /// 10.0.<net>.<host>, or fd00:0:0:<net>::<host>.
    static Addr address(std::uint32_t net, std::uint32_t host) {
        if constexpr (std::is_same_v<F, V4>) {
            return Ip4{0x0a000000U + (net << 8U) + host};
        } else {
            return Ip6{0xfd00000000000000U + net, host};
        }
    }

    static Prefix<F> network(std::uint32_t net) {
        return *Prefix<F>::make(address(net, 0), F::kBits == 32 ? 24 : 64);
    }

    static Prefix<F> everything() { return Prefix<F>{}; }

    static Gateways via(std::initializer_list<Addr> gateways) {
        return Gateways{{gateways.begin(), gateways.end()}};
    }

    void connect(std::uint32_t net, PortId port) {
        table.set(network(net), RouteSource::Connected, Connected{port, kFamilyOf<F>});
    }

    void commit() {
        table.commit([this] {
            published = table.next_hops().entries();
            ++publishes;
        });
    }

    [[nodiscard]] NextHopId hop(Addr destination) const {
        return NextHopId{fib().lookup(destination)};
    }

    [[nodiscard]] const Lpm<F>& fib() const {
        if constexpr (std::is_same_v<F, V4>) {
            return fib4;
        } else {
            return fib6;
        }
    }

    /// The route in force, in words: "static via 10.0.1.1".
    [[nodiscard]] std::string in_force(Addr destination) const {
        const auto view = table.lookup(destination);
        return view ? std::string{to_string(view->source)} + " " + to_string(view->target) : "none";
    }

    Workers workers;
    Lpm<V4> fib4{workers};
    Lpm<V6> fib6{workers};
    RouteTable table{fib4, fib6, workers};
    std::vector<NextHop> published;  ///< the newest snapshot
    int publishes = 0;
};

using Families = testing::Types<V4, V6>;
TYPED_TEST_SUITE(Routes, Families);

}  // namespace vr::test
