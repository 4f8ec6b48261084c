// SPDX-License-Identifier: Apache-2.0
#include "vrouter/arrival.h"

#include <utility>

namespace vr {

void Arrival::set_role(MigrationRole role, bool there, TimePoint now) {
    if (std::exchange(role_, role) == role) {
        return;
    }
    over_since_.reset();
    awaited_since_.reset();
    switch (role) {
        case MigrationRole::Target:
            if (state_ == State::Settled) {
                state_ = there ? State::Preferred : State::Awaited;
            }
            if (state_ == State::Awaited) {
                awaited_since_ = now;
            }
            break;
        case MigrationRole::None:
            if (state_ == State::Preferred) {
                over_since_ = now;
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
        awaited_since_.reset();
    }
}

void Arrival::tick(TimePoint now, std::chrono::seconds settling) {
    if (over_since_ && now - *over_since_ >= settling) {
        over_since_.reset();
        state_ = State::Settled;
    }
}

bool Arrival::is_missed(TimePoint now) {
    const bool missed = awaited_since_ && now - *awaited_since_ >= kPatience;
    if (missed) {
        awaited_since_.reset();
    }
    return missed;
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
