// What vrouterctl's exit code tells a script.  Stable: `vrouterctl --help` prints this table.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <string_view>

namespace vr::ctl {

enum class Exit : int {
    Ok = 0,
    Refused = 1,
    Usage = 2,
    Unreachable = 3,
    Dropped = 4,
};

struct ExitMeaning {
    Exit code;
    std::string_view meaning;
};

inline constexpr std::array kExitMeanings{
    ExitMeaning{.code = Exit::Ok, .meaning = "done"},
    ExitMeaning{
        .code = Exit::Refused,
        .meaning = "the router refused, or what was asked for does not exist; selector, policy and "
                   "ipam: no match, a failed case, a finding; bgp read: not all is understood"},
    ExitMeaning{
        .code = Exit::Usage,
        .meaning = "the command line is wrong; selector and policy: the selector or a file is"},
    ExitMeaning{
        .code = Exit::Unreachable, .meaning = "the router cannot be reached or does not answer"},
    ExitMeaning{.code = Exit::Dropped, .meaning = "trace: the packet would be dropped"},
};

}  // namespace vr::ctl
