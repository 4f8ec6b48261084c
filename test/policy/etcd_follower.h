// What the tests of the sync core have in common: an etcd made of a map, and who follows it.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "policy/etcd/sync.h"

namespace vr::policy::etcd {

inline const std::string kPrefix = "/c/";
inline const std::string kReady = "/c/clusterinformations/default";
inline const std::string kIsReady = R"({"spec":{"datastoreReady":true}})";
inline const std::string kNotReady = R"({"spec":{"datastoreReady":false}})";

/// An etcd with its history.
class Etcd {
  public:
    explicit Etcd(std::uint64_t cluster = 1) : cluster_(cluster) {}

    void put(const std::string& key, const std::string& value) {
        const bool there = items_.contains(key);
        KeyValue& item = items_[key];
        item = {key, value, ++revision_, there ? item.create_revision : revision_};
        history_[revision_].push_back({false, item});
    }

    void remove(const std::string& key) { remove_all(key, key + '\0'); }

    /// In one revision.
    void remove_all(const std::string& from, const std::string& end) {
        ++revision_;
        const auto first = items_.lower_bound(from);
        const auto last = items_.lower_bound(end);
        for (auto at = first; at != last; ++at) {
            history_[revision_].push_back({true, {at->first, {}, revision_, 0}});
        }
        items_.erase(first, last);
    }

    /// As etcd 3.4.23: deletes up to here are forgotten, a watch from right here is not cancelled.
    void compact() {
        compacted_ = revision_;
        for (auto at = history_.begin(); at != history_.upper_bound(compacted_); ++at) {
            std::erase_if(at->second, &WatchEvent::deleted);
        }
        std::erase_if(history_, [](const auto& entry) { return entry.second.empty(); });
    }

    /// A watch from before that is cancelled.
    [[nodiscard]] std::int64_t compacted() const { return compacted_; }

    [[nodiscard]] Header header() const { return {cluster_, revision_}; }

    [[nodiscard]] RangeReply range(const RangeRequest& request) const {
        RangeReply reply{header(), {}, false};
        const std::string end = request.end.empty() ? request.key + '\0' : request.end;
        for (auto at = items_.lower_bound(request.key); at != items_.end() && at->first < end;
             ++at) {
            if (request.limit != 0 && std::ssize(reply.items) == request.limit) {
                reply.more = true;
                break;
            }
            reply.items.push_back(at->second);
        }
        return reply;
    }

    /// The next thing that a watch from `revision` on tells; nothing when there is nothing.
    [[nodiscard]] std::optional<WatchReply> watch(std::int64_t& revision) const {
        WatchReply reply;
        reply.header = header();
        if (revision < compacted_) {
            reply.canceled = true;
            reply.compact_revision = compacted_;
            return reply;
        }
        const auto next = history_.lower_bound(revision);
        if (next == history_.end()) {
            return std::nullopt;
        }
        reply.events = next->second;
        revision = next->first + 1;
        return reply;
    }

    [[nodiscard]] std::map<std::string, std::string> state() const {
        std::map<std::string, std::string> all;
        for (const auto& [key, item] : items_) {
            all[key] = item.value;
        }
        return all;
    }

  private:
    std::uint64_t cluster_;
    std::int64_t revision_ = 1;
    std::int64_t compacted_ = 0;
    std::map<std::string, KeyValue> items_;
    std::map<std::int64_t, std::vector<WatchEvent>> history_;
};

/// Does what Sync asks for, and keeps what it hands out.
class Follower {
  public:
    Sync sync{kPrefix, prefix_end(kPrefix), kReady};
    std::map<std::string, std::string> state;
    std::map<std::string, std::string> earlier;  ///< what a restored state said of it
    std::set<std::string> anew;                  ///< keys whose objects were once exchanged
    std::size_t changes = 0;
    std::size_t ranges = 0;
    bool in_sync = false;
    std::string reconnect;
    std::function<void(const Step& step)> told;  ///< called with all that is handed out, if set

    void connect(const Etcd& etcd) {
        begin();
        run(etcd);
    }

    /// A connection is there; what was asked on another one is never answered.
    void begin() {
        watching_ = 0;
        take(sync.connected());
    }

    /// Until nothing is left to be asked or told.
    void run(const Etcd& etcd) {
        while (step(etcd)) {
        }
    }

    /// The next part of what is told, or else one question or one notice.
    bool step(const Etcd& etcd) { return part() || message(etcd); }

    bool part() {
        const bool can = sync.can_go_on();
        if (can) {
            take(sync.go_on());
        }
        return can;
    }

    /// Until nothing that was heard is left to be told.
    void tell() {
        while (part()) {
        }
    }

    bool message(const Etcd& etcd) {
        if (const auto* range = std::get_if<RangeRequest>(&ask_)) {
            ++ranges;
            const RangeRequest request = *range;
            ask_ = {};
            take(sync.on_range(etcd.range(request)));
            return true;
        }
        if (const auto* watch = std::get_if<WatchRequest>(&ask_)) {
            watching_ = watch->start_revision;
            ask_ = {};
            WatchReply created;
            created.header = etcd.header();
            created.created = true;
            take(sync.on_watch(created));
            return true;
        }
        if (const auto* again = std::get_if<Reconnect>(&ask_)) {
            reconnect = again->why;
            ask_ = {};
            take(sync.connected());
            return true;
        }
        if (watching_ == 0) {
            return false;
        }
        auto notice = etcd.watch(watching_);
        if (notice) {
            last_ = *notice;
            take(sync.on_watch(*std::move(notice)));
        }
        return notice.has_value();
    }

    /// Answers what was asked so.
    void refuse(const Refusal& refusal) {
        ask_ = {};
        take(sync.on_refused(refusal));
    }

    [[nodiscard]] const Ask& asked() const { return ask_; }

    void hear_again() { take(sync.on_watch(last_)); }

    void take(Step step) {
        if (!std::holds_alternative<std::monostate>(step.ask)) {
            ask_ = std::move(step.ask);
        }
        changes += step.changes.size();
        if (told) {
            told(step);
        }
        for (auto& change : step.changes) {
            EXPECT_TRUE(!change.anew || (change.value && state.contains(change.key)))
                << "made anew, but not told before";
            if (change.anew) {
                anew.insert(change.key);
            }
            if (change.earlier) {
                EXPECT_FALSE(in_sync) << "not beside the first picture";
                earlier[change.key] = *std::move(change.earlier);
            }
            if (change.value) {
                state[change.key] = *std::move(change.value);
            } else {
                EXPECT_TRUE(in_sync || step.in_sync || !sync.is_whole())
                    << "a delete before in-sync";
                state.erase(change.key);
            }
        }
        in_sync = in_sync || step.in_sync;
    }

  private:
    Ask ask_;
    std::int64_t watching_ = 0;
    WatchReply last_;
};

inline Etcd small() {
    Etcd etcd;
    etcd.put(kReady, kIsReady);
    etcd.put("/c/a", "1");
    etcd.put("/c/b", "2");
    etcd.put("/other", "x");
    return etcd;
}

inline std::map<std::string, std::string> below_prefix(const Etcd& etcd) {
    auto all = etcd.state();
    std::erase_if(all, [](const auto& item) { return !item.first.starts_with(kPrefix); });
    return all;
}

/// What a router that has all of it leaves behind.
inline Stored stored(const Etcd& etcd) {
    Stored state{{etcd.header().cluster, etcd.header().revision, true}, {}};
    for (auto& item : etcd.range({kPrefix, prefix_end(kPrefix), 0, 0}).items) {
        state.items.push_back(std::move(item));
    }
    return state;
}

}  // namespace vr::policy::etcd
