// Commands that vrouterctl answers by itself, without a router: tests of selectors and policies for
// users' own CI, MRT files; and what it makes of files for a router.  The meaning is policy/'s and bgp/'s; here are the words for it, as messages and
// on the terminal.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>

#include <vrouter.pb.h>

#include "ctl/argument.h"
#include "ctl/exit_code.h"
#include "vrouter/net/result.h"

namespace vr::ctl {

struct Files;
using Ask = std::function<Result<pb::Response>(const pb::Request& request)>;
using ShowFrame = std::function<void(const pb::Response& frame)>;

// What was found; an error: the command line is wrong.
[[nodiscard]] Result<pb::Response> test_selector(const Values& values, const Files& files);
[[nodiscard]] Result<pb::Response> test_policy(const Values& values, const Files& files);
[[nodiscard]] Result<pb::Response> lint_policy(const Values& values, const Files& files);

// The same, shown frame by frame.
[[nodiscard]] Result<void> read_mrt(
    const Values& values, const Files& files, const ShowFrame& show);

// What the router answered.
[[nodiscard]] Result<pb::Response> load_mrt(
    const Values& values, const Files& files, const Ask& ask);

// As text.
[[nodiscard]] std::string selector_text(const pb::Response& frame);
[[nodiscard]] std::string policy_test_text(const pb::Response& frame);
[[nodiscard]] std::string policy_lint_text(const pb::Response& frame);
[[nodiscard]] std::string mrt_text(const pb::Response& frame);
[[nodiscard]] std::string bgp_loaded_text(const pb::Response& frame);

// As exit code.
[[nodiscard]] Exit selector_exit(const pb::Response& frame);
[[nodiscard]] Exit policy_test_exit(const pb::Response& frame);
[[nodiscard]] Exit policy_lint_exit(const pb::Response& frame);
[[nodiscard]] Exit mrt_exit(const pb::Response& frame);
[[nodiscard]] Exit bgp_loaded_exit(const pb::Response& frame);

}  // namespace vr::ctl
