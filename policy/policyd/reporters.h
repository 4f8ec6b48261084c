// Reporters: writes into etcd what hosts tell of themselves, each as a host that reads etcd does it itself
// (etcd/reporter.h).
//
// Written is only in the name that a host's certificate has, and of endpoints only what the datastore has
// on that host: others would believe it of any endpoint.  A host that goes is written for no more at once:
// another replica may do so by now.  Its lease then runs out, without harm to what was written under
// another.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <memory>
#include <string>

#include <boost/asio/any_io_executor.hpp>

#include "policy/etcd/reporter.h"
#include "policy/etcd/store.h"
#include "vrouter/etcd_config.h"

namespace vr::policyd {

class Cluster;
class ReportReader;

class Reporters {
  public:
    /// All must outlive it.
    Reporters(
        boost::asio::any_io_executor executor,
        policy::etcd::Store& store,
        const EtcdConfig& config,
        const Cluster& cluster);
    Reporters(const Reporters&) = delete;
    Reporters& operator=(const Reporters&) = delete;
    Reporters(Reporters&&) = delete;
    Reporters& operator=(Reporters&&) = delete;
    ~Reporters();

    /// `host` has told something, and all that there is.  `told` is looked at until it is gone().
    void tell(const std::string& host, const ReportReader& told);
    void gone(const std::string& host);

    /// It does not come back soon.
    void forget(const std::string& host) { hosts_.erase(host); }

  private:
    struct Entry {
        const ReportReader* told = nullptr;  ///< null: gone
        bool changed = false;
        std::unique_ptr<policy::etcd::Reporter> reporter = nullptr;
    };

    [[nodiscard]] policy::etcd::Reporter::Host describe(
        const std::string& host, const ReportReader& told) const;
    [[nodiscard]] std::optional<policy::etcd::Reporter::Statuses> statuses(
        const std::string& host, bool is_news);

    boost::asio::any_io_executor executor_;
    policy::etcd::Store& store_;
    const EtcdConfig& config_;
    const Cluster& cluster_;
    std::map<std::string, Entry> hosts_;
};

}  // namespace vr::policyd
