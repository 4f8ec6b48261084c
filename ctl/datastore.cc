// show datastore: how the source of resources is.
// SPDX-License-Identifier: Apache-2.0
#include "policy/datastore.h"

#include "ctl/handlers.h"

namespace vr::ctl {

namespace {

pb::DatastoreStatus::State state_of(policy::SourceStatus::State state) {
    using enum policy::SourceStatus::State;
    switch (state) {
        case Waiting:
            return pb::DatastoreStatus::STATE_WAITING;
        case InSync:
            return pb::DatastoreStatus::STATE_IN_SYNC;
        case Unreachable:
            return pb::DatastoreStatus::STATE_UNREACHABLE;
        case Frozen:
            return pb::DatastoreStatus::STATE_FROZEN;
    }
    return pb::DatastoreStatus::STATE_UNSPECIFIED;
}

void fill(const policy::SourceStatus& status, pb::DatastoreStatus& reply) {
    reply.set_source(status.source);
    reply.set_state(state_of(status.state));
    if (status.since != policy::SourceStatus::TimePoint{}) {
        const auto age = std::chrono::duration_cast<std::chrono::seconds>(
            std::chrono::steady_clock::now() - status.since);
        reply.set_state_seconds(static_cast<std::uint64_t>(age.count()));
    }
    reply.set_in_force(status.in_force);
    for (const std::string& place : status.places) {
        reply.add_places(place);
    }
    reply.set_place(status.place);
    reply.set_revision(status.revision);
    reply.set_last_error(status.last_error);
    reply.set_state_file(status.state_file);
}

}  // namespace

void serve_datastore(Dispatch& dispatch, const policy::Datastore& store) {
    dispatch.on(pb::Request::kShowDatastore, [&store](const pb::Request& /*request*/) {
        pb::Response response;
        auto& reply = *response.mutable_datastore();
        fill(store.status(), reply);
        for (const auto& [kind, count] : store.counts()) {
            auto& row = *reply.add_kinds();
            row.set_kind(std::string(policy::row_of(kind).name));
            row.set_objects(count.objects);
            row.set_invalid(count.invalid);
        }
        for (const std::string& problem : store.problems()) {
            reply.add_problems(problem);
        }
        return response;
    });
}

}  // namespace vr::ctl
