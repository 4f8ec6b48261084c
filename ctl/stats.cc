// show version, show control, show drops.
// SPDX-License-Identifier: Apache-2.0
#include <unistd.h>

#include <utility>

#include "ctl/handlers.h"
#include "vrouter/machine.h"
#include "vrouter/turns.h"

namespace vr::ctl {

namespace {

/// Of all ports and of the router itself (PortId{}).
std::array<std::uint64_t, kDropCount> all_drops(const Machine& machine) {
    auto sum = machine.totals(PortId{}).drops;
    for (const PortId port : machine.ports()) {
        const auto drops = machine.totals(port).drops;
        for (std::size_t i = 0; i < kDropCount; ++i) {
            sum[i] += drops[i];
        }
    }
    return sum;
}

}  // namespace

void serve_version(
    Dispatch& dispatch, std::string version, std::chrono::steady_clock::time_point started) {
    dispatch.on(pb::Request::kVersion, [version = std::move(version), started](const pb::Request&) {
        const auto uptime = std::chrono::steady_clock::now() - started;
        const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(uptime).count();
        pb::Response response;
        auto& reply = *response.mutable_version();
        reply.set_version(version);
        reply.set_pid(static_cast<std::uint32_t>(::getpid()));
        reply.set_uptime_seconds(static_cast<std::uint64_t>(seconds));
        return response;
    });
}

void serve_control(Dispatch& dispatch, LoopTimes& times) {
    dispatch.on(pb::Request::kShowControl, [&times](const pb::Request& request) {
        pb::Response response;
        const auto add = [&](const char* clock, const Turns& turns) {
            const auto us = [](Turns::Duration time) {
                return static_cast<std::uint64_t>(
                    std::chrono::ceil<std::chrono::microseconds>(time).count());
            };
            auto& row = *response.mutable_turns()->add_rows();
            row.set_clock(clock);
            row.set_turns(turns.count());
            row.set_p50_us(us(turns.quantile(0.5)));
            row.set_p99_us(us(turns.quantile(0.99)));
            row.set_p999_us(us(turns.quantile(0.999)));
            row.set_max_us(us(turns.longest()));
            row.set_over_2ms(turns.slow());
            for (const Turns::Slow& slow : turns.latest()) {
                auto& latest = *row.add_latest();
                latest.set_ended_us(us(slow.ended.time_since_epoch()));
                latest.set_took_us(us(slow.took));
                latest.set_core(slow.core);
            }
        };
        add("wall", times.wall);
        add("cpu", times.cpu);
        if (request.show_control().reset()) {
            times = LoopTimes{};
        }
        return response;
    });
}

void serve_drops(Dispatch& dispatch, const Machine& machine) {
    dispatch.on(pb::Request::kShowDrops, [&machine](const pb::Request& request) {
        const auto drops = all_drops(machine);
        pb::Response response;
        auto& list = *response.mutable_drops();
        for (const DropRow& reason : kDrops) {
            const std::uint64_t packets = drops[static_cast<std::size_t>(reason.drop)];
            const bool real = reason.drop != DropReason::None;
            if (real && (packets != 0 || request.show_drops().all())) {
                auto& row = *list.add_rows();
                row.set_reason(std::string(reason.name));
                row.set_packets(packets);
                row.set_meaning(std::string(reason.meaning));
            }
        }
        return response;
    });
}

}  // namespace vr::ctl
