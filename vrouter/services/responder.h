// Responder: what the router answers on its own, and to whom.
//
// To a guest every address but its own is behind the router: its ARP requests and neighbor
// solicitations are answered with the router's MAC whatever they ask for, so that any subnet that the
// guest believes to be on its link is reached by routing.  The host behind the TAP is served alike.
// Towards the fabric the router answers for its own addresses only.  Echo requests to the router's
// addresses and router solicitations of guests are answered too.  On ports that have link peers the
// advertisements of routers are handed on; they never change a route.
//
// Senders are checked before they are believed: a guest speaks for its own MAC and addresses only
// (anti-spoofing), fabric neighbors for addresses of the connected networks.  What may be believed is
// handed on as Heard, for Neighbors<F>::hear().
//
// Pure: frames, facts and the time in; a frame to send back out of the same port comes out.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <variant>
#include <vector>

#include "vrouter/net/addr.h"
#include "vrouter/net/ids.h"
#include "vrouter/net/prefix.h"
#include "vrouter/services/arp.h"
#include "vrouter/services/frame.h"
#include "vrouter/services/icmp.h"
#include "vrouter/services/nd.h"
#include "vrouter/services/neighbor.h"
#include "vrouter/services/rate_limit.h"

namespace vr {

/// What stands behind a port.
enum class PortRole : std::uint8_t {
    Guest,   ///< one workload, which is not trusted
    Fabric,  ///< other routers and hosts of the connected networks
    Host,    ///< this host's own kernel, behind the TAP
};

/// Addresses of one family at a port.
template <Family F>
struct PortAddresses {
    /// The router's own on this port; in IPv6 its link-local address need not be listed.
    std::vector<typename F::Addr> own;
    /// Where the other side's addresses lie: the guest's or the host's own, or the connected networks.
    std::vector<Prefix<F>> peers;
    /// Source of ICMP errors where `own` has no routed address: the router's on another port.
    std::optional<typename F::Addr> fallback;
};

/// What the responder must know of the port that a frame came in on.
struct PortFacts {
    PortId id;
    PortRole role = PortRole::Guest;
    Mac mac;                      ///< the router's on this port
    std::optional<Mac> peer_mac;  ///< the guest's, where it is known
    PortAddresses<V4> v4;
    PortAddresses<V6> v6;
    nd::RouterOffer offer;  ///< what guests are told of their default router
    /// Fabric: routers there are told apart by their link-local addresses, and make themselves known.
    bool has_link_peers = false;

    template <Family F>
    [[nodiscard]] const PortAddresses<F>& addresses() const noexcept {
        if constexpr (F::kVersion == 4) {
            return v4;
        } else {
            return v6;
        }
    }
};

/// What became of a frame.
enum class Outcome : std::uint8_t {
    Answered,     ///< there is a frame to send
    Noted,        ///< nothing to answer; something may have been heard
    NotForUs,     ///< right, but asks for or goes to someone else
    Malformed,    ///< breaks the rules of its protocol
    Spoofed,      ///< the sender claims an address that is not its own
    Conflict,     ///< the sender claims an address of the router: an operator should know
    RateLimited,  ///< would have been answered
};

[[nodiscard]] std::string_view to_string(Outcome outcome);

/// A router that advertises itself on a port that has link peers.
struct HeardRouter {
    Ip6 address;
    std::chrono::seconds lifetime{0};

    friend bool operator==(const HeardRouter&, const HeardRouter&) = default;
};

/// Somebody on such a port wants to know its routers.
struct RoutersWanted {
    friend bool operator==(const RoutersWanted&, const RoutersWanted&) = default;
};

struct Answer {
    Outcome outcome = Outcome::NotForUs;
    std::optional<Frame> frame;
    std::variant<std::monostate, Heard<V4>, Heard<V6>> heard;
    std::variant<std::monostate, HeardRouter, RoutersWanted> discovery;

    /// Whether a guest has shown by it that it is behind the port.
    [[nodiscard]] bool shows_guest(const PortFacts& port) const {
        return port.role == PortRole::Guest &&
               (outcome == Outcome::Answered || outcome == Outcome::Noted ||
                outcome == Outcome::RateLimited);
    }
};

/// How much the router says on its own.
struct ResponderSettings {
    Rate neighbor_per_port{.per_second = 200, .burst = 200};
    Rate neighbor{.per_second = 5'000, .burst = 2'000};
    Rate echo_per_port{.per_second = 100, .burst = 50};
    Rate echo{.per_second = 1'000, .burst = 200};
    Rate error_per_port{.per_second = 100, .burst = 50};
    Rate error{.per_second = 1'000, .burst = 200};
};

class Responder {
  public:
    explicit Responder(const ResponderSettings& settings);

    /// Handles an ARP, Neighbor Discovery or echo request frame, or a guest's Reverse ARP; anything else is
    /// NotForUs.
    [[nodiscard]] Answer answer(const PortFacts& port, Bytes frame, TimePoint now);

    /// The ICMP error about `frame`, which came in on `port`; nothing where none is due or the limit is
    /// reached.
    template <Family F>
    [[nodiscard]] std::optional<Frame> report(
        const PortFacts& port, Bytes frame, const icmp::Report& report, TimePoint now);

    /// What the sender of `frame`, which came in on `port`, is told when policy rejects it: a reset for
    /// TCP, else that it is prohibited; nothing where neither is due or the limit is reached.
    template <Family F>
    [[nodiscard]] std::optional<Frame> reject(const PortFacts& port, Bytes frame, TimePoint now);

    /// Forgets the limits of a port that is gone.
    void remove_port(PortId port);

  private:
    RateLimiter neighbor_;
    RateLimiter echo_;
    RateLimiter error_;
};

/// Is this one of the router's own addresses on the port, its link-local address included?
template <Family F>
[[nodiscard]] bool owns(const PortFacts& port, typename F::Addr address);

/// The address to speak from on the port: its own unless link-local, else the fallback, else any, else
/// in IPv6 its link-local address and in IPv4 the dummy of RFC 7600 for routers that have none.
template <Family F>
[[nodiscard]] typename F::Addr speaking_address(const PortFacts& port);

/// The frame that performs a Solicit of Neighbors<F> on its port.  Without an IPv4 address of its own
/// the router asks as a probe does (sender 0), which stations answer too; in IPv6 it asks from its
/// link-local address.
template <Family F>
[[nodiscard]] Frame solicitation(const PortFacts& port, const Solicit<F>& solicit);

}  // namespace vr
