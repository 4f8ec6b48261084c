// Addresses and address families: Ip4, Ip6, Mac, and V4/V6 as the parameter of every template that
// serves both families.
//
// Addresses are values in host order inside (so that they compare and mask cheaply) and know how to
// load and store themselves in wire order.  Text forms: RFC 4291 2.2 / RFC 5952 for IPv6.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "vrouter/net/byte_order.h"

namespace vr {

/// An IPv4 address.
class Ip4 {
  public:
    constexpr Ip4() noexcept = default;

    constexpr explicit Ip4(std::uint32_t host_order) noexcept : value_(host_order) {}

    /// Dotted quad; nothing else is accepted.
    [[nodiscard]] static std::optional<Ip4> parse(std::string_view text);

    /// From 4 bytes in wire order.
    [[nodiscard]] static Ip4 load(const void* wire) noexcept {
        return Ip4{load_be<std::uint32_t>(wire)};
    }

    /// To 4 bytes in wire order.
    void store(void* wire) const noexcept { store_be(wire, value_); }

    /// The value in host order: 10.0.0.1 is 0x0a000001.
    [[nodiscard]] constexpr std::uint32_t value() const noexcept { return value_; }

    [[nodiscard]] constexpr bool is_unspecified() const noexcept { return value_ == 0; }

    [[nodiscard]] constexpr bool is_multicast() const noexcept { return value_ >> 28U == 0xeU; }

    [[nodiscard]] constexpr bool is_loopback() const noexcept { return value_ >> 24U == 127; }

    /// 169.254.0.0/16, RFC 3927.
    [[nodiscard]] constexpr bool is_link_local() const noexcept { return value_ >> 16U == 0xa9fe; }

    [[nodiscard]] constexpr bool is_broadcast() const noexcept { return value_ == 0xffffffffU; }

    /// The address with only its first `length` bits (0-32) kept.
    [[nodiscard]] constexpr Ip4 masked(unsigned length) const noexcept {
        return Ip4{length == 0 ? 0 : value_ & (0xffffffffU << (32U - length))};
    }

    /// Bit `index` counted from the most significant (0).
    [[nodiscard]] constexpr bool bit(unsigned index) const noexcept {
        return (value_ >> (31U - index) & 1U) != 0;
    }

    friend constexpr auto operator<=>(const Ip4&, const Ip4&) noexcept = default;

  private:
    std::uint32_t value_ = 0;
};

/// An IPv6 address.
class Ip6 {
  public:
    constexpr Ip6() noexcept = default;

    constexpr Ip6(std::uint64_t high, std::uint64_t low) noexcept : high_(high), low_(low) {}

    /// RFC 4291 2.2 text, no zone.
    [[nodiscard]] static std::optional<Ip6> parse(std::string_view text);

    /// From 16 bytes in wire order.
    [[nodiscard]] static Ip6 load(const void* wire) noexcept {
        const auto* bytes = static_cast<const std::byte*>(wire);
        return Ip6{load_be<std::uint64_t>(bytes), load_be<std::uint64_t>(bytes + 8)};
    }

    /// To 16 bytes in wire order.
    void store(void* wire) const noexcept {
        auto* bytes = static_cast<std::byte*>(wire);
        store_be(bytes, high_);
        store_be(bytes + 8, low_);
    }

    /// The first and the last 64 bits, in host order.
    [[nodiscard]] constexpr std::uint64_t high() const noexcept { return high_; }

    [[nodiscard]] constexpr std::uint64_t low() const noexcept { return low_; }

    [[nodiscard]] constexpr bool is_unspecified() const noexcept { return (high_ | low_) == 0; }

    [[nodiscard]] constexpr bool is_multicast() const noexcept { return high_ >> 56U == 0xff; }

    [[nodiscard]] constexpr bool is_loopback() const noexcept { return high_ == 0 && low_ == 1; }

    /// fe80::/10, RFC 4291 2.5.6.
    [[nodiscard]] constexpr bool is_link_local() const noexcept { return high_ >> 54U == 0x3fa; }

    /// IPv6 has no broadcast; here so that code for both families can ask.
    [[nodiscard]] constexpr bool is_broadcast() const noexcept { return false; }

    /// The address with only its first `length` bits (0-128) kept.
    [[nodiscard]] constexpr Ip6 masked(unsigned length) const noexcept {
        const auto mask = [](unsigned bits) {
            return bits == 0 ? 0 : ~std::uint64_t{0} << (64U - bits);
        };
        return length <= 64 ? Ip6{high_ & mask(length), 0} : Ip6{high_, low_ & mask(length - 64)};
    }

    /// Bit `index` counted from the most significant (0).
    [[nodiscard]] constexpr bool bit(unsigned index) const noexcept {
        return ((index < 64 ? high_ >> (63U - index) : low_ >> (127U - index)) & 1U) != 0;
    }

