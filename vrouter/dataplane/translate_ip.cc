// SPDX-License-Identifier: Apache-2.0
#include "vrouter/dataplane/translate_ip.h"

#include <array>
#include <cstddef>
#include <optional>
#include <type_traits>

#include "vrouter/dataplane/parse.h"
#include "vrouter/net/headers.h"

namespace vr {

namespace {

/// What replaced words mean for a checksum that covers them: RFC 1624 equation 3.
class SumChange {
  public:
    void replace(std::uint16_t before, std::uint16_t after) noexcept {
        sum_ += static_cast<std::uint16_t>(~before);
        sum_ += after;
    }

    [[nodiscard]] std::uint16_t applied(std::uint16_t checksum) const noexcept {
        std::uint64_t sum = sum_ + static_cast<std::uint16_t>(~checksum);
        while (sum >> 16U != 0) {
            sum = (sum & 0xffffU) + (sum >> 16U);
        }
        return static_cast<std::uint16_t>(~sum);
    }

  private:
    std::uint64_t sum_ = 0;
};

using Words = std::span<std::uint8_t>;

void put(Words bytes, std::size_t at, std::uint16_t value, SumChange& change) noexcept {
    change.replace(load_be<std::uint16_t>(&bytes[at]), value);
    store_be(&bytes[at], value);
}

/// Replaces an address by another.
template <typename Addr>
void put(Words bytes, std::size_t at, const Addr& address, SumChange& change) noexcept {
    std::array<std::uint8_t, std::is_same_v<Addr, Ip4> ? 4 : 16> wire{};
    address.store(wire.data());
    for (std::size_t i = 0; i < wire.size(); i += 2) {
        put(bytes, at + i, load_be<std::uint16_t>(&wire[i]), change);
    }
}

/// Where in a transport header the checksum stands that covers the addresses, if there is one.
template <Family F>
std::optional<std::size_t> covering_checksum(std::uint8_t protocol) noexcept {
    switch (protocol) {
        case ipproto::kTcp:
            return offsetof(TcpHeader, checksum);
        case ipproto::kUdp:
        case ipproto::kUdpLite:
            return offsetof(UdpHeader, checksum);
        case ipproto::kIcmp6:
            return std::is_same_v<F, V6> ? std::optional{offsetof(IcmpHeader, checksum)}
                                         : std::nullopt;
        default:
            return std::nullopt;
    }
}

/// Puts the transport's checksum right; what that changes is added to `all`.
template <Family F>
void settle(
    Words bytes,
    const TransportPlace& transport,
    const SumChange& addresses,
    SumChange& all) noexcept {
    const auto at = covering_checksum<F>(transport.protocol);
    if (!at || !transport.first || *at + 2 > transport.size) {
        return;
    }
    const std::size_t place = transport.offset + *at;
    const std::uint16_t before = load_be<std::uint16_t>(&bytes[place]);
    const bool udp = transport.protocol == ipproto::kUdp;
    if (udp && before == 0) {
        return;  // none: RFC 768, RFC 6935
    }
    const bool never_zero = udp || transport.protocol == ipproto::kUdpLite;  // RFC 3828 3.1
    const std::uint16_t after = addresses.applied(before);
    put(bytes, place, never_zero && after == 0 ? std::uint16_t{0xffff} : after, all);
}

/// One address that may have to give way to another.
template <Family F>
struct Replacement {
    bool wanted;
    typename F::Addr from;
    typename F::Addr to;

    void apply(Words bytes, std::size_t at, SumChange& change) const noexcept {
        if (wanted && F::Addr::load(&bytes[at]) == from) {
            put(bytes, at, to, change);
        }
    }
};

/// Returns what became of a checksum over the whole packet.
template <Family F>
SumChange replace(
    Words bytes,
    const TransportPlace& transport,
    const Replacement<F>& source,
    const Replacement<F>& destination) noexcept {
    constexpr bool kIp4 = std::is_same_v<F, V4>;
    constexpr std::size_t kSource =
        kIp4 ? offsetof(Ip4Header, source) : offsetof(Ip6Header, source);
    constexpr std::size_t kDestination =
        kIp4 ? offsetof(Ip4Header, destination) : offsetof(Ip6Header, destination);
    SumChange addresses;
    source.apply(bytes, kSource, addresses);
    destination.apply(bytes, kDestination, addresses);
    SumChange all = addresses;
    if constexpr (kIp4) {
        constexpr std::size_t kSum = offsetof(Ip4Header, checksum);
        put(bytes, kSum, addresses.applied(load_be<std::uint16_t>(&bytes[kSum])), all);
    }
    settle<F>(bytes, transport, addresses, all);
    return all;
}

/// The packet that an ICMP error quotes; what that is to the error's checksum.
template <Family F>
SumChange replace_quoted(
    Words quoted, const Translation<F>& translation, const TranslationWay& way) noexcept {
    const auto transport = find_transport<F>(quoted);
    if (!transport) {
        return {};
    }
    return replace<F>(
        quoted,
        *transport,
        {way.inward, translation.external, translation.internal},
        {way.outward, translation.internal, translation.external});
}

}  // namespace

template <Family F>
bool translate_ip(
    Words bytes, const Translation<F>& translation, const TranslationWay& way) noexcept {
    const auto transport = find_transport<F>(bytes);
    if (!transport) {
        return false;
    }
    replace<F>(
        bytes,
        *transport,
        {way.outward, translation.internal, translation.external},
        {way.inward, translation.external, translation.internal});
    if (way.icmp_error && transport->first && transport->size > sizeof(IcmpHeader)) {
        const SumChange quoted = replace_quoted(
            bytes.subspan(
                transport->offset + sizeof(IcmpHeader), transport->size - sizeof(IcmpHeader)),
            translation,
            way);
        std::uint8_t* sum = &bytes[transport->offset + offsetof(IcmpHeader, checksum)];
        store_be(sum, quoted.applied(load_be<std::uint16_t>(sum)));
    }
    return true;
}

template bool translate_ip(Words, const Translation<V4>&, const TranslationWay&) noexcept;
template bool translate_ip(Words, const Translation<V6>&, const TranslationWay&) noexcept;

}  // namespace vr
