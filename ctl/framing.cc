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

void FrameDecoder::feed(Bytes received) {
    // What was handed out is dropped here, not in next(): the caller may still be reading it.
    buffer_.erase(buffer_.begin(), buffer_.begin() + static_cast<std::ptrdiff_t>(read_));
    read_ = 0;
    buffer_.insert(buffer_.end(), received.begin(), received.end());
}

Result<std::optional<Bytes>> FrameDecoder::next() {
    Reader reader{Bytes{buffer_}.subspan(read_)};
    const std::size_t length = reader.u32();
    if (!reader.ok()) {
        return std::nullopt;
    }
    if (length > kMaxFrame) {
        return fail(fmt::format(
            "a frame claims {} bytes, at most {} are allowed: this is no vrouterctl",
            length,
            kMaxFrame));
    }
    const Bytes content = reader.bytes(length);
    if (!reader.ok()) {
        return std::nullopt;
    }
    read_ += kLengthBytes + length;
    return content;
}

Result<std::string> frame(const google::protobuf::MessageLite& message) {
    const std::size_t length = message.ByteSizeLong();
    if (length > kMaxFrame) {
        return fail(fmt::format("a message of {} bytes exceeds {}", length, kMaxFrame));
    }
    std::string bytes(kLengthBytes, '\0');
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
