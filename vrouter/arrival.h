// Arrival: whether an endpoint's addresses are served while live migrations bring its guest here or away.
//
//                 resource names it as target         the guest shows itself
//     Settled  -------------------------------> Awaited -----------------> Preferred
//        ^                                         |                           |
//        +-----------------------------------------+---------------------------+
//          no longer, or as source: at once         some time after it is no longer target
//
// The source goes on as before: it serves its addresses as long as its guest is there.  However long the target
// waits, its guest may be at the source still, and would be cut off: time alone never ends the wait.  Pure.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string_view>

#include "vrouter/services/rate_limit.h"
#include "vrouter/workload.h"

namespace vr {

class Arrival {
  public:
    enum class State : std::uint8_t {
        Settled,    ///< served as any endpoint
        Awaited,    ///< its guest is still elsewhere: not served
        Preferred,  ///< it is here, but not all may know yet
    };

    /// What the endpoint is to live migrations from now on; `there`: its guest is connected.
    void set_role(MigrationRole role, bool there, TimePoint now);

    /// The guest has shown that it is here.
    void shown();

    /// `settling`: how long others may take to follow once the migration is over.
    void tick(TimePoint now, std::chrono::seconds settling);

    /// True once, when the guest is awaited for so long that somebody should look.
    [[nodiscard]] bool is_missed(TimePoint now);

    [[nodiscard]] State state() const { return state_; }

    static constexpr std::chrono::minutes kPatience{10};

  private:
    MigrationRole role_ = MigrationRole::None;
    State state_ = State::Settled;
    std::optional<TimePoint> over_since_;
    std::optional<TimePoint> awaited_since_;  ///< nothing: it is not, or is_missed() was told
};

[[nodiscard]] std::string_view to_string(Arrival::State state);

}  // namespace vr
