// SPDX-License-Identifier: Apache-2.0
#include "ctl/framing.h"

#include <fmt/core.h>

#include <vrouter.pb.h>

#include "vrouter/net/byte_order.h"

namespace vr::ctl {

namespace {

template <typename Message>
Result<Message> parse(Bytes content, const char* what) {
    Message message;
    if (!message.ParseFromArray(content.data(), static_cast<int>(content.size()))) {
        return fail(fmt::format("a frame of {} bytes holds no {}", content.size(), what));
    }
    return message;
}

}  // namespace

Result<std::string> frame(const google::protobuf::MessageLite& message) {
    const std::size_t length = message.ByteSizeLong();
    if (length > kMaxFrame) {
        return fail(fmt::format("a message of {} bytes exceeds {}", length, kMaxFrame));
    }
    std::string bytes(kFrameLengthBytes, '\0');
    store_be(bytes.data(), static_cast<std::uint32_t>(length));
    message.AppendToString(&bytes);
    return bytes;
}

Result<pb::Request> parse_request(Bytes content) {
    return parse<pb::Request>(content, "request");
}

Result<pb::Response> parse_response(Bytes content) {
    return parse<pb::Response>(content, "response");
}

}  // namespace vr::ctl
