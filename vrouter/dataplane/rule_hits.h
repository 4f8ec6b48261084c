// RuleHits: how often the rules of one classifier matched, a row of counters for each worker.
//
// What is counted is judgements: the first packet of a new flow, or each packet that meets untracked
// policy of a host endpoint; the other packets of a flow meet no classifier.  A worker adds to its own
// row alone; the control thread sums up.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "vrouter/dataplane/counter.h"

namespace vr::acl {

class RuleHits {
  public:
    /// For programs of `rules` rules.  Without workers nothing is counted.
    RuleHits(std::size_t rules, unsigned workers)
        : workers_(workers), stride_(rules + 1 + kLine), counters_(stride_ * workers) {}

    /// The counters of one worker by rule, and behind them that of packets that fell off the end; null
    /// when nothing is counted.
    [[nodiscard]] Counter* row(unsigned worker) noexcept {
        return worker < workers_ ? counters_.data() + stride_ * worker : nullptr;
    }

    /// All workers' count of rule number `rule`; of the number of rules: what fell off the end.
    [[nodiscard]] std::uint64_t sum(std::size_t rule) const noexcept {
        std::uint64_t total = 0;
        for (unsigned worker = 0; worker < workers_; ++worker) {
            total += counters_[stride_ * worker + rule].get();
        }
        return total;
    }

  private:
    /// Counters of a cache line: so far apart no worker writes to another's.
    static constexpr std::size_t kLine = 64 / sizeof(Counter);

    unsigned workers_;
    std::size_t stride_;
    std::vector<Counter> counters_;
};

}  // namespace vr::acl
