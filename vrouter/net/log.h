// One event, one line: "bgp 192.0.2.1: OpenSent -> Idle: hold timer expired".
//
// error = a person must act; warning = degraded but working; info = a change of state that an
// operator looks for; debug = the rest.  Never called per packet.  Hides spdlog; any thread may log.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fmt/core.h>

#include <string_view>
#include <utility>

#include "vrouter/net/format.h"

namespace vr::log {

enum class Level { Debug, Info, Warning, Error, Off };

/// Sends lines of `level` and above to standard error.  Called once at start.
void start(Level level);

/// True when lines of `level` are written: guards expensive arguments.
[[nodiscard]] bool enabled(Level level) noexcept;

void write(Level level, std::string_view line);

template <typename... Args>
void debug(fmt::format_string<Args...> format, Args&&... args) {
    if (enabled(Level::Debug)) {
        write(Level::Debug, fmt::format(format, std::forward<Args>(args)...));
    }
}

template <typename... Args>
void info(fmt::format_string<Args...> format, Args&&... args) {
    write(Level::Info, fmt::format(format, std::forward<Args>(args)...));
}

template <typename... Args>
void warning(fmt::format_string<Args...> format, Args&&... args) {
    write(Level::Warning, fmt::format(format, std::forward<Args>(args)...));
}

template <typename... Args>
void error(fmt::format_string<Args...> format, Args&&... args) {
    write(Level::Error, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace vr::log
