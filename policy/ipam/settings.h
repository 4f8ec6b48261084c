// Settings: what pools, reservations and the cluster's configuration mean for one host.  Pure.
//
// A pool serves workloads of a host when it is not disabled, is assigned from automatically, allows the
// use by workloads, and its nodeSelector matches the host's Node.  An invalid pool serves nobody; an
// IPReservation or configuration that cannot be read ends the attempt, since it may have forbidden what
// would be done without it.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>
#include <vector>

#include "policy/ipam/record.h"

namespace vr::policy::ipam {

struct Pool {
    std::string name;
    IpPrefix cidr;
    unsigned block_length = 0;  ///< of its blocks' prefixes
    bool automatic = false;     ///< serves this host when no address is named
    bool usable = false;        ///< may be assigned from at all

    friend bool operator==(const Pool&, const Pool&) = default;
};

struct Settings {
    Config config;
    std::vector<Pool> pools;  ///< all valid ones, by name
    std::vector<IpPrefix> reserved;

    /// The pool that `cidr` lies in; null: none.
    [[nodiscard]] const Pool* pool_of(const IpPrefix& cidr) const;
};

/// From the records of pools and reservations (others are passed over), the value of the configuration
/// and the labels of the host's Node.
[[nodiscard]] Result<Settings> settings(
    std::span<const Record> records, const std::optional<Record>& config, const Labels& node);

/// For `host`.
[[nodiscard]] Result<Settings> read_settings(Records& records, const std::string& host);

}  // namespace vr::policy::ipam
