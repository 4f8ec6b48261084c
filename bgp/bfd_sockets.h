// BfdSockets: BFD's sessions with the peers that want one; Asio shell around bfd::Session.
//
// UDP port 3784 for neighbors (RFC 5881: hop limit 255 both ways, anything else is dropped unread) and
// 4784 over several hops (RFC 5883).  Each session sends from a socket of its own; all arrive at one per
// family and kind, which exists while somebody needs it.  All calls come on the io_context's thread.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <functional>
#include <map>
#include <memory>
#include <optional>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/udp.hpp>
#include <boost/asio/steady_timer.hpp>

#include "bgp/bfd_session.h"
#include "bgp/interface_indices.h"
#include "bgp/links.h"
#include "bgp/summary.h"
#include "vrouter/net/result.h"

namespace vr::bgp {

class BfdSockets {
  public:
    using Changed = std::function<void(const IpAddr& peer, const bfd::Change& change)>;

    /// `changed` must not call back into this object.
    BfdSockets(boost::asio::io_context& io, Random random, Changed changed);
    BfdSockets(const BfdSockets&) = delete;
    BfdSockets& operator=(const BfdSockets&) = delete;
    BfdSockets(BfdSockets&&) = delete;
    BfdSockets& operator=(BfdSockets&&) = delete;
    ~BfdSockets();

    /// Whom to tell from now on; as the constructor's.
    void set_changed(Changed changed) { changed_ = std::move(changed); }

    /// Where peers at link-local addresses are; to be told before them.
    void set_links(Links links) { links_ = std::move(links); }

    /// Begins a session with `peer`, or goes on with it as it is when nothing differs.  Fails when the
    /// port cannot be had.
    [[nodiscard]] Result<void> watch(
        const IpAddr& peer, const std::optional<IpAddr>& source, const BfdConfig& config);

    /// Ends the session with `peer`, telling it.
    void forget(const IpAddr& peer);

    /// Ends the sessions with peers for which wanted(peer) does not hold, telling them.
    void forget_unless(const std::function<bool(const IpAddr& peer)>& wanted);

    /// Nothing when there is no session with `peer`.
    [[nodiscard]] std::optional<BfdSummary> summary(const IpAddr& peer) const;

    /// How the session with `peer` went down that was up, if it did by no operator's will.
    [[nodiscard]] std::optional<bfd::Change> loss(const IpAddr& peer) const;

  private:
    using Socket = boost::asio::ip::udp::socket;

    struct Watched {
        std::optional<IpAddr> source;
        BfdConfig config;
        bfd::Session session;
        Socket socket;           ///< connected to the peer; closed while that does not work
        unsigned scope = 0;      ///< the interface that it is bound to; of link-local peers
        std::uint16_t port = 0;  ///< ours, chosen once (RFC 5881 4)
        std::uint64_t ups = 0;
        std::optional<bfd::Change> loss;
    };

    /// One per family and kind.
    struct Receiver {
        explicit Receiver(Socket its_socket) : socket(std::move(its_socket)) {}

        Socket socket;
    };

    [[nodiscard]] Result<void> listen(bool v6, bool multihop);
    void receive_next(std::shared_ptr<Receiver> receiver, bool multihop);
    void drain(Receiver& receiver, bool multihop);
    void on_packet(const IpAddr& from, bool multihop, Bytes bytes);
    void settle(const IpAddr& peer, Watched& watched);
    [[nodiscard]] bool open(const IpAddr& peer, Watched& watched);
    [[nodiscard]] bool bind(
        Socket& socket, const boost::asio::ip::address& source, Watched& watched);
    void after_failure(
        const IpAddr& peer, Watched& watched, const boost::system::error_code& error);
    void arm_timer();
    void tick();
    [[nodiscard]] bfd::Discriminator new_discriminator() const;

    boost::asio::io_context& io_;
    Random random_;
    Changed changed_;
    Links links_;
    InterfaceIndices indices_;
    std::array<std::shared_ptr<Receiver>, 4> receivers_;
    std::map<IpAddr, Watched> sessions_;
    boost::asio::steady_timer timer_;
    Time armed_ = Time::max();
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace vr::bgp
