// SPDX-License-Identifier: Apache-2.0
#include "policy/pool_spec.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>

#include "policy/match.h"

namespace vr::policy {

namespace {

template <bool IpPool::* Member>
Result<void> boolean_into(const Field& field, IpPool& into) {
    return store(field.boolean(), into.*Member);
}

template <std::size_t kCount>
Result<void> expect_one_of(const Field& field, const std::array<std::string_view, kCount>& words) {
    const auto text = field.text();
    if (!text) {
        return std::unexpected(text.error());
    }
    return std::ranges::count(words, *text) != 0
               ? Result<void>{}
               : field.error(fmt::format("'{}' is not one of {}", *text, fmt::join(words, ", ")));
}

/// As Calico's clients write what they leave open.
bool is_empty(const Field& field) {
    return field.node().type == Node::Type::Scalar && field.node().text.empty();
}

/// No mode has an effect: nothing is encapsulated.
Result<void> check_encapsulation(const Field& field, IpPool& /*into*/) {
    static constexpr std::array<std::string_view, 3> kModes{"Always", "CrossSubnet", "Never"};
    return is_empty(field) ? Result<void>{} : expect_one_of(field, kModes);
}

Result<void> check_assignment(const Field& field, IpPool& /*into*/) {
    static constexpr std::array<std::string_view, 2> kModes{"Automatic", "Manual"};
    return is_empty(field) ? Result<void>{} : expect_one_of(field, kModes);
}

Result<void> parse_uses(const Field& field, IpPool& into) {
    static constexpr std::array<std::string_view, 3> kUses{"Workload", "Tunnel", "LoadBalancer"};
    auto known = field.each([](const Field& use) { return expect_one_of(use, kUses); });
    return known ? store(field.texts(), into.allowed_uses) : known;
}

/// Calico's bounds; a pool that is smaller than a block has none to give.
Result<void> check_block_size(const Field& spec, const IpPool& pool) {
    const bool ip4 = std::holds_alternative<Prefix<V4>>(pool.cidr);
    const unsigned length = length_of(pool.cidr);
    const auto size = spec.child("blockSize");
    if (!size) {
        if (length > block_length(pool) && !pool.disabled) {
            spec.warn(fmt::format(
                "the pool is smaller than a block (/{}): no address is taken from it without a "
                "blockSize that fits",
                block_length(pool)));
        }
        return {};
    }
    const int least = ip4 ? 20 : 116;
    if (pool.block_size < least || pool.block_size > least + 12) {
        return size->error(fmt::format(
            "expected {} to {} in an {} pool", least, least + 12, ip4 ? "IPv4" : "IPv6"));
    }
    return length <= block_length(pool)
               ? Result<void>{}
               : size->error(
                     fmt::format("a block of /{} is larger than the pool", pool.block_size));
}

}  // namespace

unsigned block_length(const IpPool& pool) {
    const unsigned by_default = std::holds_alternative<Prefix<V4>>(pool.cidr) ? 26 : 122;
    return pool.block_size == 0 ? by_default : static_cast<unsigned>(pool.block_size);
}

Result<void> parse_ip_pool(const Field& /*object*/, const Field& spec, Resource& into) {
    static constexpr std::array<FieldRow<IpPool>, 11> kRows{{
        {"cidr", [](const Field& f, IpPool& p) { return store(parse_net(f), p.cidr); }},
        {"blockSize",
         [](const Field& f, IpPool& p) { return store(f.integer(20, 128), p.block_size); }},
        {"natOutgoing", boolean_into<&IpPool::nat_outgoing>},
        {"disabled", boolean_into<&IpPool::disabled>},
        {"disableBGPExport", boolean_into<&IpPool::disable_bgp_export>},
        {"ipipMode", check_encapsulation},
        {"vxlanMode", check_encapsulation},
        {"nodeSelector",
         [](const Field& f, IpPool& p) { return store(parse_selector(f), p.node_selector); }},
        {"allowedUses", parse_uses},
        {"assignmentMode", check_assignment},
        {"namespaceSelector", nullptr},
    }};
    IpPool pool;
    if (auto parsed = parse_fields<IpPool>(spec, kRows, pool, Unknown::Warn); !parsed) {
        return parsed;
    }
    if (!spec.child("cidr")) {
        return spec.error("a pool needs a cidr");
    }
    if (auto checked = check_block_size(spec, pool); !checked) {
        return checked;
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
