// SPDX-License-Identifier: Apache-2.0
#include "policy/etcd/intake.h"

#include <algorithm>
#include <iterator>

#include <boost/asio/post.hpp>

namespace vr::policy::etcd {

Intake::Intake(
    boost::asio::any_io_executor loop, Keys keys, Take take, std::size_t large, std::size_t part)
    : loop_(loop),
      keys_(std::move(keys)),
      take_(std::move(take)),
      large_(large),
      part_(part),
      beside_(std::move(loop)) {}

void Intake::add(Told told) {
    waiting_.push_back(std::move(told));
    go_on();
}

void Intake::go_on() {
    while (!waiting_.empty() && !read_ && !later_) {
        Told part = next();
        if (!is_large(part)) {
            const bool more = part.more;
            hand_on(std::move(part), {});
            if (more) {
                go_on_later();
            }
            continue;
        }
        // Who catches up meanwhile makes its own copy.
        read_ = std::make_shared<Told>(std::move(part));
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

void Intake::go_on_later() {
    later_ = std::make_shared<const bool>(true);
    boost::asio::post(loop_, [this, later = std::weak_ptr(later_)] {
        if (!later.expired()) {
            later_.reset();
            go_on();
        }
    });
}

/// The next part of the first that waits, as large as there is.
Intake::Told Intake::next() {
    Told& first = waiting_.front();
    const std::size_t left = first.changes.size() - begun_;
    if (left <= part_ && begun_ == 0) {
        Told whole = std::move(first);
        waiting_.pop_front();
        return whole;
    }
    Told part{.changes = {}, .position = first.position, .more = left > part_ || first.more};
    const auto from = first.changes.begin() + static_cast<std::ptrdiff_t>(begun_);
    const auto count = static_cast<std::ptrdiff_t>(std::min(left, part_));
    part.changes.assign(std::move_iterator(from), std::move_iterator(from + count));
    begun_ += part_;
    if (left <= part_) {
        part.in_sync = first.in_sync;
        part.then = std::move(first.then);
        waiting_.pop_front();
        begun_ = 0;
    }
    return part;
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
    later_.reset();
    if (read_) {
        hand_on(Told(*std::exchange(read_, nullptr)), {});
    }
    while (!waiting_.empty()) {
        hand_on(next(), {});
    }
}

void Intake::stop() {
    beside_.cancel();
    later_.reset();
    read_.reset();
    waiting_.clear();
    begun_ = 0;
}

}  // namespace vr::policy::etcd
