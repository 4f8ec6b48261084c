// Deferred freeing for structures that workers read without locks.
//
// The control thread changes such a structure in place; what a worker may still be reading is handed
// to a Reclaimer, which frees it after every worker has passed a quiescent point.  rcu.h implements
// it for running workers; tests use ImmediateReclaimer or one that they step by hand.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>

namespace vr {

class Reclaimer {
  public:
    Reclaimer() = default;
    Reclaimer(const Reclaimer&) = delete;
    Reclaimer& operator=(const Reclaimer&) = delete;
    Reclaimer(Reclaimer&&) = delete;
    Reclaimer& operator=(Reclaimer&&) = delete;
    virtual ~Reclaimer() = default;

    /// Calls `free` once no reader can hold what it frees.  Control thread only.
    virtual void retire(std::function<void()> free) = 0;
};

/// Waits until every worker has passed a quiescent point: whatever was unpublished before the call is
/// no longer in use after it.  For the few places that cannot defer (a guest's memory is about to be
/// unmapped).  Any thread that is not a worker.
class GracePeriod {
  public:
    GracePeriod() = default;
    GracePeriod(const GracePeriod&) = delete;
    GracePeriod& operator=(const GracePeriod&) = delete;
    GracePeriod(GracePeriod&&) = delete;
    GracePeriod& operator=(GracePeriod&&) = delete;
    virtual ~GracePeriod() = default;

    virtual void wait() noexcept = 0;
};

/// For single-threaded use: frees at once.
class ImmediateReclaimer final : public Reclaimer {
  public:
    void retire(std::function<void()> free) override { free(); }
};

}  // namespace vr
