// SPDX-License-Identifier: Apache-2.0
#include "policy/etcd/inbox.h"

#include <utility>

namespace vr::policy::etcd {

namespace {

Inbox::Message decode(bool is_line, std::string_view text) {
    return is_line ? Inbox::Message(decode_watch(text)) : Inbox::Message(decode_range(text));
}

}  // namespace

Inbox::Inbox(boost::asio::any_io_executor loop, Take take, std::size_t large)
    : take_(std::move(take)), large_(large), beside_(std::move(loop)) {}

void Inbox::add_range(std::string body) {
    waiting_.push_back({false, std::move(body)});
    go_on();
}

void Inbox::add_line(std::string_view line) {
    if (waiting_.empty() && !beside_.is_awaited() && line.size() < large_) {
        take_(decode(true, line));
        return;
    }
    waiting_.push_back({true, std::string(line)});
    go_on();
}

void Inbox::when_empty(std::function<void()> then) {
    when_empty_ = std::move(then);
    go_on();
}

void Inbox::clear() {
    beside_.cancel();
    waiting_.clear();
    when_empty_ = nullptr;
}

/// Whoever takes a message may end the connection, or ask for more.
void Inbox::go_on() {
    while (!waiting_.empty() && !beside_.is_awaited()) {
        Text next = std::move(waiting_.front());
        waiting_.pop_front();
        if (next.text.size() < large_) {
            take_(decode(next.is_line, next.text));
            continue;
        }
        beside_.read(
            [next = std::move(next)] { return decode(next.is_line, next.text); },
            [this](Message message) {
                take_(std::move(message));
                go_on();
            });
    }
    if (waiting_.empty() && !beside_.is_awaited() && when_empty_) {
        std::exchange(when_empty_, nullptr)();
    }
}

}  // namespace vr::policy::etcd
