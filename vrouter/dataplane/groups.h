// GroupTable<F>: which groups an address belongs to.  First stage of classification.
//
// A group is the set of addresses that one selector of some rule names; its members are prefixes
// (hosts of endpoints, nets of network sets).  An address belongs to every group that has a member
// containing it.  Workers get one immutable, sorted GroupSet per address in one lookup; equal sets are
// stored once.  A membership change is one update here and touches no classifier; where a net comes or goes
// around other members, these follow in slices.  What each has then depends on the members at that time only.
// Semantics: POLICY 2.3 "selector set".
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "vrouter/dataplane/reclaim.h"
#include "vrouter/net/ids.h"
#include "vrouter/net/prefix.h"

namespace vr {

/// An immutable set of groups, sorted by id.
class GroupSet {
  public:
    explicit GroupSet(std::vector<GroupId> sorted) : ids_(std::move(sorted)) {}

    [[nodiscard]] std::span<const GroupId> ids() const noexcept { return ids_; }

    [[nodiscard]] bool contains(GroupId id) const noexcept;

  private:
    std::vector<GroupId> ids_;
};

template <Family F>
class GroupTable {
  public:
    using Addr = typename F::Addr;

    explicit GroupTable(Reclaimer& reclaimer);
    GroupTable(const GroupTable&) = delete;
    GroupTable& operator=(const GroupTable&) = delete;
    GroupTable(GroupTable&&) = delete;
    GroupTable& operator=(GroupTable&&) = delete;
    ~GroupTable();

    /// Lpm::fetch() for members.
    void fetch() noexcept;

    /// Makes `member` belong to `group`; no effect if it does already.  Members inside it are left to
    /// refresh().  Control thread.
    void add(GroupId group, const Prefix<F>& member);

    /// Undoes add(), with what it says of members inside; no effect if `member` was not in `group`.  Control thread.
    void remove(GroupId group, const Prefix<F>& member);

    /// Gives members inside nets that came or went the groups that they have now, about `most` of them; answers how
    /// many, a net itself counted as one at least.  Control thread.
    std::size_t refresh(std::size_t most);

    /// False while refresh() has something to do.  Control thread.
    [[nodiscard]] bool is_settled() const noexcept;

    /// Groups of `address`, the union over all members that contain it.  Never null; the set stays
    /// valid until the caller's next quiescent point.  Any worker.
    [[nodiscard]] const GroupSet* lookup(Addr address) const noexcept;

    void lookup_bulk(const Addr* addresses, const GroupSet** sets, unsigned count) const noexcept;

    /// Distinct (group, member) pairs.
    [[nodiscard]] std::size_t size() const noexcept;

  private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace vr
