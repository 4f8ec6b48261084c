// Mending what a survey finds.  Pure but for the Records that it asks.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <functional>
#include <vector>

#include "policy/ipam/record.h"
#include "policy/ipam/survey.h"

namespace vr::policy::ipam {

[[nodiscard]] Result<Survey> survey(Records& records);

enum class Mended : std::uint8_t {
    Would,  ///< in a dry run
    Done,
    Changed,  ///< somebody else was faster: it may be right now
    Left,     ///< a person must decide
};

[[nodiscard]] std::string_view to_string(Mended mended);

struct Collected {
    Finding finding;
    Mended mended = Mended::Left;
};

struct Collection {
    bool act = false;  ///< else a dry run, which tells what would be done
    std::chrono::seconds grace = kGrace;
    /// Waits a moment; false: there is no time left.  Others write a handle before its block, or a claim
    /// before its confirmation: only what is wrong before and after is mended.
    std::function<bool()> pause{};
};

/// Mends what can be mended, and then what shows up because of that: a block that is empty now.
[[nodiscard]] Result<std::vector<Collected>> collect(
    Records& records, const Collection& collection, Time now);

}  // namespace vr::policy::ipam