    friend constexpr auto operator<=>(const Ip6&, const Ip6&) noexcept = default;

  private:
    std::uint64_t high_ = 0;
    std::uint64_t low_ = 0;
};

/// An Ethernet address.
class Mac {
  public:
    constexpr Mac() noexcept = default;

    constexpr explicit Mac(std::array<std::uint8_t, 6> bytes) noexcept : bytes_(bytes) {}

    /// Six colon-separated pairs of hex digits.
    [[nodiscard]] static std::optional<Mac> parse(std::string_view text);

    [[nodiscard]] static Mac load(const void* wire) noexcept {
        Mac mac;
        std::memcpy(mac.bytes_.data(), wire, 6);
        return mac;
    }

    void store(void* wire) const noexcept { std::memcpy(wire, bytes_.data(), 6); }

    [[nodiscard]] constexpr const std::array<std::uint8_t, 6>& bytes() const noexcept {
        return bytes_;
    }

    /// Multicast or broadcast: the group bit.
    [[nodiscard]] constexpr bool is_multicast() const noexcept { return (bytes_[0] & 1U) != 0; }

    [[nodiscard]] constexpr bool is_zero() const noexcept { return *this == Mac{}; }

    friend constexpr auto operator<=>(const Mac&, const Mac&) noexcept = default;

  private:
    std::array<std::uint8_t, 6> bytes_{};
};

inline constexpr Mac kBroadcastMac{{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};

/// The IPv4 family: what a template over the family may ask.
struct V4 {
    using Addr = Ip4;
    static constexpr unsigned kBits = 32;
    static constexpr std::size_t kAddrBytes = 4;
    static constexpr std::uint16_t kEtherType = 0x0800;
    static constexpr std::uint16_t kAfi = 1;  ///< IANA address family number, as BGP uses it
    static constexpr int kVersion = 4;
    static constexpr std::string_view kName = "ipv4";
};

/// The IPv6 family.
struct V6 {
    using Addr = Ip6;
    static constexpr unsigned kBits = 128;
    static constexpr std::size_t kAddrBytes = 16;
    static constexpr std::uint16_t kEtherType = 0x86dd;
    static constexpr std::uint16_t kAfi = 2;
    static constexpr int kVersion = 6;
    static constexpr std::string_view kName = "ipv6";
};

template <typename F>
concept Family = std::same_as<F, V4> || std::same_as<F, V6>;

/// An address of either family, for places that hold both (next hops, BGP peers, text).
using IpAddr = std::variant<Ip4, Ip6>;

[[nodiscard]] std::optional<IpAddr> parse_ip(std::string_view text);

[[nodiscard]] std::string to_string(Ip4 address);
[[nodiscard]] std::string to_string(Ip6 address);  ///< RFC 5952
[[nodiscard]] std::string to_string(const IpAddr& address);
[[nodiscard]] std::string to_string(Mac mac);

namespace literals {

// A literal that does not parse does not compile: throwing in a consteval function is an error.
consteval Ip4 operator""_ip4(const char* text, std::size_t size) {
    std::uint32_t value = 0;
    std::uint32_t octet = 0;
    int dots = 0;
    for (std::size_t i = 0; i < size; ++i) {
        if (text[i] == '.') {
            value = value << 8U | octet;
            octet = 0;
            ++dots;
        } else if (text[i] >= '0' && text[i] <= '9') {
            octet = octet * 10 + static_cast<std::uint32_t>(text[i] - '0');
        } else {
            throw "not an IPv4 address";
        }
        if (octet > 255 || dots > 3) {
            throw "not an IPv4 address";
        }
    }
    if (dots != 3) {
        throw "not an IPv4 address";
    }
    return Ip4{value << 8U | octet};
}

}  // namespace literals

}  // namespace vr

template <>
struct std::hash<vr::Ip4> {
    std::size_t operator()(const vr::Ip4& a) const noexcept {
        return std::hash<std::uint64_t>{}(a.value() * 0x9e3779b97f4a7c15U);
    }
};

template <>
struct std::hash<vr::Ip6> {
    std::size_t operator()(const vr::Ip6& a) const noexcept {
        return (a.high() ^ (a.low() + 0x9e3779b97f4a7c15U + (a.high() << 6U) + (a.high() >> 2U))) *
               0xff51afd7ed558ccdU;
    }
};

template <>
struct std::hash<vr::Mac> {
    std::size_t operator()(const vr::Mac& m) const noexcept {
        std::uint64_t value = 0;
        std::memcpy(&value, m.bytes().data(), 6);
        return value * 0x9e3779b97f4a7c15U;
    }
};
