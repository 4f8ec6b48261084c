// Ipam: a thread on which IPAM works with etcd, over the connection that the store has.  Asio shell.
//
// The work asks and waits; the control thread passes questions on to etcd and answers back.  Nothing is
// done while the store is not live: a frozen or lost etcd is not written to.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <stop_token>
#include <string>

#include <boost/asio/any_io_executor.hpp>

#include "policy/etcd/store.h"
#include "policy/ipam/work.h"

namespace vr::policy::etcd {

class Ipam {
  public:
    /// `store` must outlive it; `root` as of Keys.
    Ipam(boost::asio::any_io_executor executor, Store& store, std::string root);
    Ipam(const Ipam&) = delete;
    Ipam& operator=(const Ipam&) = delete;
    Ipam(Ipam&&) = delete;
    Ipam& operator=(Ipam&&) = delete;
    /// Ends the work that is being done; nothing remains to be done of it.
    ~Ipam();

    /// An ipam::Run.
    void run(ipam::Work work);

  private:
    boost::asio::any_io_executor executor_;
    Store& store_;
    std::string root_;
    std::stop_source stop_;
    std::shared_ptr<const bool> alive_ = std::make_shared<const bool>(true);
    std::unique_ptr<boost::asio::thread_pool> thread_;
};

}  // namespace vr::policy::etcd
