// Mending what a survey finds.  Pure but for the Records that it asks.
//
// A Collector works in steps, so that its thread can do other things in between.  It looks twice, since
// others write a handle before its block, or a claim before its confirmation: only what is wrong both
// times, with the records unchanged, is mended.  Before each batch of mends it looks again: an endpoint
// that has come meanwhile keeps its address.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <utility>
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
    unsigned pauses = 3;  ///< between the looks
};

class Collector {
  public:
    Collector(const Collection& collection, Time now) : collection_(collection), now_(now) {}

    /// The next piece of work: a look, a pause or a batch; false when all is done.  `pause` waits a
    /// second; false: there is no time left.
    [[nodiscard]] Result<bool> step(Records& records, const std::function<bool()>& pause);

    /// What was found, and mended; then what showed up because of that: a block that is empty now.
    [[nodiscard]] std::vector<Collected> take() { return std::move(all_); }

  private:
    /// What makes a finding the same one in two surveys.
    using Name = std::tuple<Trouble, std::string, std::string>;
    /// Which records a finding is about, and their revisions.
    using State = std::map<RecordId, std::int64_t>;
    using Findings = std::vector<Finding>;

    [[nodiscard]] static Name name_of(const Finding& finding);
    [[nodiscard]] static State state_of(const Finding& finding);
    void see(const Survey& survey);
    [[nodiscard]] bool is_as_before(const Finding& finding) const;
    void settle(const Finding& finding, Mended mended);
    [[nodiscard]] Findings open_findings(const Survey& survey);
    [[nodiscard]] Result<bool> batch(Records& records, Survey& survey);
    [[nodiscard]] Result<bool> mend(
        Records& records, Survey& survey, const std::vector<RecordWrite>& writes, Findings of);

    Collection collection_;
    Time now_;
    unsigned paused_ = 0;
    bool began_ = false;  ///< a batch has been
    std::optional<std::map<Name, State>> before_;
    State own_;                   ///< what was written here
    std::set<RecordId> written_;  ///< in this batch
    std::set<Name> settled_;
    std::vector<Collected> all_;
};

}  // namespace vr::policy::ipam
