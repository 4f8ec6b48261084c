// HostPort: "policyd.example:5474", "192.0.2.1", "[2001:db8::1]:5474", "2001:db8::1".
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <charconv>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace vr {

/// Where vrouter-policyd listens, unless told otherwise.
inline constexpr std::uint16_t kPolicydPort = 5474;

/// A host by name or address, and a TCP port there.
struct HostPort {
    std::string host;
    std::uint16_t port = 0;

    /// Nothing when `text` is none of the above; `port` is meant where it names none.
    [[nodiscard]] static std::optional<HostPort> parse(std::string_view text, std::uint16_t port) {
        HostPort parsed{{}, port};
        std::string_view rest;
        if (text.starts_with('[')) {
            const auto end = text.find(']');
            if (end == std::string_view::npos) {
                return std::nullopt;
            }
            parsed.host = text.substr(1, end - 1);
            rest = text.substr(end + 1);
        } else {
            // A bare IPv6 address has more than one colon: then no port follows.
            const auto colon = text.find(':');
            const bool bare = colon != text.rfind(':');
            parsed.host = bare ? text : text.substr(0, colon);
            rest = bare || colon == std::string_view::npos ? "" : text.substr(colon);
        }
        if (!rest.empty()) {
            const auto* last = rest.data() + rest.size();
            const auto [end, error] = std::from_chars(rest.data() + 1, last, parsed.port);
            if (rest.front() != ':' || error != std::errc{} || end != last) {
                return std::nullopt;
            }
        }
        return parsed.host.empty() ? std::nullopt : std::optional(std::move(parsed));
    }

    friend bool operator==(const HostPort&, const HostPort&) = default;
};

}  // namespace vr
