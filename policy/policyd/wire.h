// The stream's bytes: frames, and updates as they are encoded once for all hosts.
//
// A Chunk is one serialised element of Batch.updates.  Repeated fields may be concatenated, so a batch
// is put together from chunks that all hosts share, without encoding anything again.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "policy/model.h"
#include "policy/set_update.h"
#include "vrouter/net/frame.h"
#include "vrouter/net/prefix.h"
#include "vrouter/net/result.h"
#include "vrouter/net/wire.h"

namespace google::protobuf {
class MessageLite;
}

namespace vr::policyd {

namespace pb {
class FromHost;
class FromServer;
class ObjectId;
class ToDataplane;
}  // namespace pb

/// Version of the protocol: what a host would have to understand and does not makes another one.
inline constexpr std::uint32_t kProtocol = 1;

/// Bytes of a message of a host.
inline constexpr std::size_t kMostFromHost = 4096;

using Chunk = std::shared_ptr<const std::string>;

/// `reason`: why the present version does not count and `document`, the last valid one, does; empty: it is
/// the present one.
[[nodiscard]] Chunk object_update(
    const policy::Key& key, std::string_view document, std::string_view reason = {});
/// `update`, an object_update(), with another reason.
[[nodiscard]] Chunk with_reason(const Chunk& update, std::string_view reason);
[[nodiscard]] Chunk object_remove(const policy::Key& key);
[[nodiscard]] Chunk set_update(const policy::SetUpdate& update);
[[nodiscard]] Chunk own_blocks(const std::set<IpPrefix>& blocks);
[[nodiscard]] Chunk in_sync();

void set_id(pb::ObjectId& id, const policy::Key& key);

/// The bytes before and behind the chunks of a batch frame.
struct Envelope {
    std::string head;
    std::string tail;
};

[[nodiscard]] Envelope batch_frame(
    std::span<const Chunk> chunks, std::uint64_t sequence, bool more);

/// `message` as one frame.
[[nodiscard]] std::string frame(const google::protobuf::MessageLite& message);

/// The frame that says nothing but that the sender is there; Message: pb::FromServer or pb::FromHost.
template <typename Message>
[[nodiscard]] std::string ping_frame() {
    Message message;
    (void)message.mutable_ping();
    return frame(message);
}

[[nodiscard]] Result<pb::FromServer> parse_from_server(Bytes content);
[[nodiscard]] Result<pb::FromHost> parse_from_host(Bytes content);

[[nodiscard]] Result<policy::Key> read_key(const pb::ObjectId& id);

/// One update as a host reads it.
struct ObjectCame {
    policy::Key key;
    std::string document;
    std::string reason = {};  ///< why this is the last valid version in place of the present one
};

struct ObjectWent {
    policy::Key key;
};

struct OwnBlocks {
    std::set<IpPrefix> blocks;  ///< from now on
};

struct AllTold {};

using Update = std::variant<ObjectCame, ObjectWent, policy::SetUpdate, OwnBlocks, AllTold>;

/// Checks everything but the document, which is the reader's business.
[[nodiscard]] Result<Update> read_update(const pb::ToDataplane& message);

}  // namespace vr::policyd
