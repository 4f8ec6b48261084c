// SPDX-License-Identifier: Apache-2.0
#include "policy/etcd/intake.h"

#include <algorithm>

namespace vr::policy::etcd {

Intake::Intake(boost::asio::any_io_executor loop, Keys keys, Take take, std::size_t large)
    : keys_(std::move(keys)), take_(std::move(take)), large_(large), beside_(std::move(loop)) {}

void Intake::add(Told told) {
    waiting_.push_back(std::move(told));
    go_on();
}

void Intake::go_on() {
    while (!waiting_.empty() && !beside_.is_awaited()) {
        if (!is_large(waiting_.front())) {
            hand_on({});
            continue;
        }
        // Its own copy: who catches up meanwhile takes the original.
        beside_.read(
            [keys = keys_, changes = waiting_.front().changes] { return read(keys, changes); },
            [this](Readings readings) {
                hand_on(std::move(readings));
                go_on();
            });
    }
}

bool Intake::is_large(const Told& told) const {
    std::size_t bytes = 0;
    for (const Change& change : told.changes) {
        bytes += change.value ? change.value->size() : 0;
    }
    return bytes >= large_;
}

void Intake::hand_on(Readings readings) {
    Told first = std::move(waiting_.front());
    waiting_.pop_front();
    const auto then = std::move(first.then);
    take_(std::move(first), std::move(readings));
    if (then) {
        then();
    }
}

void Intake::catch_up() {
    beside_.cancel();
    while (!waiting_.empty()) {
        hand_on({});
    }
}

void Intake::stop() {
    beside_.cancel();
    waiting_.clear();
}

}  // namespace vr::policy::etcd
