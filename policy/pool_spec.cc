// Reads IPPool and IPReservation.
// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <optional>

#include "policy/bgp_spec.h"
#include "policy/match.h"

namespace vr::policy {

namespace {

template <bool IpPool::* Member>
Result<void> boolean_into(const Field& field, IpPool& into) {
    return store(field.boolean(), into.*Member);
}

}  // namespace

Result<void> parse_ip_pool(const Field& /*object*/, const Field& spec, Resource& into) {
    static constexpr std::array<FieldRow<IpPool>, 11> kRows{{
        {"cidr", [](const Field& f, IpPool& p) { return store(parse_net(f), p.cidr); }},
        {"blockSize",
         [](const Field& f, IpPool& p) { return store(f.integer(20, 128), p.block_size); }},
        {"natOutgoing", boolean_into<&IpPool::nat_outgoing>},
        {"disabled", boolean_into<&IpPool::disabled>},
        {"disableBGPExport", boolean_into<&IpPool::disable_bgp_export>},
        {"ipipMode", nullptr},
        {"vxlanMode", nullptr},
        {"nodeSelector",
         [](const Field& f, IpPool& p) { return store(parse_selector(f), p.node_selector); }},
        {"allowedUses", [](const Field& f, IpPool& p) { return store(f.texts(), p.allowed_uses); }},
        {"assignmentMode", nullptr},
        {"namespaceSelector", nullptr},
    }};
    IpPool pool;
    if (auto parsed = parse_fields<IpPool>(spec, kRows, pool, Unknown::Warn); !parsed) {
        return parsed;
    }
    if (!spec.child("cidr")) {
        return spec.error("a pool needs a cidr");
    }
    into.spec = std::move(pool);
    return {};
}

Result<void> parse_ip_reservation(const Field& /*object*/, const Field& spec, Resource& into) {
    static constexpr std::array<FieldRow<IpReservation>, 1> kRows{{
        {"reservedCIDRs",
         [](const Field& f, IpReservation& r) {
             return f.each(
                 [&](const Field& net) { return store(parse_net(net), r.nets.emplace_back()); });
         }},
    }};
    IpReservation reservation;
    if (auto parsed = parse_fields<IpReservation>(spec, kRows, reservation, Unknown::RefuseSimilar);
        !parsed) {
        return parsed;
    }
    into.spec = std::move(reservation);
    return {};
}

std::optional<IpPool> closed_ip_pool(const Field& object) {
    const auto spec = object.child("spec");
    const auto cidr =
        spec && spec->node().type == Node::Type::Map ? spec->child("cidr") : std::nullopt;
    IpPool closed{.disabled = true, .disable_bgp_export = true};
    if (const auto nat = spec ? spec->child("natOutgoing") : std::nullopt) {
        // What cannot be read may have been meant to keep the addresses inside.
        closed.nat_outgoing = nat->boolean().value_or(true);
    }
    if (!cidr || !store(parse_net(*cidr), closed.cidr)) {
        closed.cidr = Prefix<V4>::host(Ip4{});  // no route is in it, but there are pools
    }
    return closed;
}

}  // namespace vr::policy
