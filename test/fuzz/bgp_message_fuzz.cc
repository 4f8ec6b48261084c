// Fuzz target of bgp/: the bytes of a hostile peer, cut into reads at any place, go through framing and
// every decoder; what an UPDATE announces must survive being packed and read again.
//
// Input: one byte of flags (AS width, peer kind, path identifiers), one byte with the size of reads, then the stream.
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <variant>
#include <vector>

#include "bgp/framer.h"
#include "bgp/negotiation.h"
#include "bgp/update.h"

namespace {

using namespace vr;
using namespace vr::bgp;

void check(bool invariant) {
    if (!invariant) {
        std::abort();
    }
}

template <Family F>
void check_round_trip(const Update& update, const AttributeContext& context) {
    const Reach<F>& reach = update.of<F>();
    static_cast<void>(to_string(reach.attributes));
    if (reach.announced.empty()) {
        return;
    }
    std::vector<std::uint8_t> packed;
    const std::span<const Prefix<F>> prefixes{reach.announced};
    if (pack_announcements<F>(reach.attributes, context, prefixes, packed, reach.announced_ids) ==
        0) {
        return;  // grew beyond a message: AS4_PATH was merged, lengths became extended
    }
    Framer framer;
    framer.feed(packed);
    std::vector<Prefix<F>> again;
    std::vector<std::uint32_t> again_ids;
    for (auto next = framer.next(); !std::holds_alternative<std::monostate>(next);
         next = framer.next()) {
        check(std::holds_alternative<Framer::Message>(next));
        const auto decoded = decode_update(std::get<Framer::Message>(next).body(), context);
        check(std::holds_alternative<Update>(decoded));
        const Reach<F>& part = std::get<Update>(decoded).of<F>();
        again.insert(again.end(), part.announced.begin(), part.announced.end());
        again_ids.insert(again_ids.end(), part.announced_ids.begin(), part.announced_ids.end());
        check(part.attributes.as_path.length() == reach.attributes.as_path.length());
        check(part.attributes.communities == reach.attributes.communities);
    }
    check(again == reach.announced);
    check(again_ids == reach.announced_ids);
}

void read_message(const Framer::Message& message, const AttributeContext& context) {
    switch (message.type) {
        case MessageType::Open: {
            const auto open = decode_open(message.body());
            if (const auto* good = std::get_if<Open>(&open)) {
                PeerConfig peer;
                peer.asn = good->asn();
                static_cast<void>(
                    negotiate({.asn = Asn{65001}, .identifier = Ip4{1}}, peer, *good));
                static_cast<void>(to_string(good->capabilities));
            }
            break;
        }
        case MessageType::Update: {
            const auto update = decode_update(message.body(), context);
            if (const auto* good = std::get_if<Update>(&update)) {
                check_round_trip<V4>(*good, context);
                check_round_trip<V6>(*good, context);
            } else {
                check(std::get<Notification>(update).code == ErrorCode::Update);
            }
            break;
        }
        case MessageType::Notification:
            static_cast<void>(to_string(decode_notification(message.body())));
            break;
        case MessageType::RouteRefresh:
            static_cast<void>(decode_route_refresh(message.body()));
            break;
        case MessageType::Keepalive:
            check(message.body().empty());
            break;
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 2) {
        return 0;
    }
    const AttributeContext context{
        .as_width = (data[0] & 1U) != 0 ? AsWidth::Two : AsWidth::Four,
        .peer = (data[0] & 2U) != 0 ? PeerKind::Internal : PeerKind::External,
        .path_ids4 = (data[0] & 4U) != 0,
        .path_ids6 = (data[0] & 8U) != 0};
    const std::size_t read = std::max<std::size_t>(1, data[1]) * 8U;
    Framer framer;
    for (Bytes stream{data + 2, size - 2}; !stream.empty();) {
        const Bytes part = stream.first(std::min(read, stream.size()));
        stream = stream.subspan(part.size());
        framer.feed(part);
        for (auto next = framer.next(); !std::holds_alternative<std::monostate>(next);
             next = framer.next()) {
            if (std::holds_alternative<Notification>(next)) {
                return 0;
            }
            read_message(std::get<Framer::Message>(next), context);
        }
    }
    return 0;
}
