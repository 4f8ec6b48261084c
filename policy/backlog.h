// Backlog: what a source has told and the machine has not got yet.  The graph takes it up in other turns of the
// loop than the source's, a slice in each, so that neither a large file nor a burst holds up all else.
//
// Batch by batch, in the order in which they came.  A batch is calculated in full before the machine hears of
// it: half of it may be wider than what was before and than what is to be (a policy goes, and the one that
// takes its place has not come).  It is handed over in slices, too, in Publisher's order: what is in force
// between two of them is what is in force while programs are being compiled.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <vector>

#include "policy/datastore.h"
#include "policy/graph.h"
#include "policy/slice.h"

namespace vr::policy {

class Backlog {
  public:
    /// Runs `task` in another turn of the loop.
    using Post = std::function<void(std::function<void()> task)>;

    /// `taken` is called with each batch (its events are gone by then) when the machine has all of it.
    using Taken = std::function<void(const Batch& batch)>;

    /// `graph` must outlive this.
    Backlog(
        Graph& graph,
        Post post,
        Taken taken,
        std::chrono::microseconds slice = std::chrono::microseconds{500},
        std::size_t enough = 4096);

    void add(Batch batch);

    /// Calls `then` when a source may tell more: at once, unless `enough` objects wait behind the batch that is
    /// being taken up.
    void when_room(std::function<void()> then);

    /// Calls `then` when the machine has all that was added: at once if it does.
    void after(std::function<void()> then);

    /// The machine has all that was added.
    [[nodiscard]] bool is_empty() const { return waiting_.empty(); }

  private:
    struct Waiting {
        Batch batch;
        std::size_t size = 0;  ///< of it, as long as it waited
        std::vector<std::function<void()>> then;
    };

    void go_on();
    void go_on_later();
    [[nodiscard]] bool take_up(Batch& batch, const Slice& slice);
    [[nodiscard]] bool has_room() const;

    Graph& graph_;
    Post post_;
    Taken taken_;
    std::chrono::microseconds slice_;
    std::size_t enough_;
    std::deque<Waiting> waiting_;  ///< the first is being taken up, if there is one
    std::size_t size_ = 0;         ///< of all in waiting_
    std::vector<std::function<void()>> for_room_;
    std::size_t next_ = 0;  ///< of its sets and events
    bool posted_ = false;   ///< go_on() runs, or will
    std::shared_ptr<const bool> alive_ = std::make_shared<const bool>(true);
};

}  // namespace vr::policy
