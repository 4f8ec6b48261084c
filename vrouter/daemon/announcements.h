// Announcements: what this host tells its BGP peers of the addresses that it serves.  Pure.
//
//   a block of addresses that is the host's own    as one prefix; locally a discard route stands behind it,
//                                                  so that packets to an unused address end here
//   a block of one address                         no more than the address: somebody else may serve it
//   a workload's address inside an own block       not at all: the block has said it
//   any other address of a workload                as a host route: borrowed, moved or chosen elsewhere
//   one with a priority of its own                 as a host route, in an own block too: it is on the move
//   anything inside a hidden pool                  not at all (IPPool, disableBGPExport)
//   what the config announces                      by the config alone
//
// DATASTORE 3.1; the result depends on present blocks, addresses and pools only.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include "vrouter/net/prefix.h"

namespace vr::daemon {

class Announcements {
  public:
    /// To be acted upon in this order: nobody loses the way to an address in between.
    struct Difference {
        std::vector<IpPrefix> discard;    ///< gets a discard route
        std::vector<IpPrefix> told;       ///< is announced from now on, or otherwise than before
        std::vector<IpPrefix> withdrawn;  ///< is announced no more
        std::vector<IpPrefix> undiscard;  ///< loses its discard route

        friend bool operator==(const Difference&, const Difference&) = default;
    };

    /// `configured` is announced anyway.
    explicit Announcements(std::set<IpPrefix> configured) : configured_(std::move(configured)) {}

    /// Of a route; lower wins.  Absent: as all of this host.
    using Priority = std::optional<std::uint32_t>;

    /// An address that workloads have from now on with `priority`, or no longer.
    [[nodiscard]] Difference serve(const IpPrefix& address, bool up, Priority priority = {});

    /// The host's own blocks, and the pools that are not to be announced.
    [[nodiscard]] Difference set(std::set<IpPrefix> blocks, std::vector<IpPrefix> hidden);

    /// Others are announced anyway from now on: what is told of those that were so before.
    [[nodiscard]] Difference configure(std::set<IpPrefix> configured);

    [[nodiscard]] const std::set<IpPrefix>& told() const { return told_; }

    /// That of an address that workloads have.
    [[nodiscard]] Priority priority_of(const IpPrefix& prefix) const;

    /// Those of more than one address.
    [[nodiscard]] const std::set<IpPrefix>& blocks() const { return blocks_; }

  private:
    [[nodiscard]] bool is_to_be_told(const IpPrefix& prefix) const;
    void settle(const IpPrefix& prefix, Difference& difference);

    std::set<IpPrefix> configured_;
    std::map<IpPrefix, Priority> served_;
    std::set<IpPrefix> blocks_;
    std::vector<IpPrefix> hidden_;
    std::set<IpPrefix> told_;
};

}  // namespace vr::daemon
