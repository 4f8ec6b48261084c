// Rcu: workers report quiescent points; what they may still hold is freed after all have passed one.
//
// Over rte_rcu_qsbr.  A worker is online while it runs its loop, reports once per loop and goes offline
// while it sleeps, so that nobody ever waits for a sleeper.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>

#include "vrouter/dataplane/reclaim.h"

struct rte_rcu_qsbr;

namespace vr {

class Rcu final : public Reclaimer, public GracePeriod {
  public:
    explicit Rcu(unsigned workers);
    Rcu(const Rcu&) = delete;
    Rcu& operator=(const Rcu&) = delete;
    Rcu(Rcu&&) = delete;
    Rcu& operator=(Rcu&&) = delete;
    ~Rcu() override;

    // Worker `index`, its own thread only.
    void online(unsigned index) noexcept;
    void quiescent(unsigned index) noexcept;
    void offline(unsigned index) noexcept;

    /// Control thread: frees later, see reclaim().
    void retire(std::function<void()> free) override;

    /// Frees what is due, one thing at least, then for as long as `slice`; returns how much still waits.
    /// Control thread, to be called regularly.
    std::size_t reclaim(std::chrono::nanoseconds slice = kSlice);

    /// True when the last reclaim() left something that was due, its slice being over.
    [[nodiscard]] bool is_behind() const noexcept { return behind_; }

    /// Frees everything at once: the workers have ended.  Control thread.
    void drain();

    /// Any thread that is not a worker; returns within one loop of the slowest worker.
    void wait() noexcept override;

  private:
    /// What is freed in one go may be a classifier, or thousands of nodes.
    static constexpr std::chrono::microseconds kSlice{250};

    struct Retired {
        std::uint64_t token;
        std::function<void()> free;
    };

    struct Free {
        void operator()(rte_rcu_qsbr* qsbr) const noexcept;
    };

    std::unique_ptr<rte_rcu_qsbr, Free> qsbr_;
    std::deque<Retired> retired_;
    bool behind_ = false;
};

}  // namespace vr
