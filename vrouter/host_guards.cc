// SPDX-License-Identifier: Apache-2.0
#include "vrouter/host_guards.h"

#include <algorithm>
#include <utility>

#include "vrouter/net/log.h"

namespace vr {

namespace {

bool is_for_all(const HostGuard& guard) {
    return guard.interface_name == HostGuard::kAnyInterface;
}

/// Whether `guard` is for this very port.
bool is_for(const HostGuard& guard, const PortRecord& port) {
    if (!guard.interface_name.empty()) {
        return guard.interface_name == port.name;
    }
    return std::ranges::any_of(guard.addresses, [&](const IpAddr& address) {
        return std::ranges::count(port.addresses, address) != 0;
    });
}

/// Whether packets are judged alike by both: what is only counted does not matter.
bool judge_alike(const HostPolicy& a, const HostPolicy& b) {
    return a.v4 == b.v4 && a.v6 == b.v6;
}

}  // namespace

std::string_view to_string(HostGuardView::State state) {
    switch (state) {
        case HostGuardView::State::Compiling:
            return "compiling";
        case HostGuardView::State::Unused:
            return "unused";
        case HostGuardView::State::Ready:
            return "ready";
    }
    return "?";
}

HostGuards::HostGuards(Machine& machine, Builder& builder, std::function<void()> settle)
    : machine_(machine), builder_(builder), settle_(std::move(settle)) {}

void HostGuards::begin_with(const HostGuard& guard) {
    Entry& entry = entries_[guard.name];
    auto policy = std::make_shared<HostPolicy>();
    for (std::size_t hook = 0; hook < kHostHooks; ++hook) {
        if (const auto& program = guard.programs[hook]) {
            policy->v4[hook] = acl::Classifier<V4>::build(program, machine_.settings().workers);
            policy->v6[hook] = acl::Classifier<V6>::build(program, machine_.settings().workers);
        }
    }
    entry.guard = guard;
    entry.version = ++versions_;
    activate({guard, entry.version, std::move(policy), nullptr});
    assign();
}

void HostGuards::update(const HostGuard& guard) {
    Entry& entry = entries_[guard.name];
    entry.guard = guard;
    entry.version = ++versions_;
    leaving_.erase(guard.name);
    ++pending_;
    const auto job =
        std::make_shared<Job>(Job{guard, entry.version, std::make_shared<HostPolicy>(), nullptr});
    if (entry.policy) {
        keep_staged(*job, *entry.policy);
    }
    compile_next(job, 0);
}

/// What stays staged is counted on.
void HostGuards::keep_staged(Job& job, const HostPolicy& in_use) {
    for (std::size_t hook = 0; hook < kHostHooks; ++hook) {
        const auto& classifier = in_use.staged4[hook];
        if (classifier && &classifier->program() == job.guard.staged[hook].get()) {
            job.policy->staged4[hook] = classifier;
            job.policy->staged6[hook] = in_use.staged6[hook];
        }
    }
}

void HostGuards::remove(const std::string& name) {
    const auto found = entries_.find(name);
    if (found == entries_.end()) {
        return;
    }
    found->second.version = ++versions_;  // what is being compiled for it is not wanted any more
    leaving_.insert(name);
    forget_leaving();
}

void HostGuards::forget_leaving() {
    if (pending_ != 0 || leaving_.empty()) {
        return;
    }
    for (const std::string& name : std::exchange(leaving_, {})) {
        entries_.erase(name);
        log::info("host endpoint {}: removed", name);
    }
    machine_.bump_policy_generation();
    unassigned_ = true;
}

/// Compiles the programs of a job in turn, then puts them in force.
void HostGuards::compile_next(const std::shared_ptr<Job>& job, std::size_t hook) {
    while (hook < kHostHooks && (!job->guard.programs[hook] || !is_current(*job))) {
        ++hook;
    }
    if (hook == kHostHooks) {
        --pending_;
        activate(*job);
        forget_leaving();
        settle_();
        compile_next_staged(job, 0);
        return;
    }
    builder_.compile(
        job->guard.programs[hook],
        [this, job, hook](const std::shared_ptr<const Compiled>& compiled) {
            job->policy->v4[hook] = compiled->v4;
            job->policy->v6[hook] = compiled->v6;
            compile_next(job, hook + 1);
        });
    settle_();
}

/// The same for what is only counted.
void HostGuards::compile_next_staged(const std::shared_ptr<Job>& job, std::size_t hook) {
    while (hook < kHostHooks &&
           (!job->guard.staged[hook] || job->policy->staged4[hook] || !is_current(*job))) {
        ++hook;
    }
    if (hook == kHostHooks) {
        if (job->counted && is_current(*job)) {
            entries_.at(job->guard.name).policy = job->counted;
            unassigned_ = true;
            settle_();
        }
        return;
    }
    builder_.compile(
        job->guard.staged[hook],
        [this, job, hook](const std::shared_ptr<const Compiled>& compiled) {
            if (!job->counted) {
                job->counted = std::make_shared<HostPolicy>(*job->policy);
            }
            job->counted->staged4[hook] = compiled->v4;
            job->counted->staged6[hook] = compiled->v6;
            compile_next_staged(job, hook + 1);
        },
        Purpose::Staged);
}

/// False: changed or removed meanwhile; the newer compilation is on its way.
bool HostGuards::is_current(const Job& job) const {
    const auto found = entries_.find(job.guard.name);
    return found != entries_.end() && found->second.version == job.version;
}

void HostGuards::activate(const Job& job) {
    if (!is_current(job)) {
        return;
    }
    Entry& entry = entries_.at(job.guard.name);
    if (!entry.policy) {
        log::info("host endpoint {}: policy in place", job.guard.name);
    }
    job.policy->name = job.guard.name;
    job.policy->dscp = job.guard.dscp;
    for (const HostHook hook : kAllHostHooks) {
        const bool acts = job.guard.program(hook) != nullptr;
        job.policy->follows_transit |=
            acts && (is_forward(hook) || hook == HostHook::PreDnatIngress);
    }
    const bool as_before =
        entry.policy && entry.in_force.interface_name == job.guard.interface_name &&
        entry.in_force.addresses == job.guard.addresses && judge_alike(*entry.policy, *job.policy);
    entry.policy = job.policy;
    entry.in_force = job.guard;
    if (!as_before) {
        machine_.bump_policy_generation();
    }
    unassigned_ = true;
}

void HostGuards::assign() {
    if (!std::exchange(unassigned_, false)) {
        return;
    }
    const auto policy_of = [](const Entry* entry) {
        return entry == nullptr ? nullptr : entry->policy;
    };
    const Assignment now = assignment();
    for (const auto& [id, entry] : now.guards) {
        machine_.set_guard(id, policy_of(entry));
    }
    machine_.set_any_interface(policy_of(now.everywhere));
}

HostGuards::Assignment HostGuards::assignment() const {
    Assignment now;
    for (const PortId id : fabric_ports()) {
        now.guards.emplace_back(id, guard_of(id));
    }
    now.everywhere = any_interface();
    return now;
}

std::vector<PortId> HostGuards::fabric_ports() const {
    std::vector<PortId> ports = machine_.ports();
    std::erase_if(ports, [&](PortId id) { return machine_.port(id)->kind != PortKind::Fabric; });
    return ports;
}

const HostGuards::Entry* HostGuards::guard_of(PortId port) const {
    const PortRecord& record = *machine_.port(port);
    for (const auto& [name, entry] : entries_) {
        if (entry.policy && is_for(entry.in_force, record)) {
            return &entry;
        }
    }
    return any_interface();
}

const HostGuards::Entry* HostGuards::any_interface() const {
    const Entry* first = nullptr;
    for (const auto& [name, entry] : entries_) {
        if (!entry.policy || !is_for_all(entry.in_force)) {
            continue;
        }
        if (entry.in_force.closed) {
            return &entry;  // meant for a port that nobody can tell
        }
        first = first == nullptr ? &entry : first;
    }
    return first;
}

std::string HostGuards::why_unused(const Entry& entry, const Assignment& now) const {
    for (const auto& [id, other] : now.guards) {
        const PortRecord& record = *machine_.port(id);
        if (other != nullptr && (is_for_all(entry.in_force) || is_for(entry.in_force, record))) {
            return fmt::format("port {} is guarded by {}", record.name, other->guard.name);
        }
    }
    return entry.in_force.interface_name.empty()
               ? std::string("no port has an address that it expects")
               : fmt::format("no port is called {}", entry.in_force.interface_name);
}

HostGuardView::State HostGuards::state(const Entry& entry, const Assignment& now) {
    using State = HostGuardView::State;
    if (!entry.policy) {
        return State::Compiling;
    }
    const bool used =
        now.everywhere == &entry ||
        std::ranges::any_of(now.guards, [&](const auto& port) { return port.second == &entry; });
    return used ? State::Ready : State::Unused;
}

std::vector<HostGuardView> HostGuards::view() const {
    std::vector<HostGuardView> all;
    const Assignment now = assignment();
    for (const auto& [name, entry] : entries_) {
        HostGuardView view{entry.guard, {}, state(entry, now), {}, entry.policy};
        for (const auto& [id, guard] : now.guards) {
            if (guard == &entry) {
                view.ports.push_back(id);
            }
        }
        if (view.state == HostGuardView::State::Unused) {
            view.problem = why_unused(entry, now);
        }
        all.push_back(std::move(view));
    }
    return all;
}

std::vector<std::pair<std::string, HostGuardView::State>> HostGuards::states() const {
    std::vector<std::pair<std::string, HostGuardView::State>> all;
    const Assignment now = assignment();
    for (const auto& [name, entry] : entries_) {
        all.emplace_back(name, state(entry, now));
    }
    return all;
}

}  // namespace vr
