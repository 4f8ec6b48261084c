// Intake: what Sync hands out, in order, with the values of a large step read beside the loop.
//
// A step of many changes is handed on in parts, each in a turn of its own; who is told them puts nothing in force before
// it has the last.  What comes after a step that is being read, or handed on, waits for it, whatever it is and whoever
// told it: order is that of the changes.  Nothing of a connection is kept here, so losing one, a compaction or a new
// listing change nothing about what waits.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include <boost/asio/any_io_executor.hpp>

#include "policy/beside.h"
#include "policy/etcd/keys.h"
#include "policy/etcd/objects.h"
#include "policy/etcd/sync.h"

namespace vr::policy::etcd {

class Intake {
  public:
    /// A step's changes, and where they lead.
    struct Told {
        std::vector<Change> changes;
        Position position;
        bool in_sync = false;
        std::function<void()> then = {};  ///< what waits for it to be taken
        bool more = false;                ///< the next one tells the rest of it
    };

    /// Told one after the other; with an empty Readings where nothing was read beforehand.
    using Take = std::function<void(Told told, Readings readings)>;

    /// Of so many changes a step is divided: half a millisecond to take.
    static constexpr std::size_t kPart = 256;

    /// Of `large` bytes of values together a part is read beside the loop.
    Intake(
        boost::asio::any_io_executor loop,
        Keys keys,
        Take take,
        std::size_t large = kLargeText,
        std::size_t part = kPart);

    /// Hands it, or its first part, on: here and now, unless it is large or something waits before it.
    void add(Told told);

    /// Hands on all that waits, here and now.
    void catch_up();

    /// What waits is not handed on any more.
    void stop();

    [[nodiscard]] bool is_empty() const { return waiting_.empty() && !read_; }

  private:
    void go_on();
    void go_on_later();
    [[nodiscard]] Told next();
    [[nodiscard]] bool is_large(const Told& told) const;
    void hand_on(Told told, Readings readings);

    boost::asio::any_io_executor loop_;
    Keys keys_;
    Take take_;
    std::size_t large_;
    std::size_t part_;
    std::deque<Told> waiting_;    ///< the first of them in parts, if it is large
    std::size_t begun_ = 0;       ///< changes of the first that were handed on
    std::shared_ptr<Told> read_;  ///< beside the loop, before those that wait; null: nothing
    /// Set until the turn that goes on; held weakly by it.
    std::shared_ptr<const bool> later_;
    Beside beside_;
};

}  // namespace vr::policy::etcd
