// Sync: keeps up with everything in one range of keys of an etcd.  Pure: it is given answers and returns
// what to ask next and which keys changed.
//
//   connected --> Checking --> Listing --> Watching     Checking reads ClusterInformation and with it
//                     |                       ^         the revision R; Listing pages through all keys
//                     +---- nothing missed ---+         at R; Watching goes on from there.
//
// What it hands out is one consistent picture after the other: the events of one revision stay
// together, and a new listing replaces the old picture as a whole, with deletes for what is gone.  Keys that did
// not change cost nothing.  DATASTORE 3.3.
//
//   heard --> held --whole, and not frozen--> being told, part by part --> known
//
// A picture of many changes takes several steps, and counts when is_whole() again.  Once it is being told nothing stops
// it: not a freeze, nor a lost connection.  What is heard meanwhile is held for the next one.
//
// Nothing is handed out while it is frozen; the last good state stays in force and changes are held:
//   - ClusterInformation says datastoreReady: false;
//   - ClusterInformation was there and is gone: somebody wiped the store;
//   - it is another etcd, or an older state of the same one (cluster id, or a revision below that of
//     the last good state), unless a ClusterInformation there says datastoreReady: true.
// Whoever restores a store says datastoreReady: true last, which ends it.  A store that never had a
// ClusterInformation is taken as it is.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "policy/etcd/messages.h"

namespace vr::policy::etcd {

/// A key that came, changed or went; between two changes it may have gone and come again.
struct Change {
    std::string key;
    std::optional<std::string> value;  ///< absent: gone
    std::int64_t revision = 0;         ///< of the key
    /// What was handed out for this key was another object, which is gone.
    bool anew = false;
    /// Beside the first picture of etcd, if a state was restored and did not count so far: what that says
    /// of this object, should its value be no good now.
    std::optional<std::string> earlier = {};

    friend bool operator==(const Change&, const Change&) = default;
};

/// Where a good state comes from; kept with it on disk.
struct Position {
    std::uint64_t cluster = 0;  ///< 0: none yet
    std::int64_t revision = 0;
    bool was_ready = false;  ///< a ClusterInformation said so

    friend bool operator==(const Position&, const Position&) = default;
};

struct Stored {
    Position position;
    std::vector<KeyValue> items;  ///< mod_revision 0: not as in etcd, to be read again
};

/// Start again with connected(), after a pause.
struct Reconnect {
    std::string why;
};

using Ask = std::variant<std::monostate, RangeRequest, WatchRequest, Reconnect>;

struct Step {
    Ask ask;
    std::vector<Change> changes;
    bool in_sync = false;  ///< true once: everything has been handed out
};

class Sync {
  public:
    /// Of the keys from `begin` on and before `end`; `ready_key`, where ClusterInformation is kept, is
    /// one of them.
    Sync(std::string begin, std::string end, std::string ready_key);

    /// The last good state of an earlier run, before anything else.
    void restore(Stored stored);

    /// There is a connection: what to ask first.
    [[nodiscard]] Step connected();
    [[nodiscard]] Step on_range(RangeReply reply);
    /// The asked range was refused.
    [[nodiscard]] Step on_refused(const Refusal& refusal);
    /// The asked page did not fit into memory limits.
    [[nodiscard]] Step on_too_large();
    [[nodiscard]] Step on_watch(WatchReply reply);

    /// No etcd answers: the restored state is handed out, if there is one and nothing else was.
    [[nodiscard]] Step give_up_waiting();

    /// The next part of the picture that is being told, or of the next one; for another turn.
    [[nodiscard]] Step go_on();

    /// False from the first part of a picture to the last.
    [[nodiscard]] bool is_whole() const { return telling_.empty(); }

    /// Whether go_on() has something to tell; can_go_on(): or to clear away.
    [[nodiscard]] bool has_to_tell() const;

    [[nodiscard]] bool can_go_on() const { return has_to_tell() || !spent_.empty(); }

    /// We wrote this ourselves; hands it out before the watch tells it.
    [[nodiscard]] Step written(const std::vector<Write>& writes, const Header& header);

    /// The mod_revision of a key as etcd has it; 0: it does not exist.
    [[nodiscard]] std::int64_t revision_of(const std::string& key) const;

    /// Why nothing is handed out; empty when it is.
    [[nodiscard]] std::string frozen() const;

    [[nodiscard]] bool is_in_sync() const { return in_sync_ && before_.in_sync; }

    /// True when all that etcd has was listed and is watched.
    [[nodiscard]] bool is_watching() const { return phase_ == Phase::Watching; }

    /// Of what was handed out, or is being.
    [[nodiscard]] const Position& position() const { return good_; }

    static constexpr std::int64_t kPageSize = 500;
    /// About so many changes are a part.
    static constexpr std::size_t kPart = 256;

  private:
    enum class Phase { Idle, Checking, Listing, Watching };
    enum class Ready { Absent, No, Yes };

    struct Held {
        std::optional<std::string> value;
        std::int64_t revision = 0;
        /// Its create_revision; 0: written by us, as a version of what is known.
        std::int64_t created = 0;
    };

    using Picture = std::map<std::string, Held>;

    /// What the picture that is being told replaces.
    struct Before {
        bool foreign = false;  ///< another store, or an older state of it
        std::int64_t revision = 0;
        bool in_sync = true;  ///< false: at its end is the time to say so
    };

    [[nodiscard]] Step on_check(const RangeReply& reply);
    [[nodiscard]] Step on_page(RangeReply reply);
    [[nodiscard]] Step list();
    [[nodiscard]] WatchRequest watch();
    void take_ready(const std::optional<std::string>& value, std::int64_t create_revision);
    void take(KeyValue item);
    void take_gone(const std::string& key, std::int64_t revision);
    void miss(const std::string& from, const std::string& end);
    void take_event(WatchEvent event);
    [[nodiscard]] bool is_in_range(const std::string& key) const;
    [[nodiscard]] bool is_known(const std::string& key, std::int64_t revision) const;
    [[nodiscard]] bool is_another(std::int64_t created, std::int64_t known) const;
    [[nodiscard]] std::optional<std::string> earlier(const std::string& key, const Held& held);
    /// Hands out values that are held: nothing of the first picture is missing but what is still to come.
    void tell_page(Step& step);
    /// What is held is whole: begins to tell it, unless frozen, or before it the rest of the last one.
    void release(Step& step);
    void tell(Step& step);
    void believe();
    void hand_out(Step& step, std::string key, Held held);

    std::string begin_;
    std::string end_;
    std::string ready_key_;
    Phase phase_ = Phase::Idle;
    Header live_;  ///< the store that we are connected to, and how far we know it
    std::int64_t list_revision_ = 0;
    std::string list_from_;  ///< the first key of the next page
    std::int64_t page_size_ = kPageSize;

    Ready ready_ = Ready::Absent;
    std::int64_t ready_created_ = 0;  ///< create_revision of ClusterInformation; 0: absent
    bool foreign_ = false;
    bool must_list_ = false;
    unsigned cancellations_ = 0;  ///< of the watch, since it told something

    Position good_;
    std::map<std::string, std::int64_t> known_;  ///< handed out, with mod_revision
    Picture telling_;                            ///< differs from that, and is being handed out
    Picture held_;                               ///< differs from both together
    Before before_;
    Picture stored_;        ///< the restored state, until something counts
    Picture spent_;         ///< the same, after that
    bool in_sync_ = false;  ///< or about to be, at the end of what is being told
};

}  // namespace vr::policy::etcd
