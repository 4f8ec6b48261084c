// Text forms of addresses.  inet_pton/inet_ntop do the IPv6 work: glibc prints RFC 5952 form.
// SPDX-License-Identifier: Apache-2.0
#include "vrouter/net/addr.h"

#include <arpa/inet.h>

#include <charconv>
#include <system_error>

namespace vr {

namespace {

/// inet_pton wants a terminated string; no valid address text is longer than this.
constexpr std::size_t kMaxText = INET6_ADDRSTRLEN;

bool to_c_string(std::string_view text, std::array<char, kMaxText + 1>& out) {
    if (text.size() > kMaxText || text.find('\0') != std::string_view::npos) {
        return false;
    }
    out[text.copy(out.data(), text.size())] = '\0';
    return true;
}

}  // namespace

std::optional<Ip4> Ip4::parse(std::string_view text) {
    std::array<char, kMaxText + 1> terminated{};
    std::array<std::byte, 4> wire{};
    if (!to_c_string(text, terminated) || inet_pton(AF_INET, terminated.data(), wire.data()) != 1) {
        return std::nullopt;
    }
    return load(wire.data());
}

std::optional<Ip6> Ip6::parse(std::string_view text) {
    std::array<char, kMaxText + 1> terminated{};
    std::array<std::byte, 16> wire{};
    if (!to_c_string(text, terminated) ||
        inet_pton(AF_INET6, terminated.data(), wire.data()) != 1) {
        return std::nullopt;
    }
    return load(wire.data());
}

std::optional<Mac> Mac::parse(std::string_view text) {
    if (text.size() != 17) {
        return std::nullopt;
    }
    std::array<std::uint8_t, 6> bytes{};
    for (std::size_t i = 0; i < 6; ++i) {
        const char* digits = text.data() + i * 3;
        const auto [end, error] = std::from_chars(digits, digits + 2, bytes[i], 16);
        if (error != std::errc{} || end != digits + 2 || (i < 5 && digits[2] != ':')) {
            return std::nullopt;
        }
    }
    return Mac{bytes};
}

std::optional<IpAddr> parse_ip(std::string_view text) {
    if (const auto v4 = Ip4::parse(text)) {
        return *v4;
    }
    if (const auto v6 = Ip6::parse(text)) {
        return *v6;
    }
    return std::nullopt;
}

std::string to_string(Ip4 address) {
    std::array<std::byte, 4> wire{};
    std::array<char, INET_ADDRSTRLEN> text{};
    address.store(wire.data());
    return inet_ntop(AF_INET, wire.data(), text.data(), text.size());
}

std::string to_string(Ip6 address) {
    std::array<std::byte, 16> wire{};
    std::array<char, INET6_ADDRSTRLEN> text{};
    address.store(wire.data());
    return inet_ntop(AF_INET6, wire.data(), text.data(), text.size());
}

std::string to_string(const IpAddr& address) {
    return std::visit([](const auto& a) { return to_string(a); }, address);
}

std::string to_string(Mac mac) {
    constexpr std::string_view kDigits = "0123456789abcdef";
    std::string text;
    for (const auto byte : mac.bytes()) {
        if (!text.empty()) {
            text += ':';
        }
        text += kDigits[byte >> 4U];
        text += kDigits[byte & 0xfU];
    }
    return text;
}

}  // namespace vr
