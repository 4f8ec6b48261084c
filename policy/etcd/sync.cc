// SPDX-License-Identifier: Apache-2.0
#include "policy/etcd/sync.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "policy/json_document.h"

namespace vr::policy::etcd {

namespace {

/// A watch that is cancelled so often at one revision is given up: everything is listed again.
constexpr unsigned kMaxCancellations = 5;

/// What a ClusterInformation says; an unreadable one says nothing good.
bool says_ready(std::string_view value) {
    const auto root = parse_json("ClusterInformation", value);
    const Node* spec = root ? root->find("spec") : nullptr;
    const Node* ready = spec != nullptr ? spec->find("datastoreReady") : nullptr;
    return ready != nullptr && ready->text == "true" && !ready->quoted;
}

}  // namespace

Sync::Sync(std::string begin, std::string end, std::string ready_key)
    : begin_(std::move(begin)), end_(std::move(end)), ready_key_(std::move(ready_key)) {}

bool Sync::is_in_range(const std::string& key) const {
    return key >= begin_ && key < end_;
}

void Sync::restore(Stored stored) {
    good_ = stored.position;
    for (KeyValue& item : stored.items) {
        stored_.insert_or_assign(
            std::move(item.key), Held{std::move(item.value), item.mod_revision, 0});
    }
}

Step Sync::connected() {
    phase_ = Phase::Checking;
    return {RangeRequest{ready_key_, {}, 0, 1}, {}, false};
}

Step Sync::on_range(RangeReply reply) {
    if (phase_ == Phase::Checking) {
        return on_check(reply);
    }
    if (phase_ == Phase::Listing) {
        return on_page(std::move(reply));
    }
    return {};
}

/// Decides whether the watch can go on where it ended.
Step Sync::on_check(const RangeReply& reply) {
    const bool there = !reply.items.empty() && reply.items.front().key == ready_key_;
    const std::int64_t created = there ? reply.items.front().create_revision : 0;
    // A store that was emptied and filled again may have come far: then its ClusterInformation is
    // another one.  Without one there is no telling, and everything is listed.
    const bool continues = !must_list_ && live_.cluster == reply.header.cluster &&
                           live_.revision > 0 && live_.revision <= reply.header.revision &&
                           created != 0 && created == ready_created_;
    if (continues) {
        phase_ = Phase::Watching;
        return {watch(), {}, false};  // what is held, go_on() tells
    }
    const bool foreign = good_.cluster != 0 && (good_.cluster != reply.header.cluster ||
                                                good_.revision > reply.header.revision);
    foreign_ = foreign;
    if (good_.cluster == 0 &&
        (live_.cluster != reply.header.cluster || live_.revision > reply.header.revision)) {
        // Of what a first listing began to tell, nothing is as it is here.
        for (auto& [key, revision] : known_) {
            revision = 0;
        }
    }
    live_ = reply.header;
    take_ready(there ? std::optional(reply.items.front().value) : std::nullopt, created);
    Step step = list();
    if (!in_sync_ && !frozen().empty()) {
        auto waited = give_up_waiting();
        step.changes = std::move(waited.changes);
        step.in_sync = waited.in_sync;
    }
    return step;
}

Step Sync::list() {
    phase_ = Phase::Listing;
    must_list_ = true;  // until it is done
    list_revision_ = live_.revision;
    list_from_ = begin_;
    held_.clear();
    return {RangeRequest{list_from_, end_, list_revision_, page_size_}, {}, false};
}

Step Sync::on_page(RangeReply reply) {
    if (reply.header.cluster != live_.cluster) {
        return {Reconnect{"endpoints belong to different clusters"}, {}, false};
    }
    std::string next = list_from_;
    for (KeyValue& item : reply.items) {
        if (item.key < next || !is_in_range(item.key)) {
            return {Reconnect{"a listing is out of order"}, {}, false};
        }
        miss(next, item.key);
        next = item.key + '\0';
        take(std::move(item));
    }
    Step step;
    if (reply.more && !reply.items.empty()) {
        list_from_ = std::move(next);
        step.ask = RangeRequest{list_from_, end_, list_revision_, page_size_};
        if (!in_sync_ && good_.cluster == 0) {
            // Nothing is published before in-sync: pages are worked off as they come.  Beside a restored
            // state they wait: should etcd fail now, that state counts, and as a whole.
            tell_page(step);
        }
        return step;
    }
    miss(next, end_);
    must_list_ = false;
    page_size_ = kPageSize;
    live_.revision = list_revision_;
    phase_ = Phase::Watching;
    step.ask = watch();
    release(step);
    return step;
}

/// A listing has nothing from `from` on and before `end`.
void Sync::miss(const std::string& from, const std::string& end) {
    for (auto at = known_.lower_bound(from); at != known_.end() && at->first < end; ++at) {
        take_gone(at->first, list_revision_);
    }
    for (auto at = telling_.lower_bound(from); at != telling_.end() && at->first < end; ++at) {
        take_gone(at->first, list_revision_);
    }
}

Step Sync::on_refused(const Refusal& refusal) {
    if (phase_ == Phase::Listing && refusal.code == Refusal::kOutOfRange) {
        return connected();  // compacted under our hands: a newer picture
    }
    phase_ = Phase::Idle;
    return {Reconnect{refusal.text}, {}, false};
}

Step Sync::on_too_large() {
    if (phase_ != Phase::Listing || page_size_ == 1) {
        return {Reconnect{"an answer is too large"}, {}, false};
    }
    page_size_ = std::max<std::int64_t>(page_size_ / 4, 1);
    return {RangeRequest{list_from_, end_, list_revision_, page_size_}, {}, false};
}

WatchRequest Sync::watch() {
    // From a revision that we know already: a compaction at the next one takes its deletes with it, and an
    // older etcd does not cancel a watch that begins right there (its issue 18089).
    return {begin_, end_, live_.revision};
}

Step Sync::on_watch(WatchReply reply) {
    if (phase_ != Phase::Watching) {
        return {};
    }
    if (reply.canceled) {
        // Compacted: what happened in between is lost.
        must_list_ = reply.compact_revision != 0 || ++cancellations_ >= kMaxCancellations;
        if (reply.compact_revision != 0) {
            return connected();
        }
        phase_ = Phase::Idle;
        return {Reconnect{"the watch was cancelled: " + reply.cancel_reason}, {}, false};
    }
    if (reply.header.cluster != live_.cluster) {
        must_list_ = true;
        return {Reconnect{"endpoints belong to different clusters"}, {}, false};
    }
    if (reply.created) {
        if (reply.header.revision < live_.revision) {
            must_list_ = true;
            return {Reconnect{"etcd went back in time"}, {}, false};
        }
        return {};
    }
    Step step;
    if (reply.events.empty()) {
        // A progress notice: nothing was left out up to here.
        live_.revision = std::max(live_.revision, reply.header.revision);
    }
    cancellations_ = 0;
    for (WatchEvent& event : reply.events) {
        take_event(std::move(event));
    }
    release(step);
    return step;
}

void Sync::take_event(WatchEvent event) {
    KeyValue& item = event.item;
    live_.revision = std::max(live_.revision, item.mod_revision);
    if (!is_in_range(item.key)) {
        return;
    }
    if (item.key == ready_key_) {
        if (event.deleted) {
            take_ready(std::nullopt, 0);
        } else {
            take_ready(item.value, item.create_revision);
        }
    }
    if (event.deleted) {
        take_gone(item.key, item.mod_revision);
    } else {
        take(std::move(item));
    }
}

void Sync::take_ready(const std::optional<std::string>& value, std::int64_t create_revision) {
    ready_ = !value ? Ready::Absent : says_ready(*value) ? Ready::Yes : Ready::No;
    ready_created_ = create_revision;
}

/// Whether what was told, is being told or is held of this key is as new as that.
bool Sync::is_known(const std::string& key, std::int64_t revision) const {
    if (const auto held = held_.find(key); held != held_.end()) {
        return held->second.revision >= revision;
    }
    if (foreign_) {
        return false;
    }
    if (const auto telling = telling_.find(key); telling != telling_.end()) {
        return telling->second.revision >= revision;
    }
    const auto known = known_.find(key);
    return known != known_.end() && known->second >= revision;
}

void Sync::take(KeyValue item) {
    if (!is_known(item.key, item.mod_revision)) {
        held_[std::move(item.key)] = {
            std::move(item.value), item.mod_revision, item.create_revision};
    }
}

void Sync::take_gone(const std::string& key, std::int64_t revision) {
    if (is_known(key, revision)) {
        return;
    }
    const auto telling = telling_.find(key);
    const bool is_there =
        telling != telling_.end() ? telling->second.value.has_value() : known_.contains(key);
    if (is_there) {
        held_[key] = {std::nullopt, revision, 0};
    } else {
        held_.erase(key);
    }
}

std::string Sync::frozen() const {
    if (ready_ == Ready::No) {
        return "ClusterInformation does not say datastoreReady: true";
    }
    if (foreign_ && ready_ != Ready::Yes) {
        return live_.cluster == good_.cluster ? "etcd is older than the state in force"
                                              : "etcd is another one than before";
    }
    if (good_.was_ready && ready_ == Ready::Absent && phase_ != Phase::Idle) {
        return "ClusterInformation is gone";
    }
    return {};
}

/// Whether what was made at `created` is not what we know by the same name at revision `known`, and have
/// seen last at that of the picture before.  Of another store, or an older state of it, nothing is the same.
bool Sync::is_another(std::int64_t created, std::int64_t known) const {
    return before_.foreign || created > std::max(known, before_.revision);
}

/// What the restored state says of an object of the first picture, unless that is the same.
std::optional<std::string> Sync::earlier(const std::string& key, const Held& held) {
    const auto stored = before_.in_sync ? Picture::node_type() : spent_.extract(key);
    const bool is_earlier = stored && held.value && held.revision != stored.mapped().revision &&
                            !is_another(held.created, stored.mapped().revision);
    return is_earlier ? std::move(stored.mapped().value) : std::nullopt;
}

void Sync::tell_page(Step& step) {
    if (!frozen().empty()) {
        return;
    }
    for (auto at = held_.begin(); at != held_.end();) {
        const auto next = at++;
        if (next->second.value) {  // nothing is deleted before in-sync
            auto node = held_.extract(next);
            hand_out(step, std::move(node.key()), std::move(node.mapped()));
        }
    }
}

void Sync::release(Step& step) {
    if (is_whole() && frozen().empty()) {
        telling_.swap(held_);
        if (!stored_.empty()) {
            spent_ = std::exchange(stored_, {});
        }
        before_ = {foreign_, good_.revision, std::exchange(in_sync_, true)};
        believe();
        if (telling_.empty()) {
            step.in_sync = !std::exchange(before_.in_sync, true);
        }
    }
    tell(step);
}

/// What we are connected to is what we know, or are about to tell.
void Sync::believe() {
    good_ = {live_.cluster, live_.revision, ready_ == Ready::Yes};
    foreign_ = false;
}

/// The next part.
void Sync::tell(Step& step) {
    for (; !telling_.empty() && step.changes.size() < kPart;) {
        auto next = telling_.extract(telling_.begin());
        hand_out(step, std::move(next.key()), std::move(next.mapped()));
        if (telling_.empty()) {
            step.in_sync = !std::exchange(before_.in_sync, true);
            if (phase_ == Phase::Watching && held_.empty() && frozen().empty()) {
                believe();  // what was heard meanwhile changes nothing
            }
        }
    }
    // Nothing of it is needed once all is told; so large a map does not go in one turn.
    for (std::size_t i = 0; is_whole() && i < kPart && !spent_.empty(); ++i) {
        spent_.erase(spent_.begin());
    }
}

void Sync::hand_out(Step& step, std::string key, Held held) {
    auto before = earlier(key, held);
    const auto known = known_.find(key);
    const bool anew =
        held.value && known != known_.end() && is_another(held.created, known->second);
    if (!held.value) {
        known_.erase(key);
    } else if (known != known_.end()) {
        known->second = held.revision;
    } else {
        known_.emplace(key, held.revision);
    }
    step.changes.push_back(
        {std::move(key), std::move(held.value), held.revision, anew, std::move(before)});
}

bool Sync::has_to_tell() const {
    // What a listing has held is not whole before its end; what a freeze held, or came while another picture was told,
    // is as long as it is watched.
    const bool another = phase_ == Phase::Watching && !held_.empty() && frozen().empty();
    return !is_whole() || another;
}

Step Sync::go_on() {
    Step step;
    if (is_whole() && phase_ == Phase::Watching && !held_.empty()) {
        release(step);
    } else {
        tell(step);
    }
    return step;
}

Step Sync::give_up_waiting() {
    Step step;
    if (in_sync_ || good_.cluster == 0) {
        return step;
    }
    before_ = {false, good_.revision, std::exchange(in_sync_, true)};
    telling_ = std::exchange(stored_, {});
    if (phase_ == Phase::Listing) {
        // The pages that were read hold all that is there: of the rest nobody will tell.
        for (auto at = telling_.begin(); at != telling_.lower_bound(list_from_); ++at) {
            if (!held_.contains(at->first)) {
                take_gone(at->first, list_revision_);
            }
        }
    }
    if (telling_.empty()) {
        step.in_sync = !std::exchange(before_.in_sync, true);
    }
    tell(step);
    return step;
}

Step Sync::written(const std::vector<Write>& writes, const Header& header) {
    Step step;
    // What is not watched, or of another etcd, is told by the next listing.
    if (phase_ != Phase::Watching || header.cluster != live_.cluster) {
        return step;
    }
    const std::int64_t position = live_.revision;
    for (const Write& write : writes) {
        take_event({!write.value, {write.key, write.value.value_or(""), header.revision, 0}});
    }
    // Others may have written in between: the watch still has to tell that.
    live_.revision = position;
    release(step);
    return step;
}

std::int64_t Sync::revision_of(const std::string& key) const {
    for (const Picture* picture : {&held_, &telling_}) {
        if (const auto at = picture->find(key); at != picture->end()) {
            return at->second.value ? at->second.revision : 0;
        }
    }
    const auto known = known_.find(key);
    return known == known_.end() ? 0 : known->second;
}

}  // namespace vr::policy::etcd
