// Reporter: writes this host's status into etcd, while the store is live.  Asio shell.
//
//   - the agent's status every 30 s, each time another value, with a lease of 90 s;
//   - the status of endpoints, if a FelixConfiguration wants it: one key at a time, compared with what
//     was there at the start, so that what an earlier run left behind goes;
//   - the Node resource, when its BGP addresses are not the ones of the config.
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
    using Endpoints = std::function<std::map<Key, std::optional<std::string>>()>;

    struct Host {
        std::string node;
        std::string region;
        std::optional<NodeFacts> facts;  ///< absent: the Node resource is left alone
    };

    /// Starts at once.  `store` must outlive it.
    Reporter(boost::asio::any_io_executor executor, Store& store, Host host, Endpoints endpoints);
    Reporter(const Reporter&) = delete;
    Reporter& operator=(const Reporter&) = delete;
    Reporter(Reporter&&) = delete;
    Reporter& operator=(Reporter&&) = delete;
    ~Reporter();

  private:
    using Body = std::expected<std::string, Session::Failure>;

    /// `next` is called with the answer unless the reporter is gone; failures are logged as `what`.
    void call(
        const std::string& what,
        std::string_view path,
        std::string body,
        std::function<void(const std::string& body)> next);

    void on_live();
    void beat();
    void beat_later();
    void put_agent_status();
    void write_node();
    void read_statuses(
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
    std::chrono::steady_clock::time_point started_ = std::chrono::steady_clock::now();
    std::minstd_rand random_;
    EndpointStatuses statuses_;
    std::int64_t lease_ = 0;  ///< 0: none
    bool first_ = true;       ///< no agent status was written yet
    bool statuses_read_ = false;
    bool writing_ = false;
    std::string complaint_;  ///< that was logged last
    std::shared_ptr<const bool> alive_ = std::make_shared<const bool>(true);
};

}  // namespace vr::policy::etcd
