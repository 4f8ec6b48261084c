// SPDX-License-Identifier: Apache-2.0
#include "vrouter/arrival.h"

#include <utility>

namespace vr {

void Arrival::set_role(MigrationRole role, bool there, TimePoint now) {
    if (std::exchange(role_, role) == role) {
        return;
    }
    settled_at_.reset();
    switch (role) {
        case MigrationRole::Target:
            if (state_ == State::Settled) {
                state_ = there ? State::Preferred : State::Awaited;
            }
            break;
        case MigrationRole::None:
            if (state_ == State::Preferred) {
                settled_at_ = now + kSettling;
                break;
            }
            [[fallthrough]];  // it was awaited in vain
        case MigrationRole::Source:
            state_ = State::Settled;
            break;
    }
}

void Arrival::shown() {
    if (state_ == State::Awaited) {
        state_ = State::Preferred;
    }
}

void Arrival::tick(TimePoint now) {
    if (settled_at_ && now >= *settled_at_) {
        settled_at_.reset();
        state_ = State::Settled;
    }
}

std::string_view to_string(Arrival::State state) {
    switch (state) {
        case Arrival::State::Settled:
            return "settled";
        case Arrival::State::Awaited:
            return "awaited";
        case Arrival::State::Preferred:
            return "preferred";
    }
    return "?";
}

}  // namespace vr
