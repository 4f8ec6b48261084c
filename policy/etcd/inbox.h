// Inbox: what etcd says about the watched range, decoded in order; a large answer beside the loop.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <string>
#include <string_view>
#include <variant>

#include <boost/asio/any_io_executor.hpp>

#include "policy/beside.h"
#include "policy/etcd/messages.h"
#include "vrouter/net/result.h"

namespace vr::policy::etcd {

/// On one loop.  May go at any time; its owner's last member, as Beside.
class Inbox {
  public:
    /// To a range request, or a line of the watch.
    using Message = std::variant<Result<RangeReply>, Result<WatchReply>>;
    using Take = std::function<void(Message message)>;

    /// An answer of so many bytes takes 0.5 ms to decode.
    static constexpr std::size_t kLarge = 256U << 10U;

    /// `take` is told one after the other: from within add(), or in another turn of the loop.
    Inbox(boost::asio::any_io_executor loop, Take take, std::size_t large = kLarge);

    void add_range(std::string body);
    void add_line(std::string_view line);

    /// Calls `then` when nothing waits: at once, or in another turn of the loop.  One at a time; never after clear().
    void when_empty(std::function<void()> then);

    /// What waits is of a connection that has ended.
    void clear();

  private:
    struct Text {
        bool is_line = false;
        std::string text;
    };

    void go_on();

    Take take_;
    std::size_t large_;
    std::deque<Text> waiting_;  ///< behind the one that is being decoded, if one is
    std::function<void()> when_empty_;
    Beside beside_;
};

}  // namespace vr::policy::etcd
