// BgpRoutes: joins the BGP speaker and the machine's route table.  What peers offer becomes routes over
// gateways; whether a BGP next hop can be reached is asked of the routes, BGP's own included.
// Control thread.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include "bgp/route_sink.h"
#include "vrouter/daemon/flap_guard.h"
#include "vrouter/prefix_map.h"
#include "vrouter/routes.h"

namespace vr {
struct PortRecord;
}  // namespace vr

namespace vr::daemon {

class BgpRoutes final : public bgp::RouteSink, public bgp::NextHopOracle {
  public:
    /// Of these next hops, for which metric() was asked, the answers are others; null: of any may be; none: is_settled()
    /// again, which a restart may wait for.
    using Moved = std::function<void(const std::vector<IpAddr>* next_hops)>;

    /// Null for a port that is gone.
    using PortOf = std::function<const PortRecord*(PortId)>;

    /// `commit` makes staged routes visible: in the next turn of `loop`, or where many are told, some hundred at a
    /// time, while they are.  `moved` is called at most once per turn, with no more next hops than are found in one.
    /// `routes` must outlive this object.
    BgpRoutes(
        boost::asio::io_context& loop,
        RouteTable& routes,
        PortOf port,
        std::function<void()> commit,
        Moved moved);
    BgpRoutes(const BgpRoutes&) = delete;
    BgpRoutes& operator=(const BgpRoutes&) = delete;
    BgpRoutes(BgpRoutes&&) = delete;
    BgpRoutes& operator=(BgpRoutes&&) = delete;
    ~BgpRoutes() override;

    void update(const IpPrefix& prefix, const bgp::LearntRoute& route) override;
    void withdraw(const IpPrefix& prefix) override;
    void avoid(const IpAddr& next_hop, bool avoid) override;
    void restart_done() override;

    /// Another speaker is about to tell everything again.  What it has not told when it says
    /// restart_done() goes; until then all routes stay as they are.
    void begin_restart();

    [[nodiscard]] std::optional<std::uint32_t> metric(const IpAddr& next_hop) const override;
    [[nodiscard]] std::vector<IpPrefix> way_to(const IpAddr& next_hop) const override;
    [[nodiscard]] bool is_settled() const override;
    /// The port that the peer's network is on.
    [[nodiscard]] Zone zone_to(const IpAddr& peer) const override;
    [[nodiscard]] std::optional<Ip6> link_local_beside(Ip6 own, Zone link) const override;
    [[nodiscard]] std::string interface_to(const IpAddr& destination) const override;

  private:
    void commit_some();
    void commit_soon();
    void note_changed_ways(ChangedWays changed);
    void compare_soon();
    void compare_some();
    void end_comparison();
    void forget_answers();
    void ask_again();
    void ask_again_at(std::chrono::steady_clock::time_point time);
    void sweep();

    /// Prefixes that were told since a restart began.
    struct ToldAgain {
        PrefixMap<V4, bool> v4;
        PrefixMap<V6, bool> v6;

        void add(const IpPrefix& prefix);
        [[nodiscard]] bool contains(const IpPrefix& prefix) const;
    };

    /// What metric(), way_to() and the like said of a next hop.
    struct Answer {
        bool reachable = false;
        std::vector<IpPrefix> over;
        std::vector<IpAddr> asked;  ///< gateways that it depends on
        Zone zone = 0;
        std::optional<std::string> interface;  ///< if that was asked

        [[nodiscard]] bool says_the_same(const Answer& other) const {
            return reachable == other.reachable && over == other.over && zone == other.zone &&
                   interface == other.interface;
        }
    };

    /// A walk over the answers, to find those that these ways make others.
    struct Comparison {
        ChangedWays changed;
        std::optional<IpAddr> next;  ///< nothing: at the beginning
    };

    [[nodiscard]] Answer answer_for(const IpAddr& next_hop) const;
    [[nodiscard]] std::string find_interface(const IpAddr& destination) const;
    [[nodiscard]] bool note_flips(
        const IpAddr& next_hop,
        const Answer& old,
        const Answer& present,
        std::chrono::steady_clock::time_point now);

    boost::asio::io_context& loop_;
    RouteTable& routes_;
    PortOf port_;
    std::function<void()> commit_;
    Moved moved_;
    mutable std::map<IpAddr, Answer> answers_;
    mutable bool forgot_answers_ = false;    ///< there were more
    std::optional<ChangedWays> to_compare_;  ///< since the present walk began
    std::optional<Comparison> comparing_;
    bool compare_posted_ = false;
    std::set<IpAddr> avoided_;
    FlapGuard guard_;
    boost::asio::steady_timer timer_;
    std::optional<std::chrono::steady_clock::time_point> asks_at_;  ///< when it is armed
    std::unique_ptr<ToldAgain> told_again_;                         ///< while others may be stale
    RouteTable::Cursor swept_;
    bool sweeps_ = false;
    std::size_t staged_ = 0;  ///< changes since the last commit
    bool commit_posted_ = false;
    bool moved_posted_ = false;
    bool asks_slowly_ = false;  ///< there are too many flips to be counted
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

/// For a speaker without a data plane: whatever peers offer is kept and passed on, nothing is installed.
class NoRoutes final : public bgp::RouteSink {
  public:
    void update(const IpPrefix& /*prefix*/, const bgp::LearntRoute& /*route*/) override {}

    void withdraw(const IpPrefix& /*prefix*/) override {}
};

}  // namespace vr::daemon
