// Arrival: whether an endpoint's addresses are served while live migrations bring its guest here or away.
//
//                 resource names it as target         the guest shows itself
//     Settled  -------------------------------> Awaited -----------------> Preferred
//        ^                                         |                           |
//        +-----------------------------------------+---------------------------+
//          no longer, or as source: at once           kSettling after it is no longer target
//
// The source goes on as before: it serves its addresses as long as its guest is there.  Pure.
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

    void tick(TimePoint now);

    [[nodiscard]] State state() const { return state_; }

    /// How long others may take to follow once the migration is over, as in Calico.
    static constexpr std::chrono::seconds kSettling{30};

    /// Of its addresses while it is preferred, unless they have a better one; 1024 is normal.
    static constexpr std::uint32_t kPriority = 512;

  private:
    MigrationRole role_ = MigrationRole::None;
    State state_ = State::Settled;
    std::optional<TimePoint> settled_at_;
};

[[nodiscard]] std::string_view to_string(Arrival::State state);

}  // namespace vr
