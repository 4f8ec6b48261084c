// SPDX-License-Identifier: Apache-2.0
#include "policy/etcd/intake.h"

#include <utility>

namespace vr::policy::etcd {

Intake::Intake(boost::asio::any_io_executor loop, Keys keys, Take take, std::size_t large)
    : keys_(std::move(keys)), take_(std::move(take)), large_(large), beside_(std::move(loop)) {}

void Intake::add(Told told) {
    waiting_.push_back(std::move(told));
    go_on();
}

void Intake::go_on() {
    while (!waiting_.empty() && !read_) {
        Told told = next();
        if (!is_large(told)) {
            hand_on(std::move(told), {});
            continue;
        }
        // Who catches up meanwhile makes its own copy.
        read_ = std::make_shared<Told>(std::move(told));
        beside_.read(
            [keys = keys_, told = std::shared_ptr<const Told>(read_)] {
                return read(keys, told->changes);
            },
            [this](Readings readings) {
                hand_on(std::move(*std::exchange(read_, nullptr)), std::move(readings));
                go_on();
            });
    }
}

Intake::Told Intake::next() {
    Told first = std::move(waiting_.front());
    waiting_.pop_front();
    return first;
}

bool Intake::is_large(const Told& told) const {
    std::size_t bytes = 0;
    for (const Change& change : told.changes) {
        bytes += change.value ? change.value->size() : 0;
    }
    return bytes >= large_;
}

void Intake::hand_on(Told told, Readings readings) {
    const auto then = std::move(told.then);
    take_(std::move(told), std::move(readings));
    if (then) {
        then();
    }
}

void Intake::catch_up() {
    beside_.cancel();
    if (read_) {
        hand_on(Told(*std::exchange(read_, nullptr)), {});
    }
    while (!waiting_.empty()) {
        hand_on(next(), {});
    }
}

void Intake::stop() {
    beside_.cancel();
    read_.reset();
    waiting_.clear();
}

}  // namespace vr::policy::etcd
