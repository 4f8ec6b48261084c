// SourceStatus: how a source of objects is, as `vrouterctl show datastore` tells it.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace vr::policy {

struct SourceStatus {
    using TimePoint = std::chrono::steady_clock::time_point;

    enum class State : std::uint8_t {
        Waiting,      ///< asked, and has not told everything yet
        InSync,       ///< what it has is in force
        Unreachable,  ///< it does not answer: what was told last stays in force
        Frozen,       ///< it is not believed: what was told last stays in force
    };

    std::string source;  ///< "file", "etcd", "policyd"
    State state = State::Waiting;
    TimePoint since;                  ///< when `state` began
    bool in_force = false;            ///< something was told, by the source or by the state file
    std::vector<std::string> places;  ///< directory or servers, as configured
    std::string place;                ///< the one in use; empty: none
    std::uint64_t revision = 0;       ///< of what is in force, as the source counts
    std::string last_error;           ///< the latest, maybe over; empty: never one
    std::string state_file;           ///< empty: none

    /// Notes what is the case now.
    void is(State now_in, TimePoint now) {
        if (now_in != state || since == TimePoint{}) {
            state = now_in;
            since = now;
        }
    }

    void fails(State now_in, std::string why, TimePoint now) {
        is(now_in, now);
        last_error = std::move(why);
    }
};

[[nodiscard]] constexpr std::string_view to_string(SourceStatus::State state) {
    using State = SourceStatus::State;
    return state == State::Waiting       ? "waiting"
           : state == State::InSync      ? "in sync"
           : state == State::Unreachable ? "unreachable"
                                         : "frozen";
}

}  // namespace vr::policy
