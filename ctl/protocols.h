// Names of IP protocols and TCP flags, as policies and people write them.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace vr::ctl {

/// "tcp" (in any case) or a number 1-255.
[[nodiscard]] std::optional<std::uint8_t> parse_protocol(std::string_view text);

/// "tcp", or the number of a protocol without a name here.
[[nodiscard]] std::string protocol_text(std::uint8_t protocol);

/// "SA" (letters of FSRPAU in any order and case) as TCP's flags byte.
[[nodiscard]] std::optional<std::uint8_t> parse_tcp_flags(std::string_view text);

}  // namespace vr::ctl
