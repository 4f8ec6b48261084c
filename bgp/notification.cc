// SPDX-License-Identifier: Apache-2.0
#include "bgp/notification.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>

#include <boost/locale/utf.hpp>

namespace vr::bgp {
namespace {

struct Name {
    ErrorCode code;
    std::uint8_t subcode;  ///< 0 names the code itself
    std::string_view text;
};

constexpr std::array kNames{
    Name{ErrorCode::Header, 0, "Message Header Error"},
    Name{ErrorCode::Header, 1, "Connection Not Synchronized"},
    Name{ErrorCode::Header, 2, "Bad Message Length"},
    Name{ErrorCode::Header, 3, "Bad Message Type"},
    Name{ErrorCode::Open, 0, "OPEN Message Error"},
    Name{ErrorCode::Open, 1, "Unsupported Version Number"},
    Name{ErrorCode::Open, 2, "Bad Peer AS"},
    Name{ErrorCode::Open, 3, "Bad BGP Identifier"},
    Name{ErrorCode::Open, 4, "Unsupported Optional Parameter"},
    Name{ErrorCode::Open, 6, "Unacceptable Hold Time"},
    Name{ErrorCode::Open, 7, "Unsupported Capability"},
    Name{ErrorCode::Open, 11, "Role Mismatch"},
    Name{ErrorCode::Update, 0, "UPDATE Message Error"},
    Name{ErrorCode::Update, 1, "Malformed Attribute List"},
    Name{ErrorCode::Update, 2, "Unrecognized Well-known Attribute"},
    Name{ErrorCode::Update, 3, "Missing Well-known Attribute"},
    Name{ErrorCode::Update, 4, "Attribute Flags Error"},
    Name{ErrorCode::Update, 5, "Attribute Length Error"},
    Name{ErrorCode::Update, 6, "Invalid ORIGIN Attribute"},
    Name{ErrorCode::Update, 8, "Invalid NEXT_HOP Attribute"},
    Name{ErrorCode::Update, 9, "Optional Attribute Error"},
    Name{ErrorCode::Update, 10, "Invalid Network Field"},
    Name{ErrorCode::Update, 11, "Malformed AS_PATH"},
    Name{ErrorCode::HoldTimer, 0, "Hold Timer Expired"},
    Name{ErrorCode::Fsm, 0, "Finite State Machine Error"},
    Name{ErrorCode::Fsm, 1, "Unexpected Message in OpenSent"},
    Name{ErrorCode::Fsm, 2, "Unexpected Message in OpenConfirm"},
    Name{ErrorCode::Fsm, 3, "Unexpected Message in Established"},
    Name{ErrorCode::Cease, 0, "Cease"},
    Name{ErrorCode::Cease, 1, "Maximum Number of Prefixes Reached"},
    Name{ErrorCode::Cease, 2, "Administrative Shutdown"},
    Name{ErrorCode::Cease, 3, "Peer De-configured"},
    Name{ErrorCode::Cease, 4, "Administrative Reset"},
    Name{ErrorCode::Cease, 5, "Connection Rejected"},
    Name{ErrorCode::Cease, 6, "Other Configuration Change"},
    Name{ErrorCode::Cease, 7, "Connection Collision Resolution"},
    Name{ErrorCode::Cease, 8, "Out of Resources"},
    Name{ErrorCode::Cease, 9, "Hard Reset"},
    Name{ErrorCode::Cease, 10, "BFD Down"},
    Name{ErrorCode::RouteRefresh, 0, "ROUTE-REFRESH Message Error"},
    Name{ErrorCode::RouteRefresh, 1, "Invalid Message Length"},
    Name{ErrorCode::SendHoldTimer, 0, "Send Hold Timer Expired"},
};

std::string name_of(ErrorCode code, std::uint8_t subcode) {
    const auto* row = std::ranges::find_if(
        kNames, [&](const Name& name) { return name.code == code && name.subcode == subcode; });
    if (row != kNames.end()) {
        return std::string(row->text);
    }
    return subcode == 0 ? fmt::format("code {}", static_cast<unsigned>(code))
                        : fmt::format("subcode {}", subcode);
}

/// UTF-8 that can disturb neither a log line nor a terminal: '?' stands for everything else.
std::string printable(std::string_view text) {
    namespace utf = boost::locale::utf;
    std::string shown;
    for (const char* at = text.begin(); at != text.end();) {
        const char* end = at;
        const utf::code_point point = utf::utf_traits<char>::decode(end, text.end());
        const bool is_text = point != utf::illegal && point != utf::incomplete;
        const bool is_control = point < 0x20 || (point >= 0x7f && point < 0xa0);
        end = is_text ? end : at + 1;
        shown += is_text && !is_control ? std::string_view{at, end} : std::string_view{"?"};
        at = end;
    }
    return shown;
}

/// The text of RFC 9003, made safe to show.
std::string communication_of(const Notification& n) {
    const bool may_explain =
        n.code == ErrorCode::Cease && (n.subcode == cease::kShutdown || n.subcode == cease::kReset);
    if (!may_explain || n.data.empty() || n.data.front() == 0) {
        return {};
    }
    const std::size_t size = std::min<std::size_t>(n.data.front(), n.data.size() - 1);
    return printable(
        std::string(n.data.begin() + 1, n.data.begin() + 1 + static_cast<std::ptrdiff_t>(size)));
}

}  // namespace

Notification notification(ErrorCode code, std::uint8_t subcode, Bytes data) {
    return Notification{.code = code, .subcode = subcode, .data = {data.begin(), data.end()}};
}

bool is_permanent(const Notification& n) {
    constexpr std::array kSubcodes{
        cease::kMaximumPrefixes, cease::kShutdown, cease::kDeconfigured, cease::kHardReset};
    return n.code == ErrorCode::Cease && std::ranges::find(kSubcodes, n.subcode) != kSubcodes.end();
}

Notification hard_reset(const Notification& inner) {
    Writer data;
    data.u8(static_cast<std::uint8_t>(inner.code));
    data.u8(inner.subcode);
    data.bytes(inner.data);
    return notification(ErrorCode::Cease, cease::kHardReset, data.view());
}

std::string to_string(const Notification& n) {
    if (n.code == ErrorCode::Cease && n.subcode == cease::kHardReset && n.data.size() >= 2) {
        // The inner one once, not again inside: its depth is the sender's choice.
        const Notification inner{
            .code = static_cast<ErrorCode>(n.data[0]),
            .subcode = n.data[1],
            .data = {n.data.begin() + 2, n.data.end()}};
        const bool nested = inner.code == ErrorCode::Cease && inner.subcode == cease::kHardReset;
        return "Hard Reset: " + (nested ? name_of(inner.code, inner.subcode) : to_string(inner));
    }
    std::string text = name_of(n.code, 0);
    if (n.subcode != 0) {
        text += "/" + name_of(n.code, n.subcode);
    }
    if (const std::string why = communication_of(n); !why.empty()) {
        text += " \"" + why + "\"";
    }
    return text;
}

std::vector<std::uint8_t> shutdown_communication(std::string_view text) {
    if (text.empty()) {
        return {};
    }
    // At most 255 octets, and no character cut in two.
    std::size_t size = std::min<std::size_t>(text.size(), 255);
    while (size > 0 && size < text.size() &&
           (static_cast<unsigned char>(text[size]) & 0xc0U) == 0x80U) {
        --size;
    }
    const std::string_view kept = text.substr(0, size);
    std::vector<std::uint8_t> data{static_cast<std::uint8_t>(kept.size())};
    data.insert(data.end(), kept.begin(), kept.end());
    return data;
}

}  // namespace vr::bgp
