// SPDX-License-Identifier: Apache-2.0
#include "policy/ipam/survey.h"

#include <algorithm>
#include <array>
#include <utility>

#include "policy/ipam/cidr.h"
#include "policy/json_document.h"

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

constexpr Path kNetworks{"spec", "ipNetworks", ""};

/// Where a Node says which tunnels end at it.
constexpr std::array<Path, 5> kTunnels{{
    {"spec", "bgp", "ipv4IPIPTunnelAddr"},
    {"spec", "ipv4VXLANTunnelAddr", ""},
    {"spec", "ipv6VXLANTunnelAddr", ""},
    {"spec", "wireguard", "interfaceIPv4Address"},
    {"spec", "wireguard", "interfaceIPv6Address"},
}};

}  // namespace

std::vector<Range> Survey::ranges() {
    return {
        BlocksOf{4},
        BlocksOf{6},
        AffinitiesOf{},
        AllHandles{},
        AllOf{Kind::IPPool},
        AllOf{Kind::Node},
        AllOf{Kind::WorkloadEndpoint}};
}

Survey::Survey(std::vector<Record> records) {
    // Without reservations and a configuration there is nothing that could be unreadable.
    std::erase_if(records, [](const Record& record) {
        return std::holds_alternative<ReservationId>(record.id);
    });
    settings_ = settings(records, std::nullopt, {}).value_or(Settings{});
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
    } else if (std::holds_alternative<StrangeId>(record.id)) {
        unreadable_[to_string(record.id)] = "is no key of IPAM's";
    }
}

void Survey::take_resource(const Key& key, const Record& record) {
    if (key.kind == Kind::Node) {
        nodes_.insert(key.name);
    }
    if (key.kind != Kind::Node && key.kind != Kind::WorkloadEndpoint) {
        return;
    }
    const auto root = parse_json("value", record.value);
    if (!root) {
        unreadable_[policy::to_string(key)] = root.error().text;
        users_known_ = false;
        return;
    }
    if (key.kind == Kind::WorkloadEndpoint) {
        if (const Node* networks = find(*root, kNetworks)) {
            for (const Node& network : networks->items) {
                take_user(network.text, key.ns + "/" + key.name);
            }
        }
        return;
    }
    for (const Path& path : kTunnels) {
        if (const Node* address = find(*root, path); address != nullptr && !address->text.empty()) {
            take_user(address->text, policy::to_string(key));
        }
    }
}

void Survey::take_user(const std::string& address, const std::string& user) {
    const auto net = parse_prefix(address);
    if (!net) {
        unreadable_[user] = "'" + address + "' is no address";
        users_known_ = false;
    } else if (length_of(*net) == width_of(*net)) {
        users_[nth(*net, 0)].push_back(user);
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
    for (const auto& [what, why] : unreadable_) {
        found.push_back({Trouble::Unreadable, what, why});
    }
    return found;
}

}  // namespace vr::policy::ipam
