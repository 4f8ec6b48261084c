// Store: Calico's resources in etcd as a Datastore, and the claims of hosts to blocks of addresses.  Asio
// shell around sync.h, objects.h and claims.h: sessions with one endpoint after the other, the last good
// state on disk, and writes by compare-and-swap.
//
//   Session --texts--> Inbox --answers--> Sync --changes--> Intake --> Objects --events--> listener
//      ^                                   |                              |
//      +-------------- asks ---------------+                              +--> state file, now and then
//
// The last good state of an earlier run counts when no etcd answers soon after the start, or one that
// is frozen (sync.h); it never counts before etcd was asked.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/steady_timer.hpp>

#include "policy/datastore.h"
#include "policy/etcd/backoff.h"
#include "policy/etcd/claims.h"
#include "policy/etcd/inbox.h"
#include "policy/etcd/intake.h"
#include "policy/etcd/keys.h"
#include "policy/etcd/objects.h"
#include "policy/etcd/session.h"
#include "policy/etcd/sync.h"
#include "policy/journal.h"
#include "policy/kept.h"
#include "policy/saver.h"
#include "policy/when_room.h"
#include "vrouter/etcd_config.h"

namespace vr::policy::etcd {

class Store final : public Datastore {
  public:
    /// `when_room` is asked before more of the watch is read.
    Store(
        boost::asio::any_io_executor executor,
        EtcdConfig config,
        Listener listener,
        WhenRoom when_room = at_once);
    Store(const Store&) = delete;
    Store& operator=(const Store&) = delete;
    Store(Store&&) = delete;
    Store& operator=(Store&&) = delete;
    ~Store() override;

    /// Reads the last good state and looks for an etcd; no etcd is no error.
    void start();
    /// Leaves etcd and saves the last good state.
    void stop();

    [[nodiscard]] std::vector<ObjectStatus> list(const Key& from, std::size_t count) const override;
    [[nodiscard]] std::vector<std::string> problems() const override;
    [[nodiscard]] SourceStatus status() const override;

    [[nodiscard]] std::map<Kind, KindCount> counts() const override { return objects_.counts(); }

    /// One transaction for up to kMaxWrites objects.
    void put(std::string_view file, std::string_view yaml, PutDone done) override;
    void remove(const Key& key, RemoveDone done) override;

    // --- for who writes into etcd beside resources ---

    [[nodiscard]] const Keys& keys() const { return keys_; }

    /// True when etcd answers and what it has is in force, or about to be.
    [[nodiscard]] bool is_live() const;

    /// Called whenever is_live() becomes true.
    void set_on_live(std::function<void()> callback) { on_live_ = std::move(callback); }

    /// Why not.
    [[nodiscard]] std::string why_not_live() const;

    /// Asks etcd; a failure at once when there is none.
    void call(std::string_view path, std::string body, Session::Done done);

    /// Whether the FelixConfigurations, by name, want endpoints to be reported.
    [[nodiscard]] const std::map<std::string, std::optional<bool>>& wants_reports() const {
        return wants_reports_;
    }

    /// As of revision_of(): what waits to be read is taken before.
    [[nodiscard]] std::shared_ptr<const std::string> value(const Key& key) {
        catch_up();
        return objects_.value(key);
    }

    /// Writes one object that it leaves to the caller to have made right.
    void write(Write write, std::function<void(Result<void>)> done);

    [[nodiscard]] std::int64_t revision_of(const std::string& key) const {
        return sync_.revision_of(key);
    }

    static constexpr std::size_t kMaxWrites = 100;  ///< etcd takes 128 as a rule

  private:
    void connect();
    void on_ended(const std::string& why);
    void handle(Step step);
    void go_on_later();
    void catch_up();
    void settle();
    void ask(const Ask& ask);
    void on_range(std::expected<std::string, Session::Failure> body);
    void on_message(Inbox::Message message);
    void take(Intake::Told told, Readings readings);
    void settle_later();
    void deliver(bool in_sync);
    void report(const Key& key);
    void tell_state();
    void note_state(const std::string& frozen);
    [[nodiscard]] Result<std::vector<Write>> plan(
        std::string_view file, std::string_view yaml, std::vector<Key>& keys) const;
    [[nodiscard]] bool may_thaw(const std::vector<Write>& writes) const;
    void commit(
        std::vector<Write> writes, std::size_t from, std::function<void(Result<void>)> done);

    void note_good(const std::vector<std::string>& keys);

    boost::asio::any_io_executor executor_;
    EtcdConfig config_;
    Listener listener_;
    WhenRoom when_room_;
    Keys keys_;
    Sync sync_;
    Objects objects_;
    Claims claims_;
    Kept kept_;
    std::map<std::string, std::optional<bool>> wants_reports_;
    std::function<void()> on_live_;
    Position read_;      ///< where what was read comes from, as a whole
    bool whole_ = true;  ///< nothing that was read since is a part of a picture
    Events events_;      ///< that follow from it, to be delivered with the next batch
    std::vector<std::function<void()>> when_told_;  ///< called when Sync has nothing to tell
    std::map<std::string, Kind> misnamed_;  ///< keys among those of a kind that name no object
    bool changed_ = false;                  ///< something that is saved, since
    bool in_sync_ = false;                  ///< to be told with the next batch
    bool complete_ = false;                 ///< that was told
    bool settling_ = false;
    bool going_on_ = false;  ///< in another turn
    std::uint64_t batches_ = 0;

    std::shared_ptr<Session> session_;  ///< null: none now
    Backoff backoff_;
    std::size_t next_endpoint_ = 0;
    boost::asio::steady_timer connect_timer_;
    boost::asio::steady_timer wait_timer_;  ///< for the first answer
    std::minstd_rand random_;
    std::string trouble_;  ///< why there is no session; empty: there is
    std::string told_;     ///< the state that was logged last
    bool live_ = false;
    SourceStatus health_;

    Journal<Good> good_;  ///< what is saved, by the keys of etcd
    Saver saver_;
    /// Held weakly by completions that may come when the store is gone.
    std::shared_ptr<const bool> running_;
    Intake intake_;
    Inbox inbox_;
};

}  // namespace vr::policy::etcd
