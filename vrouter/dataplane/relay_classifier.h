// Relay<F>: the bit vectors from the beginning, and rte_acl beside them from the moment that it is built.
//
// A denial must be in force at once, and rte_acl may take seconds to build or refuse the program: so the
// bit vectors never wait for it.  They stay, for rte_acl is quick with many packets at a time and slow
// with single ones.  Verdicts of both are equal, so workers may go over at any packet; hits are counted
// here, whoever judges.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <memory>
#include <utility>

#include "vrouter/dataplane/classifier.h"

namespace vr::acl {

template <Family F>
class Relay final : public Classifier<F> {
  public:
    /// Batches of `from` packets and more are left to the successor, once there is one.
    Relay(
        const std::shared_ptr<const Program>& program,
        std::shared_ptr<const Classifier<F>> first,
        unsigned from,
        unsigned workers = 0)
        : Classifier<F>(program, workers),
          source_(program),
          first_(std::move(first)),
          from_(from) {}

    /// To be called once at most, while workers classify.
    void succeed(std::shared_ptr<const Classifier<F>> successor) noexcept {
        successor_ = std::move(successor);
        // Release: a worker that sees the pointer sees what it points to.
        ready_.store(successor_.get(), std::memory_order_release);
    }

    void classify(
        const Packet<F>* packets,
        const GroupSet* const* source_groups,
        const GroupSet* const* destination_groups,
        Verdict* verdicts,
        unsigned count,
        Counter* hits) const noexcept override {
        // Acquire: see succeed().
        const Classifier<F>* ready = ready_.load(std::memory_order_acquire);
        const Classifier<F>& judge = ready == nullptr || count < from_ ? *first_ : *ready;
        judge.classify(packets, source_groups, destination_groups, verdicts, count, hits);
    }

    /// That of large batches.
    [[nodiscard]] Engine engine() const noexcept override {
        const Classifier<F>* ready = ready_.load(std::memory_order_acquire);
        return ready == nullptr ? first_->engine() : ready->engine();
    }

    /// What is executed; outlives the relay if need be.
    [[nodiscard]] const std::shared_ptr<const Program>& source() const noexcept { return source_; }

  private:
    std::shared_ptr<const Program> source_;
    std::shared_ptr<const Classifier<F>> first_;
    std::shared_ptr<const Classifier<F>> successor_;
    std::atomic<const Classifier<F>*> ready_{nullptr};
    unsigned from_;
};

}  // namespace vr::acl
