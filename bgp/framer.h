// Framer: bytes of a TCP stream in, whole BGP messages out.
//
// A header is judged as soon as its 19 octets are there, before the body is waited for.  After an
// error the stream yields the same error again.  The shell feeds more only when the messages of what it
// fed before are taken, so the buffer stays as small as one read.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <variant>
#include <vector>

#include "bgp/message.h"

namespace vr::bgp {

class Framer {
  public:
    struct Message {
        MessageType type;
        Bytes whole;  ///< valid until the next call

        [[nodiscard]] Bytes body() const { return whole.subspan(kHeaderSize); }
    };

    /// Nothing yet, a message, or the end of the session.
    using Next = std::variant<std::monostate, Message, Notification>;

    void feed(Bytes bytes);

    /// The longest message that is accepted from now on.
    void set_most(std::size_t most) noexcept { most_ = most; }

    [[nodiscard]] Next next();

    /// Bytes fed and not yet handed out.
    [[nodiscard]] std::size_t buffered() const noexcept { return buffer_.size() - begin_; }

    void clear() noexcept {
        buffer_.clear();
        begin_ = 0;
        most_ = kMaxMessage;
    }

  private:
    std::vector<std::uint8_t> buffer_;
    std::size_t most_ = kMaxMessage;
    std::size_t begin_ = 0;  ///< first byte not yet handed out
};

}  // namespace vr::bgp
