// SPDX-License-Identifier: Apache-2.0
#include "bgp/bfd_packet.h"

#include <cstring>

namespace vr::bgp::bfd {
namespace {

constexpr std::uint8_t kVersion = 1;
constexpr std::uint8_t kPoll = 0x20;
constexpr std::uint8_t kFinal = 0x10;
constexpr std::uint8_t kControlIndependent = 0x08;
constexpr std::uint8_t kAuthentication = 0x04;
constexpr std::uint8_t kDemand = 0x02;
constexpr std::uint8_t kMultipoint = 0x01;

}  // namespace

std::string_view to_string(State state) {
    constexpr std::array<std::string_view, 4> kWords{"admin-down", "down", "init", "up"};
    return kWords.at(static_cast<std::size_t>(state));
}

std::string_view to_string(Diagnostic diagnostic) {
    constexpr std::array<std::string_view, 9> kWords{
        "no diagnostic",
        "nothing heard for the detection time",
        "echo function failed",
        "the neighbor signalled that the session is down",
        "forwarding plane reset",
        "path down",
        "concatenated path down",
        "administratively down",
        "reverse concatenated path down"};
    const auto index = static_cast<std::size_t>(diagnostic);
    return index < kWords.size() ? kWords.at(index) : "unknown diagnostic";
}

std::optional<Packet> decode(Bytes bytes) {
    Reader in{bytes};
    const std::uint8_t head = in.u8();
    const std::uint8_t flags = in.u8();
    Packet packet;
    packet.diagnostic = static_cast<Diagnostic>(head & 0x1fU);
    packet.state = static_cast<State>(flags >> 6U);
    packet.poll = (flags & kPoll) != 0;
    packet.final_ = (flags & kFinal) != 0;
    packet.control_independent = (flags & kControlIndependent) != 0;
    packet.demand = (flags & kDemand) != 0;
    packet.multiplier = in.u8();
    const std::uint8_t length = in.u8();
    packet.mine = in.u32();
    packet.yours = in.u32();
    packet.desired_transmit = std::chrono::microseconds{in.u32()};
    packet.required_receive = std::chrono::microseconds{in.u32()};
    packet.required_echo = std::chrono::microseconds{in.u32()};
    const bool fits = in.ok() && length >= kPacketSize && length <= bytes.size();
    const bool known = head >> 5U == kVersion && (flags & (kAuthentication | kMultipoint)) == 0;
    const bool names_us = packet.yours != 0 || packet.state <= State::Down;
    if (!fits || !known || !names_us || packet.multiplier == 0 || packet.mine == 0) {
        return std::nullopt;
    }
    return packet;
}

std::array<std::uint8_t, kPacketSize> encode(const Packet& packet) {
    const auto flag = [](bool set, std::uint8_t bit) { return set ? bit : std::uint8_t{0}; };
    const unsigned flags = static_cast<unsigned>(packet.state) << 6U | flag(packet.poll, kPoll) |
                           flag(packet.final_, kFinal) |
                           flag(packet.control_independent, kControlIndependent) |
                           flag(packet.demand, kDemand);
    const auto microseconds = [](std::chrono::microseconds time) {
        return static_cast<std::uint32_t>(time.count());
    };
    const std::array<Be32, 5> words{
        Be32{packet.mine},
        Be32{packet.yours},
        Be32{microseconds(packet.desired_transmit)},
        Be32{microseconds(packet.required_receive)},
        Be32{microseconds(packet.required_echo)}};
    std::array<std::uint8_t, kPacketSize> bytes{
        static_cast<std::uint8_t>(kVersion << 5U | static_cast<unsigned>(packet.diagnostic)),
        static_cast<std::uint8_t>(flags),
        packet.multiplier,
        kPacketSize};
    static_assert(sizeof words + 4 == kPacketSize);
    std::memcpy(&bytes[4], words.data(), sizeof words);
    return bytes;
}

}  // namespace vr::bgp::bfd
