// TCP resets: how the router tells the sender of a segment that policy rejects its connection.
//
// The answer is the one that the destination would give if nobody listened there, RFC 9293 3.10.7.1:
// it comes from the segment's destination, because a reset from anyone else would be ignored.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>

#include "vrouter/net/addr.h"
#include "vrouter/services/frame.h"

namespace vr::tcp {

/// The reset for the segment in `frame`, to go back out of the port that it came from, sent by `mac`;
/// nothing for a reset, a fragment, what is no whole TCP header, and for what no station sent to one.
template <Family F>
[[nodiscard]] std::optional<Frame> reset(Bytes frame, Mac mac);

}  // namespace vr::tcp
