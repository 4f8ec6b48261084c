// SPDX-License-Identifier: Apache-2.0
#include "vrouter/dataplane/rcu.h"

#include <rte_rcu_qsbr.h>

#include <cstdlib>
#include <new>

namespace vr {

void Rcu::Free::operator()(rte_rcu_qsbr* qsbr) const noexcept {
    std::free(qsbr);
}

Rcu::Rcu(unsigned workers) {
    const std::size_t size = rte_rcu_qsbr_get_memsize(workers);
    const std::size_t rounded =
        (size + RTE_CACHE_LINE_SIZE - 1) & ~std::size_t{RTE_CACHE_LINE_SIZE - 1};
    qsbr_.reset(static_cast<rte_rcu_qsbr*>(std::aligned_alloc(RTE_CACHE_LINE_SIZE, rounded)));
    if (!qsbr_) {
        throw std::bad_alloc();
    }
    rte_rcu_qsbr_init(qsbr_.get(), workers);
    for (unsigned i = 0; i < workers; ++i) {
        rte_rcu_qsbr_thread_register(qsbr_.get(), i);
    }
}

Rcu::~Rcu() {
    drain();
}

void Rcu::drain() {
    // What is freed may retire more.
    while (!retired_.empty()) {
        const Retired due = std::move(retired_.front());
        retired_.pop_front();
        due.free();
    }
}

void Rcu::online(unsigned index) noexcept {
    rte_rcu_qsbr_thread_online(qsbr_.get(), index);
}

void Rcu::quiescent(unsigned index) noexcept {
    rte_rcu_qsbr_quiescent(qsbr_.get(), index);
}

void Rcu::offline(unsigned index) noexcept {
    rte_rcu_qsbr_thread_offline(qsbr_.get(), index);
}

void Rcu::retire(std::function<void()> free) {
    retired_.push_back({rte_rcu_qsbr_start(qsbr_.get()), std::move(free)});
}

std::size_t Rcu::reclaim(std::chrono::nanoseconds slice) {
    const auto end = std::chrono::steady_clock::now() + slice;
    const auto is_due = [&] {
        return !retired_.empty() &&
               rte_rcu_qsbr_check(qsbr_.get(), retired_.front().token, false) == 1;
    };
    while (is_due()) {
        {
            const Retired due = std::move(retired_.front());
            retired_.pop_front();
            due.free();
        }
        if (std::chrono::steady_clock::now() >= end) {
            break;
        }
    }
    behind_ = is_due();
    return retired_.size();
}

void Rcu::wait() noexcept {
    rte_rcu_qsbr_synchronize(qsbr_.get(), RTE_QSBR_THRID_INVALID);
}

}  // namespace vr
