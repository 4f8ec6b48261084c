// SPDX-License-Identifier: Apache-2.0
#include "policy/ipam/collect.h"

#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <tuple>
#include <utility>

namespace vr::policy::ipam {

namespace {

/// What makes a finding the same one in two surveys.
using Name = std::tuple<Trouble, std::string, std::string>;

Name name_of(const Finding& finding) {
    return {finding.trouble, finding.subject, finding.detail};
}

/// Findings, and in which state of which records.
using Seen = std::map<Name, std::vector<std::int64_t>>;

std::vector<std::int64_t> state_of(const Finding& finding) {
    std::vector<std::int64_t> revisions;
    for (const RecordWrite& write : finding.mend) {
        revisions.push_back(write.expected_revision);
    }
    return revisions;
}

Seen seen_in(const std::vector<Finding>& findings) {
    Seen seen;
    for (const Finding& finding : findings) {
        seen[name_of(finding)] = state_of(finding);
    }
    return seen;
}

class Collector {
  public:
    Collector(Records& records, const Collection& collection, Survey survey)
        : records_(records), collection_(collection), survey_(std::move(survey)) {}

    /// Leaves alone what is new or different since `before`; null: there was no look before.
    Result<std::vector<Collected>> run(Time now, const Seen* before) {
        for (const Finding& finding : survey_.findings(now, collection_.grace)) {
            if (before != nullptr && !finding.mend.empty()) {
                const auto seen = before->find(name_of(finding));
                if (seen == before->end() || seen->second != state_of(finding)) {
                    settle(finding, Mended::Changed);
                }
            }
        }
        for (bool progressed = true; progressed;) {
            auto went = round(survey_.findings(now, collection_.grace));
            if (!went) {
                return std::unexpected(std::move(went).error());
            }
            progressed = *went;
        }
        return std::move(all_);
    }

  private:
    void settle(const Finding& finding, Mended mended) {
        settled_.insert(name_of(finding));
        all_.push_back({finding, mended});
    }

    /// Mends what can be mended side by side; true if something was.
    Result<bool> round(const std::vector<Finding>& findings) {
        std::set<RecordId> written;
        for (const Finding& finding : findings) {
            const auto touches = [&](const RecordWrite& write) {
                return written.contains(write.id);
            };
            if (settled_.contains(name_of(finding)) || std::ranges::any_of(finding.mend, touches)) {
                continue;  // the latter: in the next round, from the records as they are then
            }
            if (finding.mend.empty()) {
                settle(finding, Mended::Left);
                continue;
            }
            const auto mended = mend(finding);
            if (!mended) {
                return std::unexpected(mended.error());
            }
            settle(finding, *mended);
            for (const RecordWrite& write : finding.mend) {
                written.insert(write.id);
            }
        }
        return !written.empty();
    }

    Result<Mended> mend(const Finding& finding) {
        if (!collection_.act) {
            survey_.apply(finding.mend, 0);
            return Mended::Would;
        }
        const auto committed = records_.commit(finding.mend);
        if (!committed) {
            return std::unexpected(committed.error());
        }
        if (!*committed) {
            return Mended::Changed;
        }
        survey_.apply(finding.mend, **committed);
        return Mended::Done;
    }

    Records& records_;
    const Collection& collection_;
    Survey survey_;
    std::set<Name> settled_;
    std::vector<Collected> all_;
};

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
    return Survey(*std::move(listed));
}

Result<std::vector<Collected>> collect(Records& records, const Collection& collection, Time now) {
    auto first = survey(records);
    if (!first) {
        return std::unexpected(std::move(first).error());
    }
    if (!collection.act) {
        return Collector(records, collection, *std::move(first)).run(now, nullptr);
    }
    const Seen before = seen_in(first->findings(now, collection.grace));
    if (collection.pause && !collection.pause()) {
        return fail("the router is stopping");
    }
    auto second = survey(records);
    if (!second) {
        return std::unexpected(std::move(second).error());
    }
    return Collector(records, collection, *std::move(second)).run(now, &before);
}

}  // namespace vr::policy::ipam
