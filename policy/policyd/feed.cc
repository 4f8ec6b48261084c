// SPDX-License-Identifier: Apache-2.0
#include "policy/policyd/feed.h"

#include <fmt/format.h>

#include <iterator>
#include <utility>

#include <policyd.pb.h>

namespace vr::policyd {

Feed::Feed(Cluster& cluster, const std::string& host)
    : cluster_(&cluster), host_(&cluster.attach(host, *this)) {
    restart();
}

Feed::~Feed() {
    Cluster::detach(*host_);
}

bool Feed::has_news() const {
    return cluster_->is_in_sync() && !cluster_->is_busy() && (!news_.empty() || !told_in_sync_);
}

Parcel Feed::take(std::size_t most, const policy::Slice& slice) {
    Parcel parcel;
    parcel.sequence = ++sequence_;
    Sent& sent = sent_.emplace_back();
    sent.sequence = parcel.sequence;
    std::size_t bytes = 0;
    while (!news_.empty() && (parcel.chunks.empty() || (bytes < most && !slice.is_over()))) {
        const ItemPtr item = news_.begin()->second;
        Chunk chunk = next(item);
        const auto told = told_.find(item->id);
        if (told == told_.end() || told->second.known.version == item->version) {
            news_.erase(news_.begin());
        }
        if (!chunk) {
            continue;
        }
        if (sent.items.empty() || sent.items.back() != item) {
            sent.items.push_back(item);
        }
        bytes += chunk->size();
        parcel.chunks.push_back(std::move(chunk));
    }
    parcel.more = !news_.empty();
    if (!parcel.more && !told_in_sync_) {
        parcel.chunks.push_back(in_sync());
        told_in_sync_ = true;
        sent.in_sync = true;
    }
    return parcel;
}

/// The next of what tells the host of `item`; null: it knows all.
Chunk Feed::next(const ItemPtr& item) {
    if (item->version == 0 || !host_->items.contains(item->id)) {
        return told_.erase(item->id) > 0 ? item->removal : nullptr;
    }
    Told& told = told_.try_emplace(item->id, Told{item, {}}).first->second;
    return cluster_->next(*item, told.known);
}

void Feed::touch(const ItemPtr& item) {
    if (host_->items.contains(item->id) || told_.contains(item->id)) {
        news_.insert_or_assign(item->id, item);
    } else {
        news_.erase(item->id);  // came and went again while the host took nothing
    }
}

void Feed::acknowledge(std::uint64_t sequence) {
    while (!sent_.empty() && sent_.front().sequence <= sequence) {
        sent_.pop_front();
    }
}

bool Feed::resume(std::uint64_t sequence) {
    const std::uint64_t oldest = sent_.empty() ? sequence_ : sent_.front().sequence - 1;
    if (sequence < oldest || sequence > sequence_) {
        return false;
    }
    acknowledge(sequence);
    for (const auto& sent : std::exchange(sent_, {})) {
        for (const auto& item : sent.items) {
            // The host may have it or not, in whatever version.
            told_.insert_or_assign(item->id, Told{item, {}});
            touch(item);
        }
        told_in_sync_ = told_in_sync_ && !sent.in_sync;
    }
    return true;
}

void Feed::restart() {
    told_.clear();
    sent_.clear();
    news_ = host_->items;
    told_in_sync_ = false;
    beginning_ = cluster_->new_beginning();
}

void touch_users(const ItemPtr& item) {
    for (const auto& [host, reasons] : item->users) {
        if (host->feed != nullptr) {
            host->feed->touch(item);
        }
    }
}

pb::Welcome greet(Feed& feed, const pb::Hello& hello, const std::string& life) {
    const auto epoch = [&] { return fmt::format("{}.{}", life, feed.beginning()); };
    const bool resumed = hello.epoch() == epoch() && feed.resume(hello.sequence());
    if (!resumed) {
        feed.restart();
    }
    pb::Welcome welcome;
    welcome.set_protocol(kProtocol);
    welcome.set_epoch(epoch());
    welcome.set_resumed(resumed);
    welcome.set_sequence(feed.sequence());
    return welcome;
}

}  // namespace vr::policyd
