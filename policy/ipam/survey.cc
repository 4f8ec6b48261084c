// SPDX-License-Identifier: Apache-2.0
#include "policy/ipam/survey.h"

#include <algorithm>
#include <array>
#include <utility>

#include "policy/ipam/cidr.h"
#include "policy/json_document.h"
#include "policy/resource.h"

namespace vr::policy::ipam {

namespace {

/// Keys below each other; the last may be empty.
using Path = std::array<std::string_view, 3>;

const Node* find(const Node& root, const Path& path) {
    const Node* node = &root;
    for (const std::string_view key : path) {
        node = node == nullptr || key.empty() ? node : node->find(key);
    }
    return node;
}

/// Where a Node says which tunnels end at it.
constexpr std::array<Path, 5> kTunnels{{
    {"spec", "bgp", "ipv4IPIPTunnelAddr"},
    {"spec", "ipv4VXLANTunnelAddr", ""},
    {"spec", "ipv6VXLANTunnelAddr", ""},
    {"spec", "wireguard", "interfaceIPv4Address"},
    {"spec", "wireguard", "interfaceIPv6Address"},
}};

/// Whether a key lies where the objects of `kind` do.
bool is_below(const std::string& key, Kind kind) {
    return key.find("/" + std::string(row_of(kind).plural) + "/") != std::string::npos;
}

/// Whose keys are read beside those of IPAM itself.
constexpr std::array kObjects{Kind::IPPool, Kind::Node, Kind::WorkloadEndpoint};

}  // namespace

std::vector<Range> Survey::ranges() {
    return {
        BlocksOf{4},
        BlocksOf{6},
        AffinitiesOf{},
        AllHandles{},
        AllReservations{},
        AllOf{Kind::IPPool},
        AllOf{Kind::Node},
        AllOf{Kind::WorkloadEndpoint}};
}

Survey::Survey(std::vector<Record> records) {
    // Without reservations and a configuration there is nothing that could be unreadable.
    const auto reservations = std::ranges::stable_partition(records, [](const Record& record) {
        return !std::holds_alternative<ReservationId>(record.id);
    });
    settings_ =
        settings({records.begin(), reservations.begin()}, std::nullopt, {}).value_or(Settings{});
    for (const Record& record : records) {
        take(record);
    }
}

void Survey::take(const Record& record) {
    const auto trouble = [&](const Error& error) {
        unreadable_[to_string(record.id)] = error.text;
    };
    if (const auto* block = std::get_if<BlockId>(&record.id)) {
        auto decoded = Block::decode(record.value);
        if (!decoded || decoded->cidr() != block->cidr) {
            trouble(decoded ? Error{"cidr: is not that of its key"} : decoded.error());
            return;
        }
        blocks_.insert_or_assign(block->cidr, SurveyBlock{*std::move(decoded), record.revision});
    } else if (const auto* claim = std::get_if<AffinityId>(&record.id)) {
        const auto state = decode_affinity(record.value);
        if (!state) {
            trouble(state.error());
        }
        claims_[*claim] = {state ? std::optional(*state) : std::nullopt, record.revision};
    } else if (const auto* handle = std::get_if<HandleId>(&record.id)) {
        auto decoded = decode_handle(record.value);
        if (!decoded) {
            trouble(decoded.error());
        }
        handles_[handle->id] = {
            decoded ? std::optional(*std::move(decoded)) : std::nullopt, record.revision};
    } else if (const auto* key = std::get_if<Key>(&record.id)) {
        take_resource(*key, record);
    } else if (std::holds_alternative<ReservationId>(record.id)) {
        if (const auto nets = decode_reservation(record.value); !nets) {
            trouble(nets.error());
        }
    } else if (std::holds_alternative<ConfigId>(record.id)) {
        if (const auto config = decode_config(record.value); !config) {
            trouble(config.error());
        }
    } else if (const auto* strange = std::get_if<StrangeId>(&record.id)) {
        take_strange(strange->key);
    }
}

/// What lies where objects do may be meant for one that has an address.
void Survey::take_strange(const std::string& key) {
    const auto kind = std::ranges::find_if(kObjects, [&](Kind one) { return is_below(key, one); });
    if (kind == kObjects.end()) {
        unreadable_[key] = "is no key of IPAM's";
        return;
    }
    unreadable_[key] = misnamed(*kind);
    users_known_ = users_known_ && *kind == Kind::IPPool;
}

void Survey::take_resource(const Key& key, const Record& record) {
    if (key.kind == Kind::Node) {
        nodes_.insert(key.name);
        take_node(key, record.value);
    } else if (key.kind == Kind::WorkloadEndpoint) {
        take_endpoint(key, record.value);
    } else if (key.kind == Kind::IPPool) {
        const auto parsed = parse_stored(policy::to_string(key), key, record.value);
        if (!parsed || !parsed->resource) {
            unreadable_[policy::to_string(key)] = parsed ? parsed->error : parsed.error().text;
        }
    }
}

void Survey::lose_users(const Key& key, std::string why) {
    unreadable_[policy::to_string(key)] = std::move(why);
    users_known_ = false;
}

/// An invalid endpoint keeps, where it is in force, the addresses of its last valid version.
void Survey::take_endpoint(const Key& key, const std::string& value) {
    const auto parsed = parse_stored(policy::to_string(key), key, value);
    if (!parsed || !parsed->resource) {
        lose_users(key, parsed ? parsed->error : parsed.error().text);
        return;
    }
    for (const IpPrefix& network : parsed->resource->as<WorkloadEndpoint>().networks) {
        users_[nth(network, 0)].push_back(key.ns + "/" + key.name);
    }
}

void Survey::take_node(const Key& key, const std::string& value) {
    const auto root = parse_json("value", value);
    if (!root) {
        lose_users(key, root.error().text);
        return;
    }
    for (const Path& path : kTunnels) {
        const Node* const end = find(*root, path);
        if (end == nullptr || (end->type == Node::Type::Scalar && end->text.empty())) {
            continue;
        }
        const auto net = parse_prefix(end->text);
        if (net && is_host(*net)) {
            users_[nth(*net, 0)].push_back(policy::to_string(key));
        } else {
            lose_users(key, "'" + end->text + "' is no address");
        }
    }
}

void Survey::forget(const RecordId& id) {
    if (const auto* block = std::get_if<BlockId>(&id)) {
        blocks_.erase(block->cidr);
    } else if (const auto* claim = std::get_if<AffinityId>(&id)) {
        claims_.erase(*claim);
    } else if (const auto* handle = std::get_if<HandleId>(&id)) {
        handles_.erase(handle->id);
    }
    unreadable_.erase(to_string(id));
}

void Survey::apply(const std::vector<RecordWrite>& writes, std::int64_t revision) {
    for (const RecordWrite& write : writes) {
        forget(write.id);
        if (write.value) {
            take({write.id, *write.value, revision});
        }
    }
}

std::optional<AffinityState> Survey::claim(const std::string& host, const IpPrefix& cidr) const {
    const auto found = claims_.find(AffinityId{host, cidr});
    return found == claims_.end() ? std::nullopt : found->second.state;
}

std::vector<std::string> Survey::users_of(const IpAddr& address) const {
    const auto found = users_.find(address);
    return found == users_.end() ? std::vector<std::string>{} : found->second;
}

std::vector<Finding> Survey::findings(Time now, std::chrono::seconds grace) const {
    std::vector<Finding> found;
    find_leaks(now, grace, found);
    find_wrong_handles(found);
    find_claims(found);
    find_blocks(found);
    find_users(found);
    find_pools(found);
    for (const auto& [what, why] : unreadable_) {
        found.push_back({Trouble::Unreadable, what, why});
    }
    return found;
}

}  // namespace vr::policy::ipam
