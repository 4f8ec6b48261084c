// Migrations: which of this host's endpoints a live migration leads to or from.
//
// The role of an endpoint follows from the present LiveMigrations alone: the target of any is a target, else the
// source of any a source.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <set>
#include <vector>

#include "policy/model.h"
#include "vrouter/workload.h"

namespace vr::policy {

class Migrations {
  public:
    /// A LiveMigration came, changed or went; returns the local endpoints whose role may be another now.
    [[nodiscard]] std::vector<Key> set(const Resource& migration);
    [[nodiscard]] std::vector<Key> remove(const Key& key);

    /// A workload's endpoint of this host came, changed or went; others are passed over.
    void place(const Resource& endpoint);
    void displace(const Key& endpoint);

    [[nodiscard]] MigrationRole role(const Key& endpoint) const;

  private:
    using ByName = std::map<EndpointName, std::set<Key>>;

    void add_named(const EndpointName& name, std::vector<Key>& into) const;

    std::map<Key, LiveMigration> migrations_;
    ByName sources_;  ///< the LiveMigrations that name each
    ByName targets_;
    ByName endpoints_;                   ///< of this host
    std::map<Key, EndpointName> names_;  ///< of the same
};

}  // namespace vr::policy
