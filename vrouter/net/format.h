// Lets fmt print our vocabulary: everything of namespace vr that has a to_string().
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fmt/format.h>

#include <string>
#include <string_view>

#include "vrouter/net/addr.h"
#include "vrouter/net/ids.h"
#include "vrouter/net/prefix.h"

namespace vr {

/// Formats a value by its to_string(); base of the formatters below.
template <typename T>
struct TextFormatter : fmt::formatter<std::string_view> {
    template <typename Context>
    auto format(const T& value, Context& context) const {
        return fmt::formatter<std::string_view>::format(to_string(value), context);
    }
};

}  // namespace vr

template <>
struct fmt::formatter<vr::Ip4> : vr::TextFormatter<vr::Ip4> {};

template <>
struct fmt::formatter<vr::Ip6> : vr::TextFormatter<vr::Ip6> {};

template <>
struct fmt::formatter<vr::IpAddr> : vr::TextFormatter<vr::IpAddr> {};

template <>
struct fmt::formatter<vr::Mac> : vr::TextFormatter<vr::Mac> {};

template <vr::Family F>
struct fmt::formatter<vr::Prefix<F>> : vr::TextFormatter<vr::Prefix<F>> {};

template <>
struct fmt::formatter<vr::IpPrefix> : vr::TextFormatter<vr::IpPrefix> {};

template <typename Tag, typename Integer>
struct fmt::formatter<vr::Id<Tag, Integer>> : vr::TextFormatter<vr::Id<Tag, Integer>> {};
