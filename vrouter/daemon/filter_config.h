// Filters as the config writes them: all, none, local, a list of prefixes, or named lists of rules.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "bgp/filter.h"

namespace vr {
class YamlSection;
}  // namespace vr

namespace vr::daemon {

/// LOCAL_PREF, MED, an AS number: what four octets hold.
inline constexpr std::uint64_t kMost32 = 0xffffffffU;

using NamedFilters = std::map<std::string, bgp::Filter>;

/// Reads one of the section `filters`: its name, its rules and what becomes of other routes.
void read_named_filter(YamlSection& yaml, NamedFilters& filters);

/// The filter at `key` of a neighbour; nothing when the key is absent.
[[nodiscard]] std::optional<bgp::Filter> read_filter(
    YamlSection& yaml, const char* key, const NamedFilters& filters);

/// "10.0.0.0/8", "10.0.0.0/8 ge 24 le 32".
[[nodiscard]] std::optional<bgp::PrefixRule> parse_prefix_rule(const std::string& text);

}  // namespace vr::daemon
