// Frames on the control socket: a 4-byte length in network order, then that many bytes of message.
//
// FrameDecoder is fed bytes as they arrive, in any splits, and hands out whole messages.  Memory grows
// with the bytes received, never with a length that a sender merely claims.  A claimed length beyond
// kMaxFrame is how something that is not our client shows itself: the stream cannot be followed from
// there on, and the connection must be closed.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "vrouter/net/result.h"
#include "vrouter/net/wire.h"

namespace google::protobuf {
class MessageLite;
}

namespace vr::ctl {

namespace pb {
class Request;
class Response;
}  // namespace pb

inline constexpr std::size_t kMaxFrame = std::size_t{64} << 20U;
inline constexpr std::size_t kLengthBytes = 4;

class FrameDecoder {
  public:
    /// Appends what was received.
    void feed(Bytes received);

    /// The next whole message, which stays valid until the next feed(); nothing while more bytes are
    /// needed.  After an error the decoder must not be used again.
    [[nodiscard]] Result<std::optional<Bytes>> next();

  private:
    std::vector<std::uint8_t> buffer_;
    std::size_t read_ = 0;  ///< bytes of buffer_ already handed out
};

/// `message` as one frame; an error when it is larger than kMaxFrame.
[[nodiscard]] Result<std::string> frame(const google::protobuf::MessageLite& message);

/// Decodes the content of one frame.
[[nodiscard]] Result<pb::Request> parse_request(Bytes content);
[[nodiscard]] Result<pb::Response> parse_response(Bytes content);

}  // namespace vr::ctl
