// SPDX-License-Identifier: Apache-2.0
#include "policy/backlog.h"

#include <utility>

namespace vr::policy {

Backlog::Backlog(
    Graph& graph, Post post, Taken taken, std::chrono::microseconds slice, std::size_t enough)
    : graph_(graph),
      post_(std::move(post)),
      taken_(std::move(taken)),
      slice_(slice),
      enough_(enough) {}

void Backlog::add(Batch batch) {
    const std::size_t size = 1 + batch.sets.size() + batch.events.size();
    size_ += size;
    waiting_.push_back({std::move(batch), size, {}});
    if (!posted_) {
        go_on_later();
    }
}

void Backlog::after(std::function<void()> then) {
    if (waiting_.empty()) {
        then();
    } else {
        waiting_.back().then.push_back(std::move(then));
    }
}

bool Backlog::has_room() const {
    return waiting_.empty() || size_ - waiting_.front().size < enough_;
}

void Backlog::when_room(std::function<void()> then) {
    if (has_room()) {
        then();
    } else {
        for_room_.push_back(std::move(then));
    }
}

void Backlog::go_on_later() {
    posted_ = true;
    post_([this, alive = std::weak_ptr(alive_)] {
        if (!alive.expired()) {
            go_on();
        }
    });
}

void Backlog::go_on() {
    const Slice slice(slice_);
    while (!waiting_.empty() && take_up(waiting_.front().batch, slice)) {
        const Waiting first = std::move(waiting_.front());
        waiting_.pop_front();
        size_ -= first.size;
        taken_(first.batch);
        for (const auto& then : first.then) {
            then();
        }
        if (slice.is_over()) {
            break;
        }
    }
    if (has_room()) {
        for (const auto& then : std::exchange(for_room_, {})) {
            then();
        }
    }
    posted_ = false;
    if (!waiting_.empty()) {
        go_on_later();
    }
}

/// False: the slice was over before the end.
bool Backlog::take_up(Batch& batch, const Slice& slice) {
    const std::size_t sets = batch.sets.size();
    while (true) {
        // What one object sets off, before the next is taken: it may concern all others.
        if (!graph_.settle(slice)) {
            return false;
        }
        if (next_ == sets + batch.events.size()) {
            break;
        }
        if (next_ < sets) {
            graph_.take(std::move(batch.sets[next_]));
        } else {
            graph_.take(std::exchange(batch.events[next_ - sets], InSync{}));
        }
        ++next_;
        if (slice.is_over()) {
            return false;
        }
    }
    if (!graph_.flush(slice)) {
        return false;
    }
    next_ = 0;
    return true;
}

}  // namespace vr::policy
