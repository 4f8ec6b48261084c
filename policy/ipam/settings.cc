// SPDX-License-Identifier: Apache-2.0
#include "policy/ipam/settings.h"

#include <algorithm>
#include <array>

#include "policy/ipam/block.h"
#include "policy/json_document.h"
#include "policy/pool_spec.h"
#include "policy/resource.h"

namespace vr::policy::ipam {

namespace {

constexpr std::string_view kWorkload = "Workload";

/// Whether a pool is assigned from without being named.  Which namespace a workload is in is not known
/// where addresses are assigned, so a pool of some namespaces must be named.
bool is_automatic(const std::string& pool) {
    const auto root = parse_json("IPPool", pool);
    const Node* spec = root ? root->find("spec") : nullptr;
    const Node* mode = spec != nullptr ? spec->find("assignmentMode") : nullptr;
    const Node* namespaces = spec != nullptr ? spec->find("namespaceSelector") : nullptr;
    const auto of_all = [](const Node& node) {
        const auto selector = Selector::parse(node.text);
        return selector && *selector == Selector();
    };
    return (mode == nullptr || mode->text == "Automatic") &&
           (namespaces == nullptr || of_all(*namespaces));
}

/// Nothing for a pool that is smaller than a block.
std::optional<Pool> pool_from(
    const Resource& resource, const std::string& text, const Labels& node) {
    const auto& spec = resource.as<IpPool>();
    Pool pool{.name = resource.key.name, .cidr = spec.cidr};
    pool.block_length = block_length(spec);
    if (pool.block_length < length_of(spec.cidr)) {
        return std::nullopt;
    }
    const bool allowed =
        spec.allowed_uses.empty() || std::ranges::count(spec.allowed_uses, kWorkload) > 0;
    pool.usable = !spec.disabled && allowed && spec.node_selector.matches(node);
    pool.automatic = pool.usable && is_automatic(text);
    return pool;
}

/// The valid object of `kind` that a record is; null: it is none.
ResourcePtr resource_in(const Record& record, Kind kind) {
    const auto* key = std::get_if<Key>(&record.id);
    if (key == nullptr || key->kind != kind) {
        return nullptr;
    }
    auto parsed = parse_stored(to_string(record.id), *key, record.value);
    return parsed ? std::move(parsed->resource) : nullptr;
}

}  // namespace

const Pool* Settings::pool_of(const IpPrefix& cidr) const {
    const auto found =
        std::ranges::find_if(pools, [&](const Pool& pool) { return contains(pool.cidr, cidr); });
    return found == pools.end() ? nullptr : &*found;
}

Result<Settings> settings(
    std::span<const Record> records, const std::optional<Record>& config, const Labels& node) {
    Settings all;
    for (const Record& record : records) {
        if (std::holds_alternative<ReservationId>(record.id)) {
            auto nets = decode_reservation(record.value);
            if (!nets) {
                return fail(std::move(nets).error(), to_string(record.id));
            }
            all.reserved.insert(all.reserved.end(), nets->begin(), nets->end());
        } else if (const ResourcePtr pool = resource_in(record, Kind::IPPool)) {
            if (auto made = pool_from(*pool, record.value, node)) {
                all.pools.push_back(*std::move(made));
            }
        }
    }
    std::ranges::sort(all.pools, {}, &Pool::name);
    if (config) {
        auto decoded = decode_config(config->value);
        if (!decoded) {
            return fail(std::move(decoded).error(), to_string(config->id));
        }
        all.config = *decoded;
    }
    return all;
}

Result<Settings> read_settings(Records& records, const std::string& host) {
    const auto config = records.get(ConfigId{});
    if (!config) {
        return std::unexpected(config.error());
    }
    const auto node = records.get(Key{Kind::Node, {}, host});
    if (!node) {
        return std::unexpected(node.error());
    }
    constexpr std::array<Range, 2> kRanges{AllOf{Kind::IPPool}, AllReservations{}};
    const auto listed = records.list(kRanges, Detail::Full);
    if (!listed) {
        return std::unexpected(listed.error());
    }
    const ResourcePtr own = *node ? resource_in(**node, Kind::Node) : nullptr;
    return settings(*listed, *config, own ? own->labels : Labels{});
}

}  // namespace vr::policy::ipam
