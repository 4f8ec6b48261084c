// SPDX-License-Identifier: Apache-2.0
#include "bgp/filter.h"

#include <fmt/core.h>

namespace vr::bgp {

PrefixRule PrefixRule::exact(const IpPrefix& prefix) {
    const unsigned length = std::visit([](const auto& p) { return p.length(); }, prefix);
    return PrefixRule{.prefix = prefix, .ge = length, .le = length};
}

std::string to_string(const Filter& filter) {
    switch (filter.kind) {
        case Filter::Kind::None:
            return "none";
        case Filter::Kind::All:
            return "all";
        case Filter::Kind::Local:
            return "local";
        case Filter::Kind::List:
            break;
    }
    std::string text;
    for (const PrefixRule& rule : filter.rules) {
        text += fmt::format(
            "{}{} ge {} le {}", text.empty() ? "" : ", ", to_string(rule.prefix), rule.ge, rule.le);
    }
    return text;
}

}  // namespace vr::bgp
