// SPDX-License-Identifier: Apache-2.0
#include "bgp/framer.h"

namespace vr::bgp {

void Framer::feed(Bytes bytes) {
    buffer_.erase(buffer_.begin(), buffer_.begin() + static_cast<std::ptrdiff_t>(begin_));
    begin_ = 0;
    buffer_.insert(buffer_.end(), bytes.begin(), bytes.end());
}

Framer::Next Framer::next() {
    constexpr std::size_t kKept = 4096;
    if (begin_ == buffer_.size() && buffer_.capacity() > kKept) {
        // Hundreds of peers are silent most of the time: none keeps what a burst needed.
        buffer_ = {};
        begin_ = 0;
    }
    const Bytes unread = Bytes{buffer_}.subspan(begin_);
    if (unread.size() < kHeaderSize) {
        return std::monostate{};
    }
    auto header = decode_header(unread.first(kHeaderSize), most_);
    if (auto* bad = std::get_if<Notification>(&header)) {
        return std::move(*bad);
    }
    const auto& good = std::get<Header>(header);
    if (unread.size() < good.length) {
        return std::monostate{};
    }
    begin_ += good.length;
    return Message{.type = good.type, .whole = unread.first(good.length)};
}

}  // namespace vr::bgp
