// FrameDecoder: messages in a byte stream, each behind a 4-byte length in network order.
//
// It is fed bytes as they arrive, in any splits, and hands out whole messages.  Memory grows with the
// bytes received, never with a length that a sender merely claims.  A length beyond the most that is
// allowed is how something that is not our peer shows itself: the stream cannot be followed from there
// on, and the connection must be closed.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "vrouter/net/result.h"
#include "vrouter/net/wire.h"

namespace vr {

/// Content bytes of one frame, unless told otherwise.
inline constexpr std::size_t kMaxFrame = std::size_t{64} << 20U;
/// Bytes of the length in front of a frame's content.
inline constexpr std::size_t kFrameLengthBytes = 4;

class FrameDecoder {
  public:
    /// `most`: content bytes of one frame.
    explicit FrameDecoder(std::size_t most = kMaxFrame) : most_(most) {}

    /// Appends what was received.
    void feed(Bytes received);

    /// The next whole message, which stays valid until the next feed(); nothing while more bytes are
    /// needed.  After an error the decoder must not be used again.
    [[nodiscard]] Result<std::optional<Bytes>> next();

    /// True when all that was received has been handed out.
    [[nodiscard]] bool is_empty() const { return read_ == buffer_.size(); }

  private:
    std::size_t most_;
    std::vector<std::uint8_t> buffer_;
    std::size_t read_ = 0;  ///< bytes of buffer_ already handed out
};

}  // namespace vr
