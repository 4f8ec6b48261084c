// HostGuards: what guards the ports towards the fabric, from what policy/ says to programs in force.
//
// Each port has at most one guard: of the host endpoints that name it, or expect an address that it has,
// the first by name; else the first of those for all interfaces (POLICY 2.2, 2.6), closed ones before
// others.  A guard takes effect in one step when all of its programs are compiled; until then what guarded
// the port before stays in force, so that neither a new, a changed nor a replaced host endpoint opens
// anything in between: one that is removed stays while others are being compiled.  Staged programs, which
// are only counted, follow in a step of their own, and nothing waits for them.  Control thread.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "vrouter/builder.h"
#include "vrouter/machine.h"
#include "vrouter/workload.h"

namespace vr {

/// What operators see of a host endpoint.
struct HostGuardView {
    enum class State : std::uint8_t {
        Compiling,  ///< not in force yet
        Unused,     ///< guards no port; `problem` says why
        Ready,      ///< in force
    };

    HostGuard guard;
    std::vector<PortId> ports;
    State state = State::Compiling;
    std::string problem;
    std::shared_ptr<const HostPolicy> policy = nullptr;  ///< what packets meet, with its counters
};

[[nodiscard]] std::string_view to_string(HostGuardView::State state);

class HostGuards {
  public:
    /// `settle` is called after programs took effect or were given to the builder, and commits in time.
    HostGuards(Machine& machine, Builder& builder, std::function<void()> settle);

    /// Compiles `guard` here and now and puts it in force, before anything is forwarded; until remove().
    void begin_with(const HostGuard& guard);

    void update(const HostGuard& guard);
    void remove(const std::string& name);

    /// Gives every port the guard that it should have now, for the next commit(): once for however many
    /// endpoints came, changed or went.
    void assign();

    /// Whether assign() has something to do.
    [[nodiscard]] bool is_unassigned() const { return unassigned_; }

    [[nodiscard]] std::vector<HostGuardView> view() const;

    /// By name, without all else.
    [[nodiscard]] std::vector<std::pair<std::string, HostGuardView::State>> states() const;

    /// Whether programs are on their way.
    [[nodiscard]] bool busy() const { return pending_ != 0; }

  private:
    struct Entry {
        HostGuard guard;
        std::uint64_t version = 0;                 ///< of `guard`; older compilations are ignored
        HostGuard in_force;                        ///< what `policy` was compiled from
        std::shared_ptr<const HostPolicy> policy;  ///< null: never compiled yet
    };

    /// A compilation on its way: one program after the other, those to be enforced first.
    struct Job {
        HostGuard guard;
        std::uint64_t version = 0;
        std::shared_ptr<HostPolicy> policy;  ///< until it is in force: then workers read it
        std::shared_ptr<HostPolicy>
            counted;  ///< the same with what is staged; null: nothing new is
    };

    void compile_next(const std::shared_ptr<Job>& job, std::size_t hook);
    void compile_next_staged(const std::shared_ptr<Job>& job, std::size_t hook);
    static void keep_staged(Job& job, const HostPolicy& in_use);
    [[nodiscard]] bool is_current(const Job& job) const;
    void activate(const Job& job);
    void forget_leaving();
    [[nodiscard]] std::vector<PortId> fabric_ports() const;

    /// What is found once for however many endpoints.
    struct Assignment {
        std::vector<std::pair<PortId, const Entry*>> guards;  ///< of each port, or null
        const Entry* everywhere = nullptr;                    ///< of all interfaces
    };

    [[nodiscard]] Assignment assignment() const;
    [[nodiscard]] static HostGuardView::State state(const Entry& entry, const Assignment& now);
    /// The entry in force that guards `port`, or null.
    [[nodiscard]] const Entry* guard_of(PortId port) const;
    [[nodiscard]] const Entry* any_interface() const;
    [[nodiscard]] std::string why_unused(const Entry& entry, const Assignment& now) const;

    Machine& machine_;
    Builder& builder_;
    std::function<void()> settle_;
    std::map<std::string, Entry> entries_;  ///< in the order of preference
    std::set<std::string> leaving_;         ///< removed, but in force until `pending_` is 0
    std::size_t pending_ = 0;               ///< jobs on their way, but for what is staged
    std::uint64_t versions_ = 0;
    bool unassigned_ = false;
};

}  // namespace vr
