// Prefix<F>: an address block whose host bits are always zero, of one family.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <charconv>
#include <compare>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <variant>

#include "vrouter/net/addr.h"

namespace vr {

template <Family F>
class Prefix {
  public:
    using Addr = typename F::Addr;

    /// The default route, 0.0.0.0/0 or ::/0.
    constexpr Prefix() noexcept = default;

    /// Clears the host bits of `address`; nothing when `length` exceeds the family's width.
    [[nodiscard]] static constexpr std::optional<Prefix> make(Addr address, unsigned length) {
        if (length > F::kBits) {
            return std::nullopt;
        }
        return Prefix{address.masked(length), length};
    }

    /// The host route of `address`: /32 or /128.
    [[nodiscard]] static constexpr Prefix host(Addr address) { return Prefix{address, F::kBits}; }

    /// "address/length"; a bare address is its host route.  Host bits are cleared.
    [[nodiscard]] static std::optional<Prefix> parse(std::string_view text) {
        const auto slash = text.find('/');
        const auto address = Addr::parse(text.substr(0, slash));
        if (!address) {
            return std::nullopt;
        }
        if (slash == std::string_view::npos) {
            return host(*address);
        }
        const auto digits = text.substr(slash + 1);
        unsigned length = 0;
        const auto [end, error] =
            std::from_chars(digits.data(), digits.data() + digits.size(), length);
        if (error != std::errc{} || end != digits.data() + digits.size()) {
            return std::nullopt;
        }
        return make(*address, length);
    }

    [[nodiscard]] constexpr Addr address() const noexcept { return address_; }

    [[nodiscard]] constexpr unsigned length() const noexcept { return length_; }

    [[nodiscard]] constexpr bool is_host() const noexcept { return length_ == F::kBits; }

    [[nodiscard]] constexpr bool contains(Addr address) const noexcept {
        return address.masked(length_) == address_;
    }

    /// True for itself and for every more specific prefix inside it.
    [[nodiscard]] constexpr bool contains(const Prefix& other) const noexcept {
        return other.length_ >= length_ && contains(other.address_);
    }

    friend constexpr auto operator<=>(const Prefix&, const Prefix&) noexcept = default;

  private:
    constexpr Prefix(Addr address, unsigned length) noexcept
        : address_(address), length_(static_cast<std::uint8_t>(length)) {}

    Addr address_{};
    std::uint8_t length_ = 0;
};

/// A prefix of either family, for places that hold both.
using IpPrefix = std::variant<Prefix<V4>, Prefix<V6>>;

[[nodiscard]] inline std::optional<IpPrefix> parse_prefix(std::string_view text) {
    if (const auto v4 = Prefix<V4>::parse(text)) {
        return *v4;
    }
    if (const auto v6 = Prefix<V6>::parse(text)) {
        return *v6;
    }
    return std::nullopt;
}

[[nodiscard]] inline unsigned length_of(const IpPrefix& prefix) {
    return std::visit([](const auto& p) { return p.length(); }, prefix);
}

/// Bits of an address of its family.
[[nodiscard]] inline unsigned width_of(const IpPrefix& prefix) {
    return prefix.index() == 0 ? V4::kBits : V6::kBits;
}

/// True for a single address.
[[nodiscard]] inline bool is_host(const IpPrefix& prefix) {
    return length_of(prefix) == width_of(prefix);
}

/// `address` and nothing else.
[[nodiscard]] inline IpPrefix host_prefix(const IpAddr& address) {
    return std::visit(
        []<typename Addr>(const Addr& a) {
            using F = std::conditional_t<std::is_same_v<Addr, Ip4>, V4, V6>;
            return IpPrefix{Prefix<F>::host(a)};
        },
        address);
}

/// False for an address of the other family.
[[nodiscard]] inline bool contains(const IpPrefix& net, const IpAddr& address) {
    return std::visit(
        [&]<Family F>(const Prefix<F>& prefix) {
            const auto* of_family = std::get_if<typename F::Addr>(&address);
            return of_family != nullptr && prefix.contains(*of_family);
        },
        net);
}

/// True for `inner` equal to `outer`, too; false for one of the other family.
[[nodiscard]] inline bool contains(const IpPrefix& outer, const IpPrefix& inner) {
    return std::visit(
        [&]<Family F>(const Prefix<F>& prefix) {
            const auto* of_family = std::get_if<Prefix<F>>(&inner);
            return of_family != nullptr && prefix.contains(*of_family);
        },
        outer);
}

template <Family F>
[[nodiscard]] std::string to_string(const Prefix<F>& prefix) {
    return to_string(prefix.address()) + "/" + std::to_string(prefix.length());
}

[[nodiscard]] inline std::string to_string(const IpPrefix& prefix) {
    return std::visit([](const auto& p) { return to_string(p); }, prefix);
}

}  // namespace vr

template <vr::Family F>
struct std::hash<vr::Prefix<F>> {
    std::size_t operator()(const vr::Prefix<F>& p) const noexcept {
        return std::hash<typename F::Addr>{}(p.address()) * 31 + p.length();
    }
};
