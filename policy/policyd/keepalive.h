// Keepalive: when to send something, and when the other end is gone.  Pure; both ends run the same.
//
// Counted in ticks of the event loop's timer instead of time: a loop that was busy for seconds counts one
// tick for it, and reads what has come meanwhile before the next.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>

namespace vr::policyd {

class Keepalive {
  public:
    static constexpr std::chrono::milliseconds kTick{300};
    /// Silent for so many ticks, the other end is gone: noticed after 1.5 s at most.
    static constexpr int kMostSilent = 4;

    void heard() { silent_ = 0; }

    void said() { quiet_ = false; }

    /// A tick has passed.  False when the other end is gone.
    [[nodiscard]] bool tick() { return ++silent_ <= kMostSilent; }

    /// True when nothing was said since the last time that this was asked.
    [[nodiscard]] bool must_speak() {
        const bool must = quiet_;
        quiet_ = true;
        return must;
    }

  private:
    int silent_ = 0;
    bool quiet_ = false;
};

}  // namespace vr::policyd
