// Where Calico keeps IPAM's records in etcd, DATASTORE 3.1.  Pure.
//
//   /calico/ipam/v2/assignment/ipv4/block/10.0.0.0-26       a block
//   /calico/ipam/v2/host/NODE/ipv4/block/10.0.0.0-26        the claim of a host to it
//   /calico/ipam/v2/handle/ID, /calico/ipam/v2/config
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "policy/etcd/keys.h"
#include "policy/ipam/record.h"

namespace vr::policy::etcd {

class IpamKeys {
  public:
    /// `root` as of Keys.
    explicit IpamKeys(const std::string& root);

    /// The key of a record.
    [[nodiscard]] std::string of(const ipam::RecordId& id) const;
    /// What a key is about; StrangeId for keys that are of none of the forms.
    [[nodiscard]] ipam::RecordId record(std::string_view key) const;
    /// The first key of a range, and the first behind it.
    [[nodiscard]] std::pair<std::string, std::string> range(const ipam::Range& range) const;
    /// What the claims of all hosts begin with.
    [[nodiscard]] std::string claims() const;

  private:
    Keys keys_;
    std::string ipam_;
    std::string reservations_;
};

}  // namespace vr::policy::etcd
