// Intake: what Sync hands out, in order, with the values of a large step read beside the loop.
//
// What comes after a step that is being read waits for it, whatever it is and whoever told it: order is that
// of the changes, and each step is handed on as a whole.  Nothing of a connection is kept here, so losing
// one, a compaction or a new listing change nothing about what waits.
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
        bool more = false;                ///< a later one tells the rest of the picture
    };

    /// Told one after the other; with an empty Readings where nothing was read beforehand.
    using Take = std::function<void(Told told, Readings readings)>;

    /// Of `large` bytes of values together a step is read beside the loop.
    Intake(boost::asio::any_io_executor loop, Keys keys, Take take, std::size_t large = kLargeText);

    /// Hands it on: here and now, unless it is large or something waits before it.
    void add(Told told);

    /// Hands on all that waits, here and now.
    void catch_up();

    /// What waits is not handed on any more.
    void stop();

    [[nodiscard]] bool is_empty() const { return waiting_.empty() && !read_; }

  private:
    void go_on();
    [[nodiscard]] Told next();
    [[nodiscard]] bool is_large(const Told& told) const;
    void hand_on(Told told, Readings readings);

    Keys keys_;
    Take take_;
    std::size_t large_;
    std::deque<Told> waiting_;
    std::shared_ptr<Told> read_;  ///< beside the loop, before those that wait; null: nothing
    Beside beside_;
};

}  // namespace vr::policy::etcd
