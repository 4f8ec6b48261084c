// Listeners: where peers call; part of the Asio shell.
//
// One socket per address.  Each has the MD5 keys (RFC 2385) of all who must sign, before they call.  What
// cannot be listened on may be tried again until it can: an address may come later than the configuration
// that wants it.  All calls come on the io_context's thread, and so do those of `accepted`.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>

#include "vrouter/net/addr.h"
#include "vrouter/net/ids.h"
#include "vrouter/net/prefix.h"
#include "vrouter/net/result.h"

namespace vr::bgp {

class Listeners {
  public:
    using Socket = boost::asio::ip::tcp::socket;
    using Accepted = std::function<void(Socket)>;
    /// Who must sign: one address, or all of a range.
    using Callers = std::variant<IpAddr, IpPrefix>;

    Listeners(boost::asio::io_context& io, Accepted accepted);
    Listeners(const Listeners&) = delete;
    Listeners& operator=(const Listeners&) = delete;
    Listeners(Listeners&&) = delete;
    Listeners& operator=(Listeners&&) = delete;
    ~Listeners();

    /// Opens those that are wanted and not open; fails with what and where when one cannot be had.
    [[nodiscard]] Result<void> open(const std::vector<IpAddr>& addresses, L4Port port);

    /// Tries what the last open() could not have again, until it can or close().
    void retry();

    /// What open() said, or what has become of it since.
    [[nodiscard]] const Result<void>& opened() const noexcept { return opened_; }

    void close();

    /// The port that the first socket got (with port 0: any); nothing while there is none.
    [[nodiscard]] std::optional<L4Port> port() const;

    /// `callers` must sign with `password`; empty: no longer.
    void set_key(const Callers& callers, const std::string& password);

  private:
    using Acceptor = boost::asio::ip::tcp::acceptor;
    using AcceptorPtr = std::shared_ptr<Acceptor>;
    using Keys = std::map<Callers, std::string>;

    const Result<void>& open_wanted();
    [[nodiscard]] Result<void> listen(const IpAddr& address);
    [[nodiscard]] std::string key_in_force(const Callers& callers) const;
    void accept_next(const AcceptorPtr& acceptor);

    boost::asio::io_context& io_;
    Accepted accepted_;
    std::vector<IpAddr> addresses_;
    L4Port port_;
    std::vector<AcceptorPtr> acceptors_;
    Result<void> opened_;
    Keys keys_;
    boost::asio::steady_timer retry_timer_;
    std::shared_ptr<bool> alive_ =
        std::make_shared<bool>(true);  ///< posted work asks before it runs
};

}  // namespace vr::bgp
