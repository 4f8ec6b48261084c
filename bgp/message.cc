// SPDX-License-Identifier: Apache-2.0
#include "bgp/message.h"

#include <algorithm>
#include <array>

#include "bgp/as_path.h"

namespace vr::bgp {
namespace {

constexpr std::size_t kMarkerSize = 16;
constexpr std::uint8_t kCapabilitiesParameter = 2;
constexpr std::uint8_t kExtendedLengthParameter = 255;  // RFC 9072

/// Lengths that a type allows, RFC 4271 6.1; equal bounds mean exactly this length.
struct LengthRow {
    MessageType type;
    std::size_t least;
    std::size_t most;
};

constexpr std::array kLengths{
    LengthRow{MessageType::Open, 29, kMaxMessage},
    LengthRow{MessageType::Update, 23, kMaxExtendedMessage},
    LengthRow{MessageType::Notification, 21, kMaxExtendedMessage},
    LengthRow{MessageType::Keepalive, kHeaderSize, kHeaderSize},
    // RFC 7313 5 has its own error for a wrong length, with the whole message as data.
    LengthRow{MessageType::RouteRefresh, kHeaderSize, kMaxExtendedMessage},
};

Notification bad_open(std::uint8_t subcode) {
    return notification(ErrorCode::Open, subcode);
}

/// Optional parameters of both forms: RFC 4271 4.2 and the extended one of RFC 9072.
std::optional<Notification> decode_parameters(Reader in, std::uint8_t length, Capabilities& into) {
    // RFC 9072 2: the type says so, and then the short length means nothing.
    const bool extended =
        length != 0 && in.remaining() >= 3 && Reader{in}.u8() == kExtendedLengthParameter;
    if (extended) {
        in.skip(1);
        length = 0;
        const std::uint16_t extended_length = in.u16();
        if (extended_length != in.remaining()) {
            return bad_open(open_error::kUnspecific);
        }
    } else if (length != in.remaining()) {
        return bad_open(open_error::kUnspecific);
    }
    while (!in.empty()) {
        const std::uint8_t type = in.u8();
        const std::size_t size = extended ? in.u16() : in.u8();
        const Reader value = in.take(size);
        if (!in.ok()) {
            return bad_open(open_error::kUnspecific);
        }
        if (type != kCapabilitiesParameter) {
            return bad_open(open_error::kBadOptionalParameter);
        }
        if (!decode_capabilities(value, into)) {
            return bad_open(open_error::kUnspecific);
        }
    }
    return in.ok() ? std::nullopt : std::optional{bad_open(open_error::kUnspecific)};
}

}  // namespace

Decoded<Header> decode_header(Bytes header, std::size_t most) {
    Reader in{header};
    const Bytes marker = in.bytes(kMarkerSize);
    const std::uint16_t length = in.u16();
    const std::uint8_t type = in.u8();
    if (!in.ok() || !std::ranges::all_of(marker, [](std::uint8_t b) { return b == 0xff; })) {
        return notification(ErrorCode::Header, header_error::kNotSynchronized);
    }
    const Bytes length_field = header.subspan(kMarkerSize, 2);
    if (length < kHeaderSize || length > most) {
        return notification(ErrorCode::Header, header_error::kBadLength, length_field);
    }
    const auto* row = std::ranges::find(kLengths, static_cast<MessageType>(type), &LengthRow::type);
    if (row == kLengths.end()) {
        return notification(ErrorCode::Header, header_error::kBadType, header.subspan(18, 1));
    }
    if (length < row->least || length > row->most) {
        return notification(ErrorCode::Header, header_error::kBadLength, length_field);
    }
    return Header{.type = row->type, .length = length};
}

Asn Open::asn() const {
    return capabilities.four_octet_as.value_or(Asn{as_field});
}

Decoded<Open> decode_open(Bytes body) {
    Reader in{body};
    Open open;
    open.version = in.u8();
    if (in.ok() && open.version != kVersion) {
        // RFC 4271 6.2: the data says the version that we speak, in two octets.
        const std::array<std::uint8_t, 2> supported{0, kVersion};
        return notification(ErrorCode::Open, open_error::kBadVersion, supported);
    }
    open.as_field = in.u16();
    open.hold_time = in.u16();
    open.identifier = Ip4{in.u32()};
    const std::uint8_t parameters_length = in.u8();
    if (!in.ok()) {
        return bad_open(open_error::kUnspecific);
    }
    if (auto bad = decode_parameters(in, parameters_length, open.capabilities)) {
        return *std::move(bad);
    }
    return open;
}

Notification decode_notification(Bytes body) {
    Reader in{body};
    Notification result;
    result.code = static_cast<ErrorCode>(in.u8());
    result.subcode = in.u8();
    const Bytes rest = in.rest();
    result.data.assign(rest.begin(), rest.end());
    return result;
}

std::optional<RouteRefresh> decode_route_refresh(Bytes body) {
    Reader in{body};
    RouteRefresh refresh;
    refresh.family.afi = in.u16();
    refresh.subtype = in.u8();
    refresh.family.safi = in.u8();
    return in.done() ? std::optional{refresh} : std::nullopt;
}

void encode_message(MessageType type, Bytes body, std::vector<std::uint8_t>& out) {
    const std::size_t at = out.size();
    const std::size_t length = kHeaderSize + body.size();
    out.resize(at + length, 0xff);
    store_be(out.data() + at + kMarkerSize, static_cast<std::uint16_t>(length));
    out[at + kMarkerSize + 2] = static_cast<std::uint8_t>(type);
    std::ranges::copy(body, out.begin() + static_cast<std::ptrdiff_t>(at + kHeaderSize));
}

void encode_open(const Open& open, std::vector<std::uint8_t>& out) {
    Writer capabilities;
    encode_capabilities(open.capabilities, capabilities);
    Writer body;
    body.u8(open.version);
    body.u16(open.as_field);
    body.u16(open.hold_time);
    body.u32(open.identifier.value());
    if (capabilities.size() == 0) {
        body.u8(0);
    } else if (capabilities.size() + 2 > kExtendedLengthParameter - 1U) {
        body.u8(kExtendedLengthParameter);
        body.u8(kExtendedLengthParameter);
        body.u16(static_cast<std::uint16_t>(capabilities.size() + 3));
        body.u8(kCapabilitiesParameter);
        body.u16(static_cast<std::uint16_t>(capabilities.size()));
        body.bytes(capabilities.view());
    } else {
        body.u8(static_cast<std::uint8_t>(capabilities.size() + 2));
        body.u8(kCapabilitiesParameter);
        body.u8(static_cast<std::uint8_t>(capabilities.size()));
        body.bytes(capabilities.view());
    }
    encode_message(MessageType::Open, body.view(), out);
}

void encode_notification(const Notification& notification, std::vector<std::uint8_t>& out) {
    Writer body;
    body.u8(static_cast<std::uint8_t>(notification.code));
    body.u8(notification.subcode);
    body.bytes(Bytes{notification.data}.first(
        std::min(notification.data.size(), kMaxMessage - kHeaderSize - 2)));
    encode_message(MessageType::Notification, body.view(), out);
}

void encode_keepalive(std::vector<std::uint8_t>& out) {
    encode_message(MessageType::Keepalive, {}, out);
}

void encode_route_refresh(AfiSafi family, std::uint8_t subtype, std::vector<std::uint8_t>& out) {
    Writer body;
    body.u16(family.afi);
    body.u8(subtype);
    body.u8(family.safi);
    encode_message(MessageType::RouteRefresh, body.view(), out);
}

}  // namespace vr::bgp
