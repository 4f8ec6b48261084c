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

    void add(const SumChange& other) noexcept { sum_ += other.sum_; }

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

template <Family F>
constexpr std::uint8_t kIcmpOf = std::is_same_v<F, V4> ? ipproto::kIcmp : ipproto::kIcmp6;

/// The checksum of a transport header, if there is one that we know of.
struct SumPlace {
    std::size_t at;
    bool covers_addresses;
};

template <Family F>
std::optional<SumPlace> find_checksum(std::uint8_t protocol) noexcept {
    switch (protocol) {
        case ipproto::kTcp:
            return SumPlace{offsetof(TcpHeader, checksum), true};
        case ipproto::kUdp:
        case ipproto::kUdpLite:
            return SumPlace{offsetof(UdpHeader, checksum), true};
        case kIcmpOf<F>:
            return SumPlace{offsetof(IcmpHeader, checksum), std::is_same_v<F, V6>};
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
    const SumChange& ports,
    SumChange& all) noexcept {
    const auto sum = find_checksum<F>(transport.protocol);
    if (!sum || !transport.first || sum->at + 2 > transport.size) {
        return;
    }
    const std::size_t place = transport.offset + sum->at;
    const std::uint16_t before = load_be<std::uint16_t>(&bytes[place]);
    const bool udp = transport.protocol == ipproto::kUdp;
    if (udp && before == 0) {
        return;  // none: RFC 768, RFC 6935
    }
    SumChange covered = ports;
    if (sum->covers_addresses) {
        covered.add(addresses);
    }
    const bool never_zero = udp || transport.protocol == ipproto::kUdpLite;  // RFC 3828 3.1
    const std::uint16_t after = covered.applied(before);
    put(bytes, place, never_zero && after == 0 ? std::uint16_t{0xffff} : after, all);
}

/// Where the port of one side stands, or the identifier of ICMP echo on the requester's.
template <Family F>
std::optional<std::size_t> find_port(
    Words bytes, const TransportPlace& transport, bool of_source) noexcept {
    constexpr std::size_t kIdentifier = 4;
    if (!transport.first || transport.size < kIdentifier + 2) {
        return std::nullopt;
    }
    const std::uint8_t type = bytes[transport.offset];
    switch (transport.protocol) {
        case ipproto::kTcp:
        case ipproto::kUdp:
        case ipproto::kUdpLite:
            return transport.offset + (of_source ? 0 : 2);
        case kIcmpOf<F>:
            return (of_source ? is_echo_request(transport.protocol, type)
                              : is_echo_reply(transport.protocol, type))
                       ? std::optional{transport.offset + kIdentifier}
                       : std::nullopt;
        default:
            return std::nullopt;
    }
}

/// An address that may have to give way to another, and the port behind it.
template <Family F>
struct Replacement {
    bool wanted;
    typename F::Addr from;
    typename F::Addr to;
    L4Port from_port;
    L4Port to_port;
    bool any = false;  ///< not only `from`

    /// True where it was there.
    [[nodiscard]] bool apply(Words bytes, std::size_t at, SumChange& change) const noexcept {
        const bool found = wanted && (any || F::Addr::load(&bytes[at]) == from);
        if (found) {
            put(bytes, at, to, change);
        }
        return found;
    }

    void apply_port(Words bytes, const TransportPlace& transport, bool source, SumChange& change)
        const noexcept {
        if (from_port == to_port) {
            return;
        }
        const auto at = find_port<F>(bytes, transport, source);
        if (at && load_be<std::uint16_t>(&bytes[*at]) == from_port.value()) {
            put(bytes, *at, to_port.value(), change);
        }
    }
};

/// What one side of a packet becomes: the guest's in place of what the world knows, or the reverse.
template <Family F>
Replacement<F> to_internal(bool wanted, const Translation<F>& t) noexcept {
    const bool ports = t.external_port != L4Port{};
    return {
        wanted, t.external, t.internal, t.external_port, ports ? t.internal_port : t.external_port};
}

template <Family F>
Replacement<F> to_external(bool wanted, const Translation<F>& t) noexcept {
    const bool ports = t.external_port != L4Port{};
    return {
        wanted, t.internal, t.external, t.internal_port, ports ? t.external_port : t.internal_port};
}

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
    SumChange ports;
    if (source.apply(bytes, kSource, addresses)) {
        source.apply_port(bytes, transport, true, ports);
    }
    if (destination.apply(bytes, kDestination, addresses)) {
        destination.apply_port(bytes, transport, false, ports);
    }
    SumChange all = addresses;
    all.add(ports);
    if constexpr (kIp4) {
        constexpr std::size_t kSum = offsetof(Ip4Header, checksum);
        put(bytes, kSum, addresses.applied(load_be<std::uint16_t>(&bytes[kSum])), all);
    }
    settle<F>(bytes, transport, addresses, ports, all);
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
        to_internal(way.inward, translation),
        to_external(way.outward, translation));
}

}  // namespace

template <Family F>
bool translate_ip(
    Words bytes, const Translation<F>& translation, const TranslationWay& way) noexcept {
    const auto transport = find_transport<F>(bytes);
    if (!transport) {
        return false;
    }
    Replacement<F> source = to_external(way.outward, translation);
    source.any = way.any_source;
    replace<F>(bytes, *transport, source, to_internal(way.inward, translation));
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
