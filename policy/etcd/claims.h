// Claims: which blocks of addresses hosts have confirmed claims to, from keys and values, as objects.h
// does for resources.  Pure.
//
// A value that cannot be read leaves what was known of its claim, and is nothing when new.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "policy/etcd/ipam_keys.h"
#include "policy/etcd/objects.h"
#include "policy/etcd/sync.h"

namespace vr::policy::etcd {

class Claims {
  public:
    explicit Claims(IpamKeys keys) : keys_(std::move(keys)) {}

    /// Takes changes, in order, and does not look at other keys; true if there was one of a claim.
    [[nodiscard]] bool apply(const std::vector<Change>& changes);

    /// All blocks of each host whose blocks are not what they were when this was asked last.
    [[nodiscard]] std::map<std::string, std::set<IpPrefix>> take_confirmed();

    /// What is to be kept on disk of the claim at `key` of etcd; nothing when there is none.
    [[nodiscard]] std::optional<Good> good(std::string_view key) const;

  private:
    struct Claim {
        std::shared_ptr<const std::string> value;
        std::int64_t revision = 0;
        bool confirmed = false;
    };

    [[nodiscard]] bool is_confirmed(const ipam::AffinityId& id) const;
    [[nodiscard]] std::set<IpPrefix> confirmed(const std::string& host) const;

    IpamKeys keys_;
    std::map<ipam::AffinityId, Claim> claims_;
    std::set<std::string> changed_;                   ///< hosts, since take_confirmed()
    std::map<std::string, std::set<IpPrefix>> told_;  ///< by take_confirmed(); none is empty
};

}  // namespace vr::policy::etcd
