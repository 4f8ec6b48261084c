// PolicyLogWriter: the records of Log rules in words, as many as FelixConfiguration lets through.  POLICY 2.5
// step 6 and 2.7.
//
// A worker notes one record of a packet, however many Log rules it met: the others are found here, by asking
// policy once more.  Pure: told the time and what judges at a port.  Control thread.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "vrouter/dataplane/classifier.h"
#include "vrouter/dataplane/groups.h"
#include "vrouter/dataplane/policy_log.h"
#include "vrouter/policy_log_terms.h"

namespace vr {

class PolicyLogWriter {
  public:
    using Time = std::chrono::steady_clock::time_point;

    /// What judges packets at a port, with the name of the endpoint; never null.
    template <Family F>
    using Judges = std::vector<std::pair<std::string, const acl::Classifier<F>*>>;

    void set_terms(PolicyLogTerms terms);

    /// A line for each Log rule that the packet of `record` met on its way, in their order; at most
    /// kMostLines, and as many as the rate allows.  Of a policy that has changed since, one that says so.
    template <Family F>
    [[nodiscard]] std::vector<std::string> lines(
        const PolicyLogRecord& record,
        const Judges<F>& judges,
        const GroupTable<F>& groups,
        Time now);

    /// Says now and then that lines are missing; `lost` records, counted since the start, found no room.
    [[nodiscard]] std::optional<std::string> complaint(std::uint64_t lost, Time now);

    /// Of one packet.
    static constexpr std::size_t kMostLines = 16;

  private:
    [[nodiscard]] bool may_write(Time now);

    PolicyLogTerms terms_;
    double allowance_ = 0;  ///< lines that may be written now; only with a rate
    Time filled_;
    std::uint64_t left_out_ = 0;
    std::uint64_t told_ = 0;  ///< of those and the lost
    Time told_at_;
};

/// The prefix of a rule's lines: `format` with %t, %k, %n and %p replaced by what the rule's tier, kind, name
/// and namespace/name are.
[[nodiscard]] std::string log_prefix(const std::string& format, const acl::Origin& origin);

}  // namespace vr
