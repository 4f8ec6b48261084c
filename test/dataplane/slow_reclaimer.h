// A Reclaimer for single-threaded tests under which retired things rest for a while, as they do when
// workers run: what a structure uses too early shows.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <deque>
#include <functional>
#include <utility>

#include "vrouter/dataplane/reclaim.h"

namespace vr {

/// Frees what was retired a fixed number of retirements ago: slots rest for a while, as in the router.
class SlowReclaimer final : public Reclaimer {
  public:
    ~SlowReclaimer() override {
        while (!waiting_.empty()) {
            step();
        }
    }

    void retire(std::function<void()> free) override {
        waiting_.push_back(std::move(free));
        if (waiting_.size() > 8) {
            step();
        }
    }

  private:
    void step() {
        const auto free = std::move(waiting_.front());
        waiting_.pop_front();
        free();  // and may retire more
    }

    std::deque<std::function<void()>> waiting_;
};

}  // namespace vr
