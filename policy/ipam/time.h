// Times in attributes of allocations, "2026-11-22 07:10:17 +0000 UTC", as Calico writes them.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace vr::policy::ipam {

using Time = std::chrono::system_clock::time_point;

[[nodiscard]] std::string time_text(Time time);

/// To the second; nothing for other forms than Calico's.
[[nodiscard]] std::optional<Time> parse_time(std::string_view text);

}  // namespace vr::policy::ipam
