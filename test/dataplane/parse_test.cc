// parse_ip: every reason to refuse a packet, and every fact taken from one.
// SPDX-License-Identifier: Apache-2.0
#include "vrouter/dataplane/parse.h"

#include <gtest/gtest.h>

#include <array>
#include <bit>
#include <functional>
#include <random>

#include "test/dataplane/packet_builder.h"

namespace vr::test::parse_test {
namespace {

constexpr std::uint32_t kFrom = 0x0a010002;
constexpr std::uint32_t kTo = 0xc0000201;

template <Family F>
Envelope<F> envelope() {
    return {.source = host<F>(kFrom), .destination = host<F>(kTo)};
}

template <Family F>
DropReason parse(const Frame& frame, ParsedPacket<F>& parsed) {
    // A buffer of its own on the heap: the sanitizer sees every byte read beyond it.
    const Frame packet(frame.begin() + static_cast<std::ptrdiff_t>(kIp), frame.end());
    return parse_ip<F>(packet, packet.size(), parsed);
}

template <Family F>
DropReason reason(const Frame& frame) {
    ParsedPacket<F> parsed;
    return parse<F>(frame, parsed);
}

struct Row4 {
    const char* description;
    std::function<void(Frame&)> change;
    DropReason reason;
    bool seal = true;
};

void set16(Frame& frame, std::size_t at, std::uint16_t value) {
    store_be(&frame[at], value);
}

void set_address(Frame& frame, std::size_t at, std::string_view text) {
    Ip4::parse(text)->store(&frame[at]);
}

constexpr std::size_t kSource4 = kIp + 12;
constexpr std::size_t kDestination4 = kIp + 16;

class Parse4 : public testing::TestWithParam<Row4> {};

TEST_P(Parse4, Refuses) {
    Frame frame = frame_of(envelope<V4>(), udp_header(1000, 2000));
    GetParam().change(frame);
    if (GetParam().seal) {
        seal(frame);
    }
    EXPECT_EQ(reason<V4>(frame), GetParam().reason) << GetParam().description;
}

INSTANTIATE_TEST_SUITE_P(
    Rows,
    Parse4,
    testing::Values(
        Row4{"nothing wrong", [](Frame& /*f*/) {}, DropReason::None},
        Row4{"version 6", [](Frame& f) { f[kIp] = 0x65; }, DropReason::MalformedIp},
        Row4{"header of 16 bytes", [](Frame& f) { f[kIp] = 0x44; }, DropReason::MalformedIp},
        Row4{
            "header longer than the packet",
            [](Frame& f) {
                f.resize(kL4<V4> + 8);
                f[kIp] = 0x4f;
            },
            DropReason::MalformedIp,
            false},
        Row4{
            "total length less than the header",
            [](Frame& f) { set16(f, kIp + 2, 19); },
            DropReason::MalformedIp},
        Row4{
            "total length more than the packet",
            [](Frame& f) { set16(f, kIp + 2, static_cast<std::uint16_t>(f.size() - kIp + 1)); },
            DropReason::MalformedIp},
        Row4{
            "cut inside the header",
            [](Frame& f) { f.resize(kIp + 19); },
            DropReason::MalformedIp,
            false},
        Row4{"empty", [](Frame& f) { f.resize(kIp); }, DropReason::MalformedIp, false},
        Row4{"wrong checksum", [](Frame& f) { f[kIp + 10] ^= 1U; }, DropReason::BadChecksum, false},
        Row4{
            "checksum 0 instead of its value",
            [](Frame& f) { set16(f, kIp + 10, 0); },
            DropReason::BadChecksum,
            false},
        Row4{
            "wrong checksum of a header with options",
            [](Frame& f) {
                f[kIp] = 0x46;
                seal(f);
                f[kIp + 20] ^= 1U;
            },
            DropReason::BadChecksum,
            false},
        Row4{
            "from loopback",
            [](Frame& f) { set_address(f, kSource4, "127.0.0.1"); },
            DropReason::MartianAddress},
        Row4{
            "to loopback",
            [](Frame& f) { set_address(f, kDestination4, "127.1.2.3"); },
            DropReason::MartianAddress},
        Row4{
            "from nowhere",
            [](Frame& f) { set_address(f, kSource4, "0.0.0.0"); },
            DropReason::MartianAddress},
        Row4{
            "from this network",
            [](Frame& f) { set_address(f, kSource4, "0.1.2.3"); },
            DropReason::MartianAddress},
        Row4{
            "to nowhere",
            [](Frame& f) { set_address(f, kDestination4, "0.0.0.0"); },
            DropReason::MartianAddress},
        Row4{
            "from a group",
            [](Frame& f) { set_address(f, kSource4, "224.0.0.1"); },
            DropReason::MartianAddress},
        Row4{
            "from class E",
            [](Frame& f) { set_address(f, kSource4, "240.0.0.1"); },
            DropReason::MartianAddress},
        Row4{
            "from broadcast",
            [](Frame& f) { set_address(f, kSource4, "255.255.255.255"); },
            DropReason::MartianAddress},
        Row4{
            "to a group",
            [](Frame& f) { set_address(f, kDestination4, "239.255.255.255"); },
            DropReason::Multicast},
        Row4{
            "to broadcast",
            [](Frame& f) { set_address(f, kDestination4, "255.255.255.255"); },
            DropReason::Multicast},
        Row4{
            "to class E",
            [](Frame& f) { set_address(f, kDestination4, "240.0.0.1"); },
            DropReason::MartianAddress},
        Row4{
            "first and last routable network",
            [](Frame& f) {
                set_address(f, kSource4, "1.0.0.0");
                set_address(f, kDestination4, "223.255.255.255");
            },
            DropReason::None},
        Row4{
            "UDP header cut by the total length",
            [](Frame& f) { set16(f, kIp + 2, 27); },
            DropReason::MalformedL4},
        Row4{
            "UDP length less than its header",
            [](Frame& f) { set16(f, kL4<V4> + 4, 7); },
            DropReason::MalformedL4},
        Row4{
            "UDP length beyond the packet",
            [](Frame& f) { set16(f, kL4<V4> + 4, 8 + 18 + 1); },
            DropReason::MalformedL4},
        Row4{
            "UDP length less than the packet",
            [](Frame& f) { set16(f, kL4<V4> + 4, 8); },
            DropReason::None},
        Row4{
            "first fragment of a longer UDP datagram",
            [](Frame& f) {
                set16(f, kIp + 6, 0x2000);
                set16(f, kL4<V4> + 4, 4000);
            },
            DropReason::None},
        Row4{
            "UDP-Lite coverage of the whole packet",
            [](Frame& f) {
                f[kIp + 9] = ipproto::kUdpLite;
                set16(f, kL4<V4> + 4, 0);
            },
            DropReason::None},
        Row4{
            "UDP-Lite coverage of half a header",
            [](Frame& f) {
                f[kIp + 9] = ipproto::kUdpLite;
                set16(f, kL4<V4> + 4, 4);
            },
            DropReason::MalformedL4},
        Row4{
            "TCP fragment that would overwrite flags",
            [](Frame& f) {
                f[kIp + 9] = ipproto::kTcp;
                set16(f, kIp + 6, 1);
            },
            DropReason::FragmentOverlap},
        Row4{
            "first TCP fragment with half a header",
            [](Frame& f) {
                f[kIp + 9] = ipproto::kTcp;
                set16(f, kIp + 6, 0x2000);
                set16(f, kIp + 2, 28);
            },
            DropReason::MalformedL4}));

TEST(Parse4, ReadsAddressesPortsAndLength) {
    ParsedPacket<V4> parsed;
    const Frame frame = frame_of(envelope<V4>(), udp_header(1000, 2000, 30));
    ASSERT_EQ(parse<V4>(resized(frame, frame.size() + 9), parsed), DropReason::None);
    EXPECT_EQ(parsed.source, host<V4>(kFrom));
    EXPECT_EQ(parsed.destination, host<V4>(kTo));
    EXPECT_EQ(parsed.facts.source_port, L4Port{1000});
    EXPECT_EQ(parsed.facts.destination_port, L4Port{2000});
    EXPECT_EQ(parsed.facts.length, 20 + 8 + 30);
    EXPECT_TRUE(parsed.facts.has_ports);
    EXPECT_TRUE(parsed.facts.may_fragment);
    EXPECT_FALSE(parsed.facts.fragment);
}

TEST(Parse4, FindsPortsBehindOptions) {
    Frame frame = frame_of(envelope<V4>(), udp_header(1000, 2000));
    frame.insert(frame.begin() + static_cast<std::ptrdiff_t>(kL4<V4>), 40, 1);
    frame[kIp] = 0x4f;
    store_be(&frame[kIp + 2], static_cast<std::uint16_t>(frame.size() - kIp));
    seal(frame);
    ParsedPacket<V4> parsed;
    ASSERT_EQ(parse<V4>(frame, parsed), DropReason::None);
    EXPECT_EQ(parsed.facts.source_port, L4Port{1000});
}

template <typename F>
class Parse : public testing::Test {};

using Families = testing::Types<V4, V6>;
TYPED_TEST_SUITE(Parse, Families);

/// A segment with `data` bytes behind its fixed header, whose data offset is `words`.
template <Family F>
DropReason reason_of_offset(std::uint8_t words, std::size_t data) {
    auto e = envelope<F>();
    e.protocol = ipproto::kTcp;
    Frame frame = frame_of(e, tcp_header(1, 2, tcpflag::kSyn, data));
    frame[kL4<F> + 12] = static_cast<std::uint8_t>(words << 4U);
    return reason<F>(frame);
}

TYPED_TEST(Parse, RefusesATcpHeaderShorterThanItsFixedPart) {
    EXPECT_EQ(reason_of_offset<TypeParam>(4, 20), DropReason::MalformedL4);
    EXPECT_EQ(reason_of_offset<TypeParam>(5, 20), DropReason::None);
}

TYPED_TEST(Parse, RefusesATcpHeaderLongerThanThePacket) {
    EXPECT_EQ(reason_of_offset<TypeParam>(15, 40), DropReason::None);
    EXPECT_EQ(reason_of_offset<TypeParam>(15, 39), DropReason::MalformedL4);
}

/// Guests' packets come in several pieces; options may lie in the second.
TYPED_TEST(Parse, TakesATcpHeaderThatGoesOnInTheNextPiece) {
    auto e = envelope<TypeParam>();
    e.protocol = ipproto::kTcp;
    Frame frame = frame_of(e, tcp_header(1, 2, tcpflag::kSyn, 40));
    frame[kL4<TypeParam> + 12] = 0xf0;
    const Bytes packet = Bytes{frame}.subspan(kIp);
    ParsedPacket<TypeParam> parsed;
    EXPECT_EQ(
        parse_ip<TypeParam>(packet.first(packet.size() - 40), packet.size(), parsed),
        DropReason::None);
}

TYPED_TEST(Parse, ReadsTcpFlags) {
    auto e = envelope<TypeParam>();
    e.protocol = ipproto::kTcp;
    ParsedPacket<TypeParam> parsed;
    const Frame frame = frame_of(e, tcp_header(1, 2, tcpflag::kSyn | tcpflag::kAck));
    ASSERT_EQ(parse<TypeParam>(frame, parsed), DropReason::None);
    EXPECT_EQ(parsed.facts.tcp_flags, tcpflag::kSyn | tcpflag::kAck);
}

TYPED_TEST(Parse, KeepsTheIdentifierOnTheRequestersSide) {
    auto e = envelope<TypeParam>();
    e.protocol = kIcmpOf<TypeParam>;
    ParsedPacket<TypeParam> request;
    const Frame asks = frame_of(e, icmp_header(kEchoRequest<TypeParam>, 0, 77));
    ASSERT_EQ(parse<TypeParam>(asks, request), DropReason::None);
    EXPECT_EQ(request.facts.source_port, L4Port{77});
    EXPECT_EQ(request.facts.destination_port, L4Port{});
    EXPECT_FALSE(request.facts.has_ports);
    ParsedPacket<TypeParam> reply;
    const Frame answers = frame_of(e, icmp_header(kEchoReply<TypeParam>, 0, 77));
    ASSERT_EQ(parse<TypeParam>(answers, reply), DropReason::None);
    EXPECT_EQ(reply.facts.source_port, L4Port{});
    EXPECT_EQ(reply.facts.destination_port, L4Port{77});
}

TYPED_TEST(Parse, ReadsTheFlowThatAnErrorQuotes) {
    auto quoted = envelope<TypeParam>();
    quoted.hop_limit = 1;
    const Frame inner = frame_of(quoted, udp_header(1000, 2000));
    auto e = envelope<TypeParam>();
    e.protocol = kIcmpOf<TypeParam>;
    ParsedPacket<TypeParam> parsed;
    ASSERT_EQ(
        parse<TypeParam>(frame_of(e, icmp_error<TypeParam>(inner)), parsed), DropReason::None);
    EXPECT_TRUE(parsed.facts.icmp_error);
    const FlowKey<TypeParam> wanted{
        host<TypeParam>(kFrom), host<TypeParam>(kTo), L4Port{1000}, L4Port{2000}, ipproto::kUdp};
    EXPECT_EQ(parsed.quoted, wanted);
}

/// A router forwards such errors; only for a workload it matters that they name no flow.
TYPED_TEST(Parse, AnErrorThatQuotesTooLittleNamesNoFlow) {
    const Frame inner = frame_of(envelope<TypeParam>(), udp_header(1000, 2000));
    auto e = envelope<TypeParam>();
    e.protocol = kIcmpOf<TypeParam>;
    for (std::size_t size = 0; size < kIpHeader<TypeParam> + 8; ++size) {
        ParsedPacket<TypeParam> parsed;
        const Frame frame = frame_of(e, icmp_error<TypeParam>(inner, size));
        ASSERT_EQ(parse<TypeParam>(frame, parsed), DropReason::None) << size;
        EXPECT_TRUE(parsed.facts.icmp_error);
        EXPECT_EQ(parsed.quoted, FlowKey<TypeParam>{}) << size;
    }
}

TYPED_TEST(Parse, AnErrorAboutALaterFragmentNamesNoFlow) {
    auto quoted = envelope<TypeParam>();
    quoted.fragment_offset = 1480;
    const Frame inner = frame_of(quoted, udp_header(1000, 2000));
    auto e = envelope<TypeParam>();
    e.protocol = kIcmpOf<TypeParam>;
    ParsedPacket<TypeParam> parsed;
    ASSERT_EQ(
        parse<TypeParam>(frame_of(e, icmp_error<TypeParam>(inner, 80)), parsed), DropReason::None);
    EXPECT_EQ(parsed.quoted, FlowKey<TypeParam>{});
}

TYPED_TEST(Parse, ReadsFragments) {
    auto e = envelope<TypeParam>();
    e.fragment_offset = 1480;
    e.fragment_id = 99;
    ParsedPacket<TypeParam> parsed;
    ASSERT_EQ(
        parse<TypeParam>(frame_of(e, std::vector<std::uint8_t>(16)), parsed), DropReason::None);
    EXPECT_TRUE(parsed.facts.fragment);
    EXPECT_FALSE(parsed.facts.has_ports);
    EXPECT_EQ(parsed.fragment_offset, 1480);
    EXPECT_EQ(parsed.fragment_id, 99U);
}

/// Whatever is cut off, and wherever: no read beyond the bytes (a sanitizer would tell), some reason.
TYPED_TEST(Parse, NeverReadsBeyondThePacket) {
    auto e = envelope<TypeParam>();
    e.protocol = kIcmpOf<TypeParam>;
    const Frame inner = frame_of(envelope<TypeParam>(), udp_header(1000, 2000));
    const Frame whole = frame_of(e, icmp_error<TypeParam>(inner));
    for (std::size_t size = kIp; size < whole.size(); ++size) {
        EXPECT_NE(reason<TypeParam>(resized(whole, size)), DropReason::None) << size;
    }
}

/// The short way for common packets may only say what the long way says.
TYPED_TEST(Parse, TheCommonWayAgreesWithTheFullOne) {
    std::mt19937_64 random{5};
    int common = 0;
    for (int round = 0; round < 20000; ++round) {
        auto e = envelope<TypeParam>();
        e.protocol = random() % 2 == 0 ? ipproto::kTcp : ipproto::kUdp;
        e.may_fragment = random() % 2 == 0;
        const auto flags = static_cast<std::uint8_t>(random());
        Frame frame = frame_of(
            e,
            e.protocol == ipproto::kTcp ? tcp_header(1000, 2000, flags, 4)
                                        : udp_header(1000, 2000));
        for (auto changes = random() % 3; changes > 0; --changes) {
            frame[kIp + random() % (frame.size() - kIp)] = static_cast<std::uint8_t>(random());
        }
        if constexpr (std::is_same_v<TypeParam, V4>) {
            if (random() % 2 == 0 && (frame[kIp] & 0xfU) <= 10) {
                seal(frame);
            }
        }
        frame.resize(frame.size() - random() % 8);
        const Bytes bytes = Bytes{frame}.subspan(kIp);
        ParsedPacket<TypeParam> full;
        ParsedPacket<TypeParam> quick;
        if (parse_common<TypeParam>(
                bytes, bytes.size(), quick.source, quick.destination, quick.facts)) {
            ++common;
            ASSERT_EQ(parse_ip<TypeParam>(bytes, bytes.size(), full), DropReason::None);
            ASSERT_EQ(quick.source, full.source);
            ASSERT_EQ(quick.destination, full.destination);
            using Raw = std::array<std::uint8_t, sizeof(PacketFacts)>;
            ASSERT_EQ(std::bit_cast<Raw>(quick.facts), std::bit_cast<Raw>(full.facts));
        }
    }
    EXPECT_GT(common, 1000);
}

// IPv6.

/// A packet with these bytes behind its fixed header, of which the first is a header of kind `next`.
Frame packet6(std::uint8_t next, const std::vector<std::uint8_t>& rest) {
    Envelope<V6> e = envelope<V6>();
    e.protocol = next;
    return frame_of(e, rest);
}

/// Extension headers in front of a UDP header; `kinds` in their order.
Frame extended(const std::vector<std::uint8_t>& kinds) {
    std::vector<std::uint8_t> bytes;
    for (std::size_t i = 0; i < kinds.size(); ++i) {
        std::vector<std::uint8_t> header(8);
        header[0] = i + 1 < kinds.size() ? kinds[i + 1] : ipproto::kUdp;
        bytes.insert(bytes.end(), header.begin(), header.end());
    }
    const auto udp = udp_header(1000, 2000);
    bytes.insert(bytes.end(), udp.begin(), udp.end());
    return packet6(kinds.empty() ? ipproto::kUdp : kinds.front(), bytes);
}

struct Row6 {
    const char* description;
    std::function<Frame()> make;
    DropReason reason;
};

class Parse6 : public testing::TestWithParam<Row6> {};

TEST_P(Parse6, Refuses) {
    EXPECT_EQ(reason<V6>(GetParam().make()), GetParam().reason) << GetParam().description;
}

Frame plain6() {
    return frame_of(envelope<V6>(), udp_header(1000, 2000));
}

Frame between(std::string_view source, std::string_view destination) {
    Envelope<V6> e = envelope<V6>();
    e.source = *Ip6::parse(source);
    e.destination = *Ip6::parse(destination);
    return frame_of(e, udp_header(1000, 2000));
}

INSTANTIATE_TEST_SUITE_P(
    Rows,
    Parse6,
    testing::Values(
        Row6{"nothing wrong", plain6, DropReason::None},
        Row6{"version 4", [] { return with(plain6(), kIp, 0x45); }, DropReason::MalformedIp},
        Row6{
            "payload longer than the packet",
            [] {
                Frame f = plain6();
                set16(f, kIp + 4, static_cast<std::uint16_t>(f.size() - kIp - 40 + 1));
                return f;
            },
            DropReason::MalformedIp},
        Row6{
            "cut inside the header",
            [] { return resized(plain6(), kIp + 39); },
            DropReason::MalformedIp},
        Row6{"empty", [] { return resized(plain6(), kIp); }, DropReason::MalformedIp},
        Row6{
            "largest payload length",
            [] {
                Frame f = plain6();
                set16(f, kIp + 4, 0xffff);
                f.resize(kIp + 40 + 0xffff);
                return f;
            },
            DropReason::MalformedIp},
        Row6{"from loopback", [] { return between("::1", "fd00::1"); }, DropReason::MartianAddress},
        Row6{"to loopback", [] { return between("fd00::1", "::1"); }, DropReason::MartianAddress},
        Row6{"from nowhere", [] { return between("::", "fd00::1"); }, DropReason::MartianAddress},
        Row6{"to nowhere", [] { return between("fd00::1", "::"); }, DropReason::MartianAddress},
        Row6{
            "from a group",
            [] { return between("ff02::1", "fd00::1"); },
            DropReason::MartianAddress},
        Row6{"to a group", [] { return between("fd00::1", "ff0e::1"); }, DropReason::Multicast},
        Row6{
            "every extension header once",
            [] { return extended({0, 60, 43, 60}); },
            DropReason::None},
        Row6{
            "hop-by-hop options not first",
            [] { return extended({60, 0}); },
            DropReason::MalformedIp},
        Row6{
            "as many extension headers as are read",
            [] { return extended(std::vector<std::uint8_t>(8, 60)); },
            DropReason::None},
        Row6{
            "one extension header more",
            [] { return extended(std::vector<std::uint8_t>(9, 60)); },
            DropReason::MalformedIp},
        Row6{
            "extension header longer than the packet",
            [] { return with(extended({60}), kL4<V6> + 1, 255); },
            DropReason::MalformedIp},
        Row6{
            "extension header cut short",
            [] { return packet6(60, std::vector<std::uint8_t>(7)); },
            DropReason::MalformedIp},
        Row6{"two fragment headers", [] { return extended({44, 44}); }, DropReason::MalformedIp},
        Row6{
            "first TCP fragment with half a header",
            [] {
                Envelope<V6> e = envelope<V6>();
                e.protocol = ipproto::kTcp;
                e.more_fragments = true;
                return frame_of(e, std::vector<std::uint8_t>(16));
            },
            DropReason::MalformedL4},
        Row6{
            "TCP fragment that would overwrite flags",
            [] {
                Envelope<V6> e = envelope<V6>();
                e.protocol = ipproto::kTcp;
                e.fragment_offset = 8;
                return frame_of(e, std::vector<std::uint8_t>(16));
            },
            DropReason::FragmentOverlap}));

TEST(Parse6, AnAtomicFragmentIsAWholePacket) {
    Envelope<V6> e = envelope<V6>();
    e.fragment_header = true;
    ParsedPacket<V6> parsed;
    ASSERT_EQ(parse<V6>(frame_of(e, udp_header(1000, 2000)), parsed), DropReason::None);
    EXPECT_FALSE(parsed.facts.fragment);
    EXPECT_EQ(parsed.facts.source_port, L4Port{1000});
}

TEST(Parse6, FindsPortsBehindExtensionHeaders) {
    ParsedPacket<V6> parsed;
    ASSERT_EQ(parse<V6>(extended({0, 43, 60}), parsed), DropReason::None);
    EXPECT_EQ(parsed.facts.protocol, ipproto::kUdp);
    EXPECT_EQ(parsed.facts.destination_port, L4Port{2000});
}

TEST(Parse6, NeighborDiscoveryMayComeFromNowhere) {
    Envelope<V6> e = envelope<V6>();
    e.protocol = ipproto::kIcmp6;
    e.source = Ip6{};
    ParsedPacket<V6> parsed;
    ASSERT_EQ(parse<V6>(frame_of(e, icmp_header(135)), parsed), DropReason::None);
    EXPECT_TRUE(parsed.neighbor_discovery);
}

}  // namespace
}  // namespace vr::test::parse_test
