// A YAML document as JSON, for `get -o json`: what YAML 1.2's core schema calls a number, a boolean or
// null becomes one unless it was quoted.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

#include <boost/json/value.hpp>

namespace vr::ctl {

/// Text that is no YAML comes back as a string, for the reader to see what is stored.
[[nodiscard]] boost::json::value yaml_to_json(std::string_view text);

}  // namespace vr::ctl
