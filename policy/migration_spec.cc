// SPDX-License-Identifier: Apache-2.0
#include "policy/migration_spec.h"

#include <array>
#include <utility>

namespace vr::policy {

namespace {

template <std::string EndpointName::* Member>
Result<void> part_of_name(const Field& field, EndpointName& into) {
    auto text = field.text();
    if (!text || text->empty()) {
        return field.error("expected a name");
    }
    into.*Member = *std::move(text);
    return {};
}

/// One end of it.
Result<void> parse_end(const Field& field, EndpointName& into) {
    static constexpr std::array<FieldRow<EndpointName>, 4> kRows{{
        {"hostname", part_of_name<&EndpointName::host>},
        {"orchestratorID", part_of_name<&EndpointName::orchestrator>},
        {"workloadID", part_of_name<&EndpointName::workload>},
        {"endpointID", part_of_name<&EndpointName::endpoint>},
    }};
    if (auto map = field.expect_map(); !map) {
        return map;
    }
    const auto endpoint = field.child("workloadEndpoint");
    if (!endpoint) {
        return field.error("expected workloadEndpoint: no other way to say who moves is known");
    }
    auto parsed = parse_fields<EndpointName>(*endpoint, kRows, into, Unknown::RefuseSimilar);
    if (parsed && (into.host.empty() || into.orchestrator.empty() || into.workload.empty() ||
                   into.endpoint.empty())) {
        return endpoint->error("needs hostname, orchestratorID, workloadID and endpointID");
    }
    return parsed;
}

constexpr std::array<FieldRow<LiveMigration>, 2> kRows{{
    {"source", [](const Field& f, LiveMigration& m) { return parse_end(f, m.source); }},
    {"target", [](const Field& f, LiveMigration& m) { return parse_end(f, m.target); }},
}};

}  // namespace

Result<void> parse_live_migration(const Field& /*object*/, const Field& spec, Resource& into) {
    LiveMigration migration;
    auto parsed = parse_fields<LiveMigration>(spec, kRows, migration, Unknown::RefuseSimilar);
    if (!parsed) {
        return parsed;
    }
    if (migration.source == EndpointName{} || migration.target == EndpointName{}) {
        return spec.error("needs source and target");
    }
    if (migration.source == migration.target) {
        return spec.error("source and target are the same endpoint");
    }
    into.spec = std::move(migration);
    return {};
}

}  // namespace vr::policy
