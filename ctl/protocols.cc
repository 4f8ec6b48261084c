// SPDX-License-Identifier: Apache-2.0
#include "ctl/protocols.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>

namespace vr::ctl {

namespace {

struct Protocol {
    std::uint8_t number;
    std::string_view name;
};

constexpr std::array kProtocols{
    Protocol{.number = 1, .name = "icmp"},
    Protocol{.number = 6, .name = "tcp"},
    Protocol{.number = 17, .name = "udp"},
    Protocol{.number = 58, .name = "icmpv6"},
    Protocol{.number = 132, .name = "sctp"},
    Protocol{.number = 136, .name = "udplite"},
};

bool same_in_any_case(std::string_view text, std::string_view lower) {
    return std::ranges::equal(text, lower, [](char a, char b) {
        return std::tolower(static_cast<unsigned char>(a)) == b;
    });
}

}  // namespace

std::optional<std::uint8_t> parse_protocol(std::string_view text) {
    for (const auto& [number, name] : kProtocols) {
        if (same_in_any_case(text, name)) {
            return number;
        }
    }
    std::uint8_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc{} || end != text.data() + text.size() || number == 0) {
        return std::nullopt;
    }
    return number;
}

std::optional<std::uint8_t> parse_tcp_flags(std::string_view text) {
    constexpr std::string_view kLetters = "fsrpau";  // from the lowest bit on, RFC 9293 3.1
    unsigned flags = 0;
    for (const char letter : text) {
        const auto bit =
            kLetters.find(static_cast<char>(std::tolower(static_cast<unsigned char>(letter))));
        if (bit == std::string_view::npos) {
            return std::nullopt;
        }
        flags |= 1U << bit;
    }
    return text.empty() ? std::nullopt : std::optional{static_cast<std::uint8_t>(flags)};
}

std::string protocol_text(std::uint8_t protocol) {
    const auto* found = std::ranges::find(kProtocols, protocol, &Protocol::number);
    return found == kProtocols.end() ? std::to_string(protocol) : std::string(found->name);
}

}  // namespace vr::ctl
