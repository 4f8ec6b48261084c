// SPDX-License-Identifier: Apache-2.0
#include "vrouter/services/icmp.h"

#include <algorithm>
#include <array>
#include <type_traits>

#include "vrouter/net/headers.h"

namespace vr::icmp {

namespace {

/// What differs between the two families' messages.
template <Family F>
struct Messages;

template <>
struct Messages<V4> {
    static constexpr std::uint8_t kProtocol = ipproto::kIcmp;
    static constexpr std::uint8_t kEchoRequest = 8;
    static constexpr std::uint8_t kEchoReply = 0;
    /// RFC 1812 4.3.2.3.
    static constexpr std::size_t kLargestError = 576;
    static constexpr std::size_t kHeaderBytes = sizeof(Ip4Header);
    /// RFC 1812 4.3.2.5: errors have precedence INTERNETWORK CONTROL.
    static constexpr std::uint8_t kErrorClass = 0xc0;
    /// RFC 791 3.2: no link is narrower.
    static constexpr std::uint32_t kLeastMtu = 68;
};

template <>
struct Messages<V6> {
    static constexpr std::uint8_t kProtocol = ipproto::kIcmp6;
    static constexpr std::uint8_t kEchoRequest = 128;
    static constexpr std::uint8_t kEchoReply = 129;
    /// RFC 4443 2.4 (c).
    static constexpr std::size_t kLargestError = 1280;
    static constexpr std::size_t kHeaderBytes = sizeof(Ip6Header);
    static constexpr std::uint8_t kErrorClass = 0;
    /// RFC 8200 5.
    static constexpr std::uint32_t kLeastMtu = 1280;
};

/// How the value of a report lies in the second word of the message.
enum class Second : std::uint8_t { Unused, Mtu, Pointer };

/// How one family tells a problem.
struct Shape {
    std::uint8_t type = 0;
    std::uint8_t code = 0;
    Second second = Second::Unused;
};

struct Row {
    Problem problem = Problem::NoRoute;
    Shape v4;
    Shape v6;
};

constexpr Shape plain(std::uint8_t type, std::uint8_t code) {
    return {.type = type, .code = code, .second = Second::Unused};
}

constexpr Shape with_mtu(std::uint8_t type, std::uint8_t code) {
    return {.type = type, .code = code, .second = Second::Mtu};
}

constexpr Shape with_pointer(std::uint8_t type, std::uint8_t code) {
    return {.type = type, .code = code, .second = Second::Pointer};
}

constexpr Row row(Problem problem, Shape v4, Shape v6) {
    return {.problem = problem, .v4 = v4, .v6 = v6};
}

// In the order of Problem.
constexpr std::array kRows{
    row(Problem::NoRoute, plain(3, 0), plain(1, 0)),
    row(Problem::AddressUnreachable, plain(3, 1), plain(1, 3)),
    row(Problem::AdminProhibited, plain(3, 13), plain(1, 1)),
    row(Problem::PortUnreachable, plain(3, 3), plain(1, 4)),
    row(Problem::HopLimitExceeded, plain(11, 0), plain(3, 0)),
    row(Problem::TooBig, with_mtu(3, 4), with_mtu(2, 0)),
    row(Problem::HeaderField, with_pointer(12, 0), with_pointer(4, 0)),
    row(Problem::UnknownNextHeader, plain(3, 2), with_pointer(4, 1)),
    row(Problem::UnknownOption, with_pointer(12, 0), with_pointer(4, 2)),
};

constexpr bool rows_follow_problems() {
    for (std::size_t i = 0; i < kRows.size(); ++i) {
        if (static_cast<std::size_t>(kRows[i].problem) != i) {
            return false;
        }
    }
    return true;
}

static_assert(rows_follow_problems());

/// May an error be sent about an ICMP message of this type?  Only about those known to be no errors:
/// an unknown type might be one.
bool may_be_reported(std::uint8_t type, V4) {
    constexpr std::array<std::uint8_t, 10> kQueries{0, 8, 9, 10, 13, 14, 15, 16, 17, 18};
    return std::ranges::find(kQueries, type) != kQueries.end();
}

bool may_be_reported(std::uint8_t type, V6) {
    constexpr std::uint8_t kFirstInformational = 128;
    constexpr std::uint8_t kRedirect = 137;
    return type >= kFirstInformational && type != kRedirect;
}

/// RFC 4443 2.4 (e.3): path MTU discovery and unknown options work for groups too.
bool may_concern_groups(Problem problem, V4) {
    static_cast<void>(problem);
    return false;
}

bool may_concern_groups(Problem problem, V6) {
    return problem == Problem::TooBig || problem == Problem::UnknownOption;
}

template <Family F>
bool deserves_error(const IpPacket<F>& packet, Problem problem) {
    const bool to_group = packet.link.destination.is_multicast() ||
                          packet.destination.is_multicast() || packet.destination.is_broadcast();
    if (packet.fragment == Fragment::Later || !is_unicast(packet.source) ||
        (to_group && !may_concern_groups(problem, F{}))) {
        return false;
    }
    if (packet.protocol != Messages<F>::kProtocol) {
        return true;
    }
    return !packet.payload.empty() && may_be_reported(packet.payload[0], F{});
}

template <Family F>
std::uint32_t second_word(Second second, std::uint32_t value) {
    constexpr bool kIsV4 = std::is_same_v<F, V4>;
    switch (second) {
        case Second::Mtu: {
            const std::uint32_t mtu = std::max(value, Messages<F>::kLeastMtu);
            return kIsV4 ? std::min(mtu, 0xffffU) : mtu;
        }
        case Second::Pointer:
            return kIsV4 ? (value & 0xffU) << 24U : value;
        case Second::Unused:
            break;
    }
    return 0;
}

}  // namespace

template <Family F>
bool is_echo_request(const IpPacket<F>& packet) {
    return packet.protocol == Messages<F>::kProtocol && packet.fragment == Fragment::Whole &&
           packet.payload.size() >= sizeof(IcmpHeader) &&
           packet.payload[0] == Messages<F>::kEchoRequest && packet.payload[1] == 0;
}

template <Family F>
std::optional<Frame> echo_reply(Bytes frame) {
    const auto packet = parse_ip<F>(frame);
    if (!packet || !is_echo_request(*packet) || !icmp_checksum_ok(*packet) ||
        !is_station(packet->link.destination) || !is_unicast(packet->source) ||
        !is_unicast(packet->destination)) {
        return std::nullopt;
    }
    std::vector<std::uint8_t> message(packet->payload.begin(), packet->payload.end());
    message[0] = Messages<F>::kEchoReply;
    return icmp_frame<F>(
        {.link_source = packet->link.destination,
         .link_destination = packet->link.source,
         .source = packet->destination,
         .destination = packet->source},
        message);
}

template <Family F>
std::optional<Frame> error_message(Bytes frame, const Report& report, const Speaker<F>& speaker) {
    const auto packet = parse_ip<F>(frame);
    if (!packet || !deserves_error(*packet, report.problem)) {
        return std::nullopt;
    }
    const Row& told = kRows[static_cast<std::size_t>(report.problem)];
    const Shape& shape = std::is_same_v<F, V4> ? told.v4 : told.v6;
    constexpr std::size_t kLargestQuote =
        Messages<F>::kLargestError - Messages<F>::kHeaderBytes - sizeof(IcmpHeader);
    Writer w;
    w.u8(shape.type);
    w.u8(shape.code);
    w.u16(0);
    w.u32(second_word<F>(shape.second, report.value));
    w.bytes(packet->packet.first(std::min(packet->packet.size(), kLargestQuote)));
    return icmp_frame<F>(
        {.link_source = speaker.mac,
         .link_destination = packet->link.source,
         .source = speaker.address,
         .destination = packet->source,
         .traffic_class = Messages<F>::kErrorClass},
        w.view());
}

template bool is_echo_request<V4>(const IpPacket<V4>&);
template bool is_echo_request<V6>(const IpPacket<V6>&);
template std::optional<Frame> echo_reply<V4>(Bytes);
template std::optional<Frame> echo_reply<V6>(Bytes);
template std::optional<Frame> error_message<V4>(Bytes, const Report&, const Speaker<V4>&);
template std::optional<Frame> error_message<V6>(Bytes, const Report&, const Speaker<V6>&);

}  // namespace vr::icmp
