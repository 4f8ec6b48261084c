// Feed: what one host has been told of the cluster, and what it has not yet.  Pure.
//
// Remembers which items are news to the host, never what happened to them: a host that takes nothing
// for an hour is told the present state in one go, and costs no more than the list of its items.
// Parcels carry sequence numbers; those that the host has not acknowledged are remembered by the items
// in them, so that a host which comes back is told again just what it missed.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <vector>

#include "policy/policyd/cluster.h"
#include "policy/policyd/item.h"
#include "policy/policyd/wire.h"
#include "policy/slice.h"

namespace vr::policyd {

/// Changes to send in one frame.
struct Parcel {
    std::uint64_t sequence = 0;
    std::vector<Chunk> chunks;
    bool more = false;  ///< only together with the next parcel they make a whole
};

namespace pb {
class Hello;
class Welcome;
}  // namespace pb

class Feed {
  public:
    /// Of a frame, about: what a host reads in one turn takes it a fraction of a millisecond.
    static constexpr std::size_t kParcelBytes = std::size_t{64} << 10U;

    /// At most one feed for a host.  `cluster` must outlive it.
    Feed(Cluster& cluster, const std::string& host);
    Feed(const Feed&) = delete;
    Feed& operator=(const Feed&) = delete;
    Feed(Feed&&) = delete;
    Feed& operator=(Feed&&) = delete;
    ~Feed();

    /// True when take() has something to tell.  Nothing is told before the cluster is in
    /// sync, nor in the middle of a batch.
    [[nodiscard]] bool has_news() const;
    /// The next parcel, of about `most` bytes or what `slice` allows; at least one change.
    [[nodiscard]] Parcel take(
        std::size_t most = kParcelBytes, const policy::Slice& slice = policy::Slice());

    /// The host has applied everything up to `sequence`.
    void acknowledge(std::uint64_t sequence);
    /// The host comes back, having applied everything up to `sequence`: what was sent after that is
    /// news again.  False when that cannot be told any more: restart() then.
    [[nodiscard]] bool resume(std::uint64_t sequence);
    /// The host knows nothing: everything is news.
    void restart();

    /// Another one after each restart, of all feeds of the cluster: sequence numbers belong to it.
    [[nodiscard]] std::uint64_t beginning() const { return beginning_; }

    /// Called by the cluster when a needed item changed, came or went.
    void touch(const ItemPtr& item);

    /// Items that are news.
    [[nodiscard]] std::size_t pending() const { return news_.size(); }

    [[nodiscard]] std::size_t unacknowledged() const { return sent_.size(); }

    /// Of the last parcel.
    [[nodiscard]] std::uint64_t sequence() const { return sequence_; }

    [[nodiscard]] const Host& host() const { return *host_; }

  private:
    struct Told {
        ItemPtr item;
        Known known;
    };

    struct Sent {
        std::uint64_t sequence = 0;
        std::vector<ItemPtr> items;
        bool in_sync = false;
    };

    [[nodiscard]] Chunk next(const ItemPtr& item);

    Cluster* cluster_;
    Host* host_;
    std::map<std::uint64_t, Told> told_;
    std::map<std::uint64_t, ItemPtr> news_;
    std::deque<Sent> sent_;
    std::uint64_t sequence_ = 0;
    std::uint64_t beginning_ = 0;
    bool told_in_sync_ = false;
};

/// Tells the feeds of all that need it that `item` changed.
void touch_users(const ItemPtr& item);

/// How the server that lives the life `life` answers a host: goes on where it was, or begins anew.  The
/// epoch that hosts remember names the life and the feed's beginning.
[[nodiscard]] pb::Welcome greet(Feed& feed, const pb::Hello& hello, const std::string& life);

}  // namespace vr::policyd
