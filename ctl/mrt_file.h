// What an MRT file given to a command may be instead.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "vrouter/net/wire.h"

namespace vr::ctl {

/// Why a file that begins so is none that `command` ("bgp read") reads: archives of them are compressed.
/// Empty: it is not.
[[nodiscard]] std::string compression_problem(Bytes begin, std::string_view command);

}  // namespace vr::ctl
