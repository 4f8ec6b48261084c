// Reporter: writes a host's status into etcd, while the store is live.  Asio shell.
//
//   - the agent's status every 24 to 30 s, each time another value, with a lease of 90 s;
//   - the status of endpoints, if a FelixConfiguration wants it: one key at a time, compared with what
//     is there, so that what an earlier run left behind goes;
//   - the Node resource, when its BGP addresses are not the ones of the config.
// What is there is looked at again with each status of the agent: it may be others that write for the host (a
// replica of vrouter-policyd that it left), and the last word of those may come late; and a Node that was
// deleted, or could not be written, is to come back.
// What cannot be written now is written later; nothing waits for it.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/steady_timer.hpp>

#include "policy/etcd/status.h"
#include "policy/etcd/store.h"
#include "policy/model.h"

namespace vr::policy::etcd {

class Reporter {
  public:
    /// Local endpoints with "up", "down", "error", or nothing while that is not known.
    using Statuses = std::map<Key, std::optional<std::string>>;
    /// Nothing: as told the last time, which may not be said when that `is_news` to etcd.
    using Endpoints = std::function<std::optional<Statuses>(bool is_news)>;

    struct Host {
        std::string node;
        std::string region;
        std::optional<NodeFacts> facts;  ///< absent: the Node resource is left alone
        std::chrono::steady_clock::time_point started = std::chrono::steady_clock::now();
        bool first = true;  ///< no agent status was written since
    };

    /// Starts at once; waits for on_live() while the store is not live.  `store` must outlive it.
    Reporter(boost::asio::any_io_executor executor, Store& store, Host host, Endpoints endpoints);
    Reporter(const Reporter&) = delete;
    Reporter& operator=(const Reporter&) = delete;
    Reporter(Reporter&&) = delete;
    Reporter& operator=(Reporter&&) = delete;
    ~Reporter() = default;

    /// To be called whenever the store becomes live.
    void on_live();

    /// Others may write for the host from now on: nothing is written any more, and the lease runs out.
    void pause() { active_ = false; }

    /// Goes on, for the host as it is now.
    void resume(Host host);

  private:
    using Body = std::expected<std::string, Session::Failure>;

    /// `next` is called with the answer unless the reporter is gone; failures are logged as `what`.
    void call(
        const std::string& what,
        std::string_view path,
        std::string body,
        std::function<void(const std::string& body)> next);

    void beat();
    void beat_later();
    void renew_lease();
    void put_agent_status();
    void check_node();
    void write_node(const std::string& path, std::string value, std::int64_t revision);
    void complain_of_node(std::string complaint);
    void read_statuses();
    void read_statuses(
        std::uint64_t number,
        std::vector<std::string> prefixes,
        std::string from,
        std::map<std::string, std::string> read);
    void tick_later();
    void tick();

    Store& store_;
    Host host_;
    Endpoints endpoints_;
    boost::asio::steady_timer beat_timer_;
    boost::asio::steady_timer tick_timer_;
    std::minstd_rand random_;
    EndpointStatuses statuses_;
    std::int64_t lease_ = 0;  ///< 0: none
    bool active_ = true;
    bool late_ = false;                         ///< a beat was left out
    std::optional<std::int64_t> node_checked_;  ///< its revision that was looked at; absent: none
    std::string node_complaint_;                ///< that was logged last
    std::uint64_t reads_ = 0;                   ///< of all statuses: the last that was begun counts
    bool statuses_read_ = false;
    bool writing_ = false;
    std::string complaint_;  ///< that was logged last
    std::shared_ptr<const bool> alive_ = std::make_shared<const bool>(true);
};

}  // namespace vr::policy::etcd
