// SPDX-License-Identifier: Apache-2.0
#include "policy/policyd/wire.h"

#include <fmt/format.h>

#include <array>
#include <map>
#include <utility>

#include <policyd.pb.h>

#include "vrouter/net/byte_order.h"

namespace vr::policyd {

namespace {

using policy::Key;
using policy::Kind;
using policy::SetUpdate;

constexpr std::size_t kMaxText = 64U << 10U;  ///< of a selector or name in an id

// Field numbers that batch_frame() writes by hand: FromServer.batch, Batch.updates, .more, .sequence_number.
constexpr unsigned kBatchTag = 3U << 3U | 2U;
constexpr unsigned kUpdatesTag = 1U << 3U | 2U;
constexpr unsigned kMoreTag = 2U << 3U;
constexpr unsigned kSequenceTag = 15U << 3U;

void put_varint(std::string& out, std::uint64_t value) {
    while (value >= 0x80U) {
        out.push_back(static_cast<char>((value & 0x7fU) | 0x80U));
        value >>= 7U;
    }
    out.push_back(static_cast<char>(value));
}

/// `message` as an element of Batch.updates.
Chunk chunk(const pb::ToDataplane& message) {
    std::string bytes;
    put_varint(bytes, kUpdatesTag);
    put_varint(bytes, message.ByteSizeLong());
    message.AppendToString(&bytes);
    return std::make_shared<const std::string>(std::move(bytes));
}

pb::ObjectUpdate& update_for(pb::ToDataplane& message, Kind kind) {
    switch (kind) {
        case Kind::Profile:
            return *message.mutable_active_profile_update();
        case Kind::NetworkPolicy:
        case Kind::GlobalNetworkPolicy:
            return *message.mutable_active_policy_update();
        case Kind::HostEndpoint:
            return *message.mutable_host_endpoint_update();
        case Kind::WorkloadEndpoint:
            return *message.mutable_workload_endpoint_update();
        case Kind::Node:
            return *message.mutable_host_metadata_update();
        case Kind::IPPool:
            return *message.mutable_ipam_pool_update();
        default:
            return *message.mutable_object_update();
    }
}

pb::ObjectRemove& remove_for(pb::ToDataplane& message, Kind kind) {
    switch (kind) {
        case Kind::Profile:
            return *message.mutable_active_profile_remove();
        case Kind::NetworkPolicy:
        case Kind::GlobalNetworkPolicy:
            return *message.mutable_active_policy_remove();
        case Kind::HostEndpoint:
            return *message.mutable_host_endpoint_remove();
        case Kind::WorkloadEndpoint:
            return *message.mutable_workload_endpoint_remove();
        case Kind::Node:
            return *message.mutable_host_metadata_remove();
        case Kind::IPPool:
            return *message.mutable_ipam_pool_remove();
        default:
            return *message.mutable_object_remove();
    }
}

// --- members --------------------------------------------------------------------------------

template <Family F>
void append(std::string& out, const Prefix<F>& network) {
    std::array<char, F::kBits / 8> bytes{};
    network.address().store(bytes.data());
    out.append(bytes.data(), bytes.size());
    out.push_back(static_cast<char>(network.length()));
}

/// Into the list of its family.
template <typename Message>
void append(Message& message, const IpPrefix& network) {
    if (const auto* net4 = std::get_if<Prefix<V4>>(&network)) {
        append(*message.mutable_networks4(), *net4);
    } else {
        append(*message.mutable_networks6(), std::get<Prefix<V6>>(network));
    }
}

template <typename Add>
void fill(const std::vector<policy::PortMember>& members, Add add) {
    std::map<L4Port, pb::Members*> by_port;
    for (const auto& [port, network] : members) {
        pb::Members*& group = by_port[port];
        if (group == nullptr) {
            group = add();
            group->set_port(port.value());
        }
        append(*group, network);
    }
}

/// False when `bytes` are no list of prefixes of the family.
template <Family F, typename Take>
bool read_networks(const std::string& bytes, Take take) {
    Reader reader{Bytes{reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()}};
    while (!reader.empty()) {
        const Bytes wire = reader.bytes(F::kBits / 8);
        const unsigned length = reader.u8();
        if (!reader.ok()) {
            return false;
        }
        const auto address = F::Addr::load(wire.data());
        const auto prefix = Prefix<F>::make(address, length);
        // Host bits would make two texts of one member.
        if (!prefix || prefix->address() != address) {
            return false;
        }
        take(IpPrefix{*prefix});
    }
    return true;
}

template <typename List>
Result<std::vector<policy::PortMember>> read_members(
    const policy::SetName& name, const List& list) {
    std::vector<policy::PortMember> members;
    for (const pb::Members& group : list) {
        const std::uint32_t number = group.port();
        if (number > 0xffffU || (name.port.empty() && number != 0)) {
            return fail(fmt::format("set {}: {} is no port number here", name.selector, number));
        }
        const L4Port port{static_cast<std::uint16_t>(number)};
        const auto take = [&](IpPrefix network) { members.emplace_back(port, network); };
        if (!read_networks<V4>(group.networks4(), take) ||
            !read_networks<V6>(group.networks6(), take)) {
            return fail("set " + name.selector + ": its members are no list of prefixes");
        }
    }
    return members;
}

// --- reading --------------------------------------------------------------------------------

Result<policy::SetName> read_id(const pb::SetId& id) {
    if (id.selector().size() > kMaxText || id.port().size() > kMaxText || id.protocol() > 0xffU) {
        return fail("a set's id is too long or names no protocol");
    }
    return policy::SetName{id.selector(), id.port(), static_cast<std::uint8_t>(id.protocol())};
}

Result<Update> read(const pb::ObjectUpdate& message) {
    auto key = read_key(message.id());
    if (!key) {
        return std::unexpected(std::move(key).error());
    }
    return ObjectCame{*std::move(key), message.document(), message.reason()};
}

Result<Update> read(const pb::ObjectRemove& message) {
    auto key = read_key(message.id());
    if (!key) {
        return std::unexpected(std::move(key).error());
    }
    return ObjectWent{*std::move(key)};
}

template <typename Added, typename Removed>
Result<Update> read_set(
    const pb::SetId& id, SetUpdate::How how, const Added& added, const Removed& removed) {
    auto name = read_id(id);
    if (!name) {
        return std::unexpected(std::move(name).error());
    }
    auto in = read_members(*name, added);
    auto out = read_members(*name, removed);
    if (!in || !out) {
        return std::unexpected(std::move(in ? out : in).error());
    }
    return SetUpdate{*std::move(name), how, *std::move(in), *std::move(out)};
}

Result<Update> read(const pb::OwnBlocks& message) {
    OwnBlocks own;
    const auto take = [&](IpPrefix block) { own.blocks.insert(block); };
    if (!read_networks<V4>(message.networks4(), take) ||
        !read_networks<V6>(message.networks6(), take)) {
        return fail("the blocks of this host are no list of prefixes");
    }
    return own;
}

template <typename Message>
Result<Message> parse(Bytes content, const char* what) {
    Message message;
    if (!message.ParseFromArray(content.data(), static_cast<int>(content.size())) ||
        message.content_case() == Message::CONTENT_NOT_SET) {
        return fail(fmt::format("a frame of {} bytes holds no {}", content.size(), what));
    }
    return message;
}

}  // namespace

// --- writing --------------------------------------------------------------------------------

void set_id(pb::ObjectId& id, const Key& key) {
    id.set_kind(std::string(row_of(key.kind).name));
    id.set_namespace_(key.ns);
    id.set_name(key.name);
}

Chunk object_update(const Key& key, std::string_view document, std::string_view reason) {
    pb::ToDataplane message;
    pb::ObjectUpdate& update = update_for(message, key.kind);
    set_id(*update.mutable_id(), key);
    update.set_document(std::string(document));
    update.set_reason(std::string(reason));
    return chunk(message);
}

Chunk with_reason(const Chunk& update, std::string_view reason) {
    pb::Batch batch;
    if (!batch.ParseFromString(*update) || batch.updates_size() != 1) {
        return update;
    }
    const auto read = read_update(batch.updates(0));
    const auto* came = read ? std::get_if<ObjectCame>(&*read) : nullptr;
    return came != nullptr ? object_update(came->key, came->document, reason) : update;
}

Chunk object_remove(const Key& key) {
    pb::ToDataplane message;
    set_id(*remove_for(message, key.kind).mutable_id(), key);
    return chunk(message);
}

Chunk set_update(const SetUpdate& update) {
    const auto& [selector, port, protocol] = update.name;
    pb::SetId id;
    id.set_selector(selector);
    id.set_port(port);
    id.set_protocol(protocol);
    pb::ToDataplane message;
    switch (update.how) {
        case SetUpdate::How::Replace: {
            auto& whole = *message.mutable_ipset_update();
            *whole.mutable_id() = std::move(id);
            fill(update.added, [&] { return whole.add_members(); });
            break;
        }
        case SetUpdate::How::Change: {
            auto& delta = *message.mutable_ipset_delta_update();
            *delta.mutable_id() = std::move(id);
            fill(update.added, [&] { return delta.add_added(); });
            fill(update.removed, [&] { return delta.add_removed(); });
            break;
        }
        case SetUpdate::How::Forget:
            *message.mutable_ipset_remove()->mutable_id() = std::move(id);
            break;
    }
    return chunk(message);
}

Chunk own_blocks(const std::set<IpPrefix>& blocks) {
    pb::ToDataplane message;
    auto& own = *message.mutable_own_blocks();
    for (const IpPrefix& block : blocks) {
        append(own, block);
    }
    return chunk(message);
}

Chunk in_sync() {
    pb::ToDataplane message;
    (void)message.mutable_in_sync();
    return chunk(message);
}

Envelope batch_frame(std::span<const Chunk> chunks, std::uint64_t sequence, bool more) {
    Envelope envelope;
    if (more) {
        put_varint(envelope.tail, kMoreTag);
        put_varint(envelope.tail, 1);
    }
    put_varint(envelope.tail, kSequenceTag);
    put_varint(envelope.tail, sequence);
    std::size_t batch = envelope.tail.size();
    for (const auto& part : chunks) {
        batch += part->size();
    }
    std::string wrap;
    put_varint(wrap, kBatchTag);
    put_varint(wrap, batch);
    envelope.head.resize(kFrameLengthBytes);
    store_be(envelope.head.data(), static_cast<std::uint32_t>(wrap.size() + batch));
    envelope.head += wrap;
    return envelope;
}

std::string frame(const google::protobuf::MessageLite& message) {
    std::string bytes(kFrameLengthBytes, '\0');
    store_be(bytes.data(), static_cast<std::uint32_t>(message.ByteSizeLong()));
    message.AppendToString(&bytes);
    return bytes;
}

// --- reading --------------------------------------------------------------------------------

Result<pb::FromServer> parse_from_server(Bytes content) {
    return parse<pb::FromServer>(content, "message of vrouter-policyd");
}

Result<pb::FromHost> parse_from_host(Bytes content) {
    return parse<pb::FromHost>(content, "message of a host");
}

Result<Key> read_key(const pb::ObjectId& id) {
    const auto kind = policy::find_kind(id.kind());
    if (!kind || id.name().empty() || id.name().size() > kMaxText ||
        id.namespace_().size() > kMaxText || row_of(*kind).namespaced == id.namespace_().empty()) {
        return fail(fmt::format("{} {}/{} is no object", id.kind(), id.namespace_(), id.name()));
    }
    return Key{*kind, id.namespace_(), id.name()};
}

Result<Update> read_update(const pb::ToDataplane& message) {
    using How = SetUpdate::How;
    static const google::protobuf::RepeatedPtrField<pb::Members> kNone;
    switch (message.payload_case()) {
        case pb::ToDataplane::kInSync:
            return AllTold{};
        case pb::ToDataplane::kIpsetUpdate: {
            const auto& whole = message.ipset_update();
            return read_set(whole.id(), How::Replace, whole.members(), kNone);
        }
        case pb::ToDataplane::kIpsetDeltaUpdate: {
            const auto& delta = message.ipset_delta_update();
            return read_set(delta.id(), How::Change, delta.added(), delta.removed());
        }
        case pb::ToDataplane::kIpsetRemove:
            return read_set(message.ipset_remove().id(), How::Forget, kNone, kNone);
        case pb::ToDataplane::kActiveProfileUpdate:
            return read(message.active_profile_update());
        case pb::ToDataplane::kActiveProfileRemove:
            return read(message.active_profile_remove());
        case pb::ToDataplane::kActivePolicyUpdate:
            return read(message.active_policy_update());
        case pb::ToDataplane::kActivePolicyRemove:
            return read(message.active_policy_remove());
        case pb::ToDataplane::kHostEndpointUpdate:
            return read(message.host_endpoint_update());
        case pb::ToDataplane::kHostEndpointRemove:
            return read(message.host_endpoint_remove());
        case pb::ToDataplane::kWorkloadEndpointUpdate:
            return read(message.workload_endpoint_update());
        case pb::ToDataplane::kWorkloadEndpointRemove:
            return read(message.workload_endpoint_remove());
        case pb::ToDataplane::kHostMetadataUpdate:
            return read(message.host_metadata_update());
        case pb::ToDataplane::kHostMetadataRemove:
            return read(message.host_metadata_remove());
        case pb::ToDataplane::kIpamPoolUpdate:
            return read(message.ipam_pool_update());
        case pb::ToDataplane::kIpamPoolRemove:
            return read(message.ipam_pool_remove());
        case pb::ToDataplane::kObjectUpdate:
            return read(message.object_update());
        case pb::ToDataplane::kObjectRemove:
            return read(message.object_remove());
        case pb::ToDataplane::kOwnBlocks:
            return read(message.own_blocks());
        case pb::ToDataplane::PAYLOAD_NOT_SET:
            break;
    }
    return fail("an update of a kind that is not known here");
}

}  // namespace vr::policyd
