// Words on the command line -> a request, or what to tell the person who typed them.
//
// Built from the rows of commands.cc; knows no command by itself.  Pure but for `read`, which fetches
// the files that -f names.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "ctl/commands.h"
#include "ctl/exit_code.h"
#include "vrouter/net/result.h"

namespace vr::ctl {

/// A command to carry out.
struct Invocation {
    const Command* command = nullptr;
    Values values;
    pb::Request request;
    std::string socket;
    std::chrono::seconds timeout{10};  ///< to reach the router, or until it is as wanted
    std::chrono::seconds answer{10};   ///< until it answers; 0: as long as it takes
    bool json = false;
};

/// Nothing to carry out: help that was asked for (Exit::Ok), or a usage error.
struct Notice {
    Exit exit = Exit::Usage;
    std::string text;
};

using ReadFile = std::function<Result<std::string>(const std::string& name)>;

/// `words` are argv without the program's name; `default_socket` is used without --socket.
[[nodiscard]] std::variant<Invocation, Notice> parse(
    std::vector<std::string> words, const std::string& default_socket, const ReadFile& read);

/// The bash completion script for all commands.
[[nodiscard]] std::string bash_completion();

}  // namespace vr::ctl
