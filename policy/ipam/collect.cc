// SPDX-License-Identifier: Apache-2.0
#include "policy/ipam/collect.h"

#include <algorithm>
#include <array>
#include <utility>

namespace vr::policy::ipam {

namespace {

/// Commits between two looks.
constexpr unsigned kBatch = 32;

/// Addresses that are released by one commit: etcd takes 128 writes at once, as a rule.
constexpr std::size_t kAtOnce = 100;

}  // namespace

std::string_view to_string(Mended mended) {
    constexpr std::array<std::string_view, 4> kNames{"would", "done", "changed", "left"};
    return kNames[static_cast<std::size_t>(mended)];
}

Result<Survey> survey(Records& records) {
    auto listed = records.list(Survey::ranges(), Detail::Full);
    if (!listed) {
        return std::unexpected(std::move(listed).error());
    }
    auto config = records.get(ConfigId{});
    if (!config) {
        return std::unexpected(std::move(config).error());
    }
    if (*config) {
        listed->push_back(**std::move(config));
    }
    return Survey(*std::move(listed));
}

Collector::Name Collector::name_of(const Finding& finding) {
    return {finding.trouble, finding.subject, finding.detail};
}

Collector::State Collector::state_of(const Finding& finding) {
    State state;
    if (finding.leak) {
        state.emplace(BlockId{finding.leak->block}, finding.leak->revision);
    }
    for (const RecordWrite& write : finding.mend) {
        state.emplace(write.id, write.expected_revision);
    }
    return state;
}

Result<bool> Collector::step(Records& records, const std::function<bool()>& pause) {
    if (before_ && paused_ < collection_.pauses) {
        ++paused_;
        return pause() ? Result<bool>(true) : fail("the router is stopping");
    }
    auto seen = survey(records);
    if (!seen) {
        return std::unexpected(std::move(seen).error());
    }
    if (collection_.act && !before_) {
        see(*seen);
        return true;
    }
    auto more = batch(records, *seen);
    while (!collection_.act && more && *more) {
        more = batch(records, *seen);
    }
    return more;
}

void Collector::see(const Survey& survey) {
    before_.emplace();
    for (const Finding& finding : survey.findings(now_, collection_.grace)) {
        before_->emplace(name_of(finding), state_of(finding));
    }
}

/// True for what was wrong at the first look and nobody but this Collector has written since, and for
/// what its writes have brought to light: that is no leak, whose address had a user then.
bool Collector::is_as_before(const Finding& finding) const {
    const auto is_own = [&](const auto& item) {
        const auto own = own_.find(item.first);
        return own != own_.end() && own->second == item.second;
    };
    const State state = state_of(finding);
    const auto seen = before_->find(name_of(finding));
    if (seen == before_->end()) {
        return !finding.leak && std::ranges::any_of(state, is_own);
    }
    return std::ranges::all_of(state, [&](const auto& item) {
        const auto was = seen->second.find(item.first);
        return is_own(item) || (was != seen->second.end() && was->second == item.second);
    });
}

void Collector::settle(const Finding& finding, Mended mended) {
    settled_.insert(name_of(finding));
    all_.push_back({finding, mended});
}

/// Those that are to be mended.
Collector::Findings Collector::open_findings(const Survey& survey) {
    Findings open;
    for (Finding& finding : survey.findings(now_, collection_.grace)) {
        if (settled_.contains(name_of(finding))) {
            continue;
        }
        if (!finding.leak && finding.mend.empty()) {
            settle(finding, Mended::Left);
        } else if (before_ && !is_as_before(finding)) {
            // What came up since the second look is no business of this run.
            if (!began_ || before_->contains(name_of(finding))) {
                settle(finding, Mended::Changed);
            }
        } else {
            open.push_back(std::move(finding));
        }
    }
    return open;
}

/// Mends what can be mended side by side; true if it tried.
Result<bool> Collector::batch(Records& records, Survey& survey) {
    std::map<IpPrefix, Findings> leaks;
    Findings others;
    for (Finding& finding : open_findings(survey)) {
        if (!finding.leak) {
            others.push_back(std::move(finding));
        } else if (Findings& all = leaks[finding.leak->block]; all.size() < kAtOnce) {
            all.push_back(std::move(finding));
        }
    }
    began_ = true;
    unsigned commits = 0;
    written_.clear();
    const auto attempt = [&](const std::vector<RecordWrite>& writes, Findings of) -> Result<void> {
        if (collection_.act && commits == kBatch) {
            return {};
        }
        const auto tried = mend(records, survey, writes, std::move(of));
        if (!tried) {
            return std::unexpected(tried.error());
        }
        commits += *tried ? 1U : 0U;
        return {};
    };
    for (auto& [block, all] : leaks) {
        std::vector<IpAddr> addresses;
        for (const Finding& finding : all) {
            addresses.push_back(finding.leak->address);
        }
        if (auto done = attempt(survey.without(block, addresses), std::move(all)); !done) {
            return std::unexpected(std::move(done).error());
        }
    }
    for (const Finding& finding : others) {
        if (auto done = attempt(finding.mend, {finding}); !done) {
            return std::unexpected(std::move(done).error());
        }
    }
    return commits > 0;
}

/// False when a record was written in this batch already: the next one has it as it is then.
Result<bool> Collector::mend(
    Records& records, Survey& survey, const std::vector<RecordWrite>& writes, Findings of) {
    const auto is_written = [&](const RecordWrite& write) { return written_.contains(write.id); };
    if (std::ranges::any_of(writes, is_written)) {
        return false;
    }
    Result<std::optional<std::int64_t>> committed = 0;
    if (collection_.act) {
        committed = records.commit(writes);
        if (!committed) {
            return std::unexpected(std::move(committed).error());
        }
    } else {
        survey.apply(writes, 0);
    }
    const Mended mended = !collection_.act ? Mended::Would
                          : *committed     ? Mended::Done
                                           : Mended::Changed;
    for (const Finding& finding : of) {
        settle(finding, mended);
    }
    for (const RecordWrite& write : writes) {
        written_.insert(write.id);
        if (*committed) {
            own_[write.id] = write.value ? **committed : 0;
        }
    }
    return true;
}

}  // namespace vr::policy::ipam
