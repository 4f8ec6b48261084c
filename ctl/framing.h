// Requests and responses as frames of the control socket (vrouter/net/frame.h).
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "vrouter/net/frame.h"
#include "vrouter/net/result.h"

namespace google::protobuf {
class MessageLite;
}

namespace vr::ctl {

namespace pb {
class Request;
class Response;
}  // namespace pb

/// `message` as one frame; an error when it is larger than kMaxFrame.
[[nodiscard]] Result<std::string> frame(const google::protobuf::MessageLite& message);

/// Decodes the content of one frame.
[[nodiscard]] Result<pb::Request> parse_request(Bytes content);
[[nodiscard]] Result<pb::Response> parse_response(Bytes content);

}  // namespace vr::ctl
