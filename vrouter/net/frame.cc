// SPDX-License-Identifier: Apache-2.0
#include "vrouter/net/frame.h"

#include <fmt/core.h>

namespace vr {

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
    if (length > most_) {
        return fail(fmt::format("a frame claims {} bytes, at most {} are allowed", length, most_));
    }
    const Bytes content = reader.bytes(length);
    if (!reader.ok()) {
        return std::nullopt;
    }
    read_ += kFrameLengthBytes + length;
    return content;
}

}  // namespace vr
