// SPDX-License-Identifier: Apache-2.0
#include "vrouter/compilations.h"

#include <algorithm>
#include <utility>

namespace vr {

EndpointPrograms programs_of(const Workload& workload) {
    return {workload.ingress, workload.egress, workload.staged_ingress, workload.staged_egress};
}

void Compilations::Order::keep_enforced(const Endpoint& endpoint) {
    keep(kIngress, {endpoint.v4.ingress, endpoint.v6.ingress});
    keep(kEgress, {endpoint.v4.egress, endpoint.v6.egress});
}

/// What stays staged is counted on.
void Compilations::Order::keep_staged(const Endpoint& endpoint) {
    keep(kStagedIngress, {endpoint.v4.staged_ingress, endpoint.v6.staged_ingress});
    keep(kStagedEgress, {endpoint.v4.staged_egress, endpoint.v6.staged_egress});
}

void Compilations::Order::keep(ProgramKind kind, const Compiled& in_use) {
    if (in_use.v4 && in_use.v6 && &in_use.v4->program() == programs[kind].get()) {
        compiled[kind] = in_use;
    }
}

Compilations::Compilations(Builder& builder, Activate activate, Settle settle)
    : builder_(builder), activate_(std::move(activate)), settle_(std::move(settle)) {}

void Compilations::begin(Order order) {
    const auto job = std::make_shared<Job>(Job{.order = std::move(order), .number = ++jobs_});
    for (const std::string& endpoint : job->order.endpoints) {
        awaited_[endpoint] = job->number;
    }
    ++enforcing_;
    compile_next(job, 0);
}

/// No: changed or removed meanwhile; the newer compilation is on its way.
bool Compilations::awaits(const std::string& endpoint, const Job& job) const {
    const auto known = awaited_.find(endpoint);
    return known != awaited_.end() && known->second == job.number;
}

void Compilations::compile_next(const std::shared_ptr<Job>& job, std::size_t kind) {
    const Order& order = job->order;
    const bool awaited = std::ranges::any_of(
        order.endpoints, [&](const std::string& endpoint) { return awaits(endpoint, *job); });
    while (kind < kProgramKinds && (!awaited || !order.programs[kind] || order.compiled[kind].v4)) {
        ++kind;
    }
    if (kind >= kStagedIngress) {
        if (!std::exchange(job->enforced, true)) {
            --enforcing_;
        }
        activate(*job);
        settle_(order.endpoints.size());
    }
    if (kind == kProgramKinds) {
        return;
    }
    builder_.compile(
        order.programs[kind],
        [this, job, kind](const std::shared_ptr<const Compiled>& compiled) {
            job->order.compiled[kind] = *compiled;
            compile_next(job, kind + 1);
        },
        kind < kStagedIngress ? Purpose::Enforced : Purpose::Staged);
    settle_(0);
}

void Compilations::activate(const Job& job) {
    for (const std::string& endpoint : job.order.endpoints) {
        if (awaits(endpoint, job)) {
            activate_(endpoint, job.order.compiled);
        }
    }
}

}  // namespace vr
