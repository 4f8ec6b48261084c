// BgpControl: the BGP of this host as its config, its links and the datastore's resources want it now.
//
// Owns the speaker and what joins it to the machine's routes, decides who its peers are, and replaces it
// while what is forwarded stays (`bgp restart`).  What is announced is told by Announcements; with which
// attributes, by config and resources.  Control thread.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include "bgp/links.h"
#include "policy/slice.h"
#include "vrouter/daemon/bgp_routes.h"
#include "vrouter/daemon/calico_bgp.h"
#include "vrouter/daemon/callers_file.h"
#include "vrouter/daemon/kernel_networks.h"
#include "vrouter/daemon/link_peers.h"

namespace vr {
class Machine;
class SlowPath;
}  // namespace vr

namespace vr::bgp {
class BfdSockets;
class Speaker;
}  // namespace vr::bgp

namespace vr::policy {
class Graph;
}

namespace vr::daemon {

class Announcements;
class KernelLinks;

class BgpControl {
  public:
    /// What BGP is joined to; all of it must outlive the object.
    struct Surroundings {
        boost::asio::io_context& loop;
        const Config& config;  ///< has a section `bgp`
        const Announcements& announcements;
        Machine* machine = nullptr;     ///< null: there is no data plane
        SlowPath* slow_path = nullptr;  ///< likewise
        bool has_source = false;        ///< a datastore may name more peers
    };

    explicit BgpControl(const Surroundings& around);
    BgpControl(const BgpControl&) = delete;
    BgpControl& operator=(const BgpControl&) = delete;
    BgpControl(BgpControl&&) = delete;
    BgpControl& operator=(BgpControl&&) = delete;
    ~BgpControl();

    /// Listens, and calls the peers that the config names.
    [[nodiscard]] Result<void> start();

    /// Says goodbye to the peers; the loop must run on for a moment.
    void stop();

    /// Ends the sessions without a word and starts anew: what is forwarded stays until the peers have said
    /// all again (RFC 4724).  Their BFD sessions go on.  Calls `done` when the peers are there again, not yet
    /// their sessions.
    void restart(std::move_only_function<void(Result<void>)> done);

    struct Reloaded {
        std::size_t came = 0;
        std::size_t gone = 0;
        std::size_t changed = 0;
    };

    /// The config's section is another one than `old`, but for what wants_a_start().  Sessions whose peers are
    /// as before go on.  Calls `done` when that is in force, with how many peers and ranges of the config are
    /// not as before.
    void reload(const BgpConfig& old, std::move_only_function<void(Result<Reloaded>)> done);

    /// Where update() finds resources from now on; must outlive all calls but the destructor.
    void follow(const policy::Graph& graph) { graph_ = &graph; }

    /// Takes over the resources that are followed.  To be called when all that has changed of BGP's kinds is
    /// there; those of the last call count until then.  Peers follow in other turns of the loop.
    void update();

    /// The source has said all that it had, were it nothing of BGP's kinds: no peers are to come.
    void source_in_sync();

    /// Announces `prefix` as this host's, or no longer.
    void originate(const IpPrefix& prefix);
    void withdraw(const IpPrefix& prefix);

    /// The present one: a restart replaces it.  Nobody else keeps it.
    [[nodiscard]] const std::shared_ptr<bgp::Speaker>& speaker() const { return speaker_; }

    /// What of a resource cannot be honoured.
    [[nodiscard]] std::vector<std::string> problems_of(const policy::Key& key) const;

  private:
    [[nodiscard]] Result<void> open_speaker(std::unique_ptr<bgp::BfdSockets> bfd);
    [[nodiscard]] Result<void> start_links();
    void apply();
    [[nodiscard]] Peers named_peers() const;
    [[nodiscard]] bool source_may_tell_peers() const;
    [[nodiscard]] LinkPeers::UseOf use_of_peer() const;
    void link_peers_changed();
    void watch_link_peers();
    [[nodiscard]] CalicoBgp wanted() const;
    void inherit_deferral(const bgp::SpeakerConfig& old);
    void set_peers(Peers wanted);
    void want_peers(Peers wanted);
    [[nodiscard]] bool move_peers(const policy::Slice& slice);
    void set_peer(const IpAddr& address);
    void go_on_with_peers(const policy::Slice& slice);
    void go_on_with_peers_soon();
    void when_peers_are(std::move_only_function<void()> then);
    [[nodiscard]] std::string problem_of_reload(const Result<void>& ranges) const;
    void originate_all();
    void expect_peers(bool from_source);
    void remember_callers();
    void show_awaited();
    void set_gateways(const std::map<IpAddr, IpAddr>& old);

    boost::asio::io_context& loop_;
    const Config& config_;
    const Announcements& announcements_;
    Machine* machine_;
    SlowPath* slow_path_;
    const policy::Graph* graph_ = nullptr;  ///< null: nobody tells resources
    BgpResources resources_;
    NoRoutes no_routes_;
    std::unique_ptr<KernelNetworks> kernel_networks_;  ///< without a data plane
    std::unique_ptr<BgpRoutes> routes_;                ///< null without a data plane
    std::shared_ptr<bgp::Speaker> speaker_;
    std::unique_ptr<CallersFile> callers_file_;  ///< without a data plane
    bool stopping_ = false;
    Peers peers_;  ///< as the speaker has them
    Peers wanted_peers_;
    std::set<IpAddr> leaving_;                                     ///< of peers_
    std::set<IpAddr> changing_;                                    ///< of wanted_peers_
    bool peers_wait_ = false;                                      ///< for another turn
    std::vector<std::move_only_function<void()>> when_peers_are_;  ///< wait for the last of them
    std::set<IpAddr> refused_;                                     ///< by the speaker
    std::map<IpAddr, std::string> shut_down_;    ///< before the restart that is under way, with why
    std::map<IpAddr, std::string> peer_errors_;  ///< why it has not all of them
    std::string config_error_;                   ///< of the speaker's last settings; empty: none
    bgp::Links links_;                           ///< on which peers at link-local addresses are
    LinkPeers link_peers_;
    bool source_may_tell_peers_;
    bool source_told_all_ = false;               ///< once, after what update() made of it
    std::unique_ptr<KernelLinks> kernel_links_;  ///< without a data plane
    boost::asio::steady_timer link_timer_;
    CalicoBgp calico_;  ///< as the speaker has it
    boost::asio::steady_timer secret_retry_;
};

}  // namespace vr::daemon
