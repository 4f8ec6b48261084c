// SPDX-License-Identifier: Apache-2.0
#include "vrouter/services/responder.h"

#include <gtest/gtest.h>

#include <string>

#include "test/services/frames.h"

namespace vr::responder_test {
namespace {

using namespace std::chrono_literals;
using namespace vr::test;

const Ip4 kGuest4 = ip4("10.65.0.2");
const Ip4 kGateway4 = ip4("169.254.1.1");
const Ip4 kOther4 = ip4("10.65.0.77");
const Ip6 kGuest6 = ip6("fd00:65::2");
const Ip6 kGateway6 = ip6("fd00:65::1");
const Ip6 kOther6 = ip6("fd00:65::77");
const Ip6 kGuestLinkLocal = ip6("fe80::abcd");
const Ip6 kRouterLinkLocal = nd::link_local(kRouterMac);

PortFacts guest_port() {
    PortFacts port;
    port.id = PortId{5};
    port.role = PortRole::Guest;
    port.mac = kRouterMac;
    port.peer_mac = kPeerMac;
    port.v4 = {.own = {kGateway4}, .peers = {Prefix<V4>::host(kGuest4)}, .fallback = {}};
    port.v6 = {.own = {kGateway6}, .peers = {Prefix<V6>::host(kGuest6)}, .fallback = {}};
    return port;
}

// A connected network around the same addresses: kGateway4 is the router's own there.
PortFacts fabric_port() {
    PortFacts port = guest_port();
    port.role = PortRole::Fabric;
    port.peer_mac.reset();
    port.v4 = {
        .own = {ip4("10.65.0.1")}, .peers = {*Prefix<V4>::parse("10.65.0.0/24")}, .fallback = {}};
    port.v6 = {.own = {kGateway6}, .peers = {*Prefix<V6>::parse("fd00:65::/64")}, .fallback = {}};
    return port;
}

PortFacts host_port() {
    PortFacts port = guest_port();
    port.role = PortRole::Host;
    port.peer_mac.reset();
    return port;
}

Frame arp_request(Ip4 sender, Ip4 target, Mac mac = kPeerMac) {
    return arp::request(mac, sender, target, std::nullopt);
}

Frame arp_reply(Ip4 sender, Mac mac = kPeerMac) {
    return arp::reply(
        *arp::parse(arp::request(kRouterMac, ip4("10.65.0.1"), sender, std::nullopt)), mac);
}

Frame solicitation(Ip6 source, Ip6 target, Mac mac = kPeerMac) {
    return nd::neighbor_solicitation(mac, source, target, std::nullopt);
}

Frame advertisement(Ip6 target, Mac mac = kPeerMac) {
    return nd::unsolicited_advertisement(mac, target);
}

Frame router_solicitation(Ip6 source) {
    return icmp_packet<V6>(source, nd::kAllRouters, {133, 0, 0, 0, 0, 0, 0, 0});
}

Frame echo4(Ip4 source, Ip4 destination) {
    return icmp_packet<V4>(source, destination, {8, 0, 0, 0, 0, 1, 0, 1});
}

Frame echo6(Ip6 source, Ip6 destination) {
    return icmp_packet<V6>(source, destination, {128, 0, 0, 0, 0, 1, 0, 1});
}

struct Row {
    std::string name;
    PortFacts port;
    Frame frame;
    Outcome outcome;
    /// What Neighbors may believe: "" nothing, else the address and "created" or "updated".
    std::string heard;
};

std::string text(const Answer& answer) {
    return std::visit(
        [](const auto& heard) -> std::string {
            if constexpr (std::is_same_v<std::decay_t<decltype(heard)>, std::monostate>) {
                return "";
            } else {
                return to_string(heard.key.address) + (heard.advertised ? " updated" : " created");
            }
        },
        answer.heard);
}

class ResponderRules : public testing::TestWithParam<Row> {};

TEST_P(ResponderRules, AreKept) {
    Responder responder{{}};
    const Answer answer = responder.answer(GetParam().port, GetParam().frame, kStart);
    EXPECT_EQ(to_string(answer.outcome), to_string(GetParam().outcome));
    EXPECT_EQ(answer.frame.has_value(), GetParam().outcome == Outcome::Answered);
    EXPECT_EQ(text(answer), GetParam().heard);
}

using enum Outcome;

INSTANTIATE_TEST_SUITE_P(
    GuestArp,
    ResponderRules,
    testing::Values(
        Row{"Gateway",
            guest_port(),
            arp_request(kGuest4, kGateway4),
            Answered,
            "10.65.0.2 created"},
        Row{"AnyOther", guest_port(), arp_request(kGuest4, kOther4), Answered, "10.65.0.2 created"},
        Row{"Itself", guest_port(), arp_request(kGuest4, kGuest4), Noted, "10.65.0.2 updated"},
        Row{"ProbeOfItself", guest_port(), arp_request(Ip4{}, kGuest4), Noted, ""},
        Row{"ProbeOfAnother", guest_port(), arp_request(Ip4{}, kOther4), Answered, ""},
        Row{"SenderNotItsOwn", guest_port(), arp_request(kOther4, kGateway4), Spoofed, ""},
        Row{"SenderIsTheGateway", guest_port(), arp_request(kGateway4, kOther4), Spoofed, ""},
        Row{"ForeignMac", guest_port(), arp_request(kGuest4, kGateway4, kOtherMac), Spoofed, ""},
        Row{"SenderMacDiffersFromLink",
            guest_port(),
            with(arp_request(kGuest4, kGateway4), 27, 0x55),
            Spoofed,
            ""},
        Row{"Reply", guest_port(), arp_reply(kGuest4), Noted, "10.65.0.2 updated"},
        Row{"ReplyForAnother", guest_port(), arp_reply(kOther4), Spoofed, ""},
        Row{"Garbage", guest_port(), cut(arp_request(kGuest4, kGateway4), 30), Malformed, ""}),
    [](const auto& test) { return test.param.name; });

INSTANTIATE_TEST_SUITE_P(
    GuestNd,
    ResponderRules,
    testing::Values(
        Row{"Gateway",
            guest_port(),
            solicitation(kGuest6, kGateway6),
            Answered,
            "fd00:65::2 created"},
        Row{"AnyOther",
            guest_port(),
            solicitation(kGuest6, kOther6),
            Answered,
            "fd00:65::2 created"},
        Row{"LinkLocalGateway",
            guest_port(),
            solicitation(kGuestLinkLocal, kRouterLinkLocal),
            Answered,
            ""},
        Row{"Itself", guest_port(), solicitation(kGuest6, kGuest6), NotForUs, ""},
        Row{"DadOfItself", guest_port(), solicitation(Ip6{}, kGuest6), NotForUs, ""},
        Row{"DadOfItsLinkLocal", guest_port(), solicitation(Ip6{}, kGuestLinkLocal), NotForUs, ""},
        Row{"DadOfTheGateway", guest_port(), solicitation(Ip6{}, kGateway6), Answered, ""},
        Row{"DadOfTheLinkLocalGateway",
            guest_port(),
            solicitation(Ip6{}, kRouterLinkLocal),
            Answered,
            ""},
        Row{"SourceNotItsOwn", guest_port(), solicitation(kOther6, kGateway6), Spoofed, ""},
        Row{"SourceIsTheGateway", guest_port(), solicitation(kGateway6, kOther6), Conflict, ""},
        Row{"ForeignMac", guest_port(), solicitation(kGuest6, kGateway6, kOtherMac), Spoofed, ""},
        Row{"Advertisement", guest_port(), advertisement(kGuest6), Noted, "fd00:65::2 updated"},
        Row{"AdvertisementForAnother", guest_port(), advertisement(kOther6), Spoofed, ""},
        Row{"AdvertisementForTheGateway", guest_port(), advertisement(kGateway6), Conflict, ""},
        Row{"RouterSolicitation", guest_port(), router_solicitation(kGuestLinkLocal), Answered, ""},
        Row{"RouterSolicitationFromNobody", guest_port(), router_solicitation(Ip6{}), Answered, ""},
        Row{"RogueRouterAdvertisement",
            guest_port(),
            nd::router_advertisement(nullptr, kPeerMac, {}),
            Spoofed,
            ""},
        Row{"WrongChecksum",
            guest_port(),
            with(solicitation(kGuest6, kGateway6), 60, 1),
            Malformed,
            ""}),
    [](const auto& test) { return test.param.name; });

INSTANTIATE_TEST_SUITE_P(
    Fabric,
    ResponderRules,
    testing::Values(
        Row{"ArpForTheRouter",
            fabric_port(),
            arp_request(kGuest4, ip4("10.65.0.1")),
            Answered,
            "10.65.0.2 created"},
        Row{"ArpForAnother",
            fabric_port(),
            arp_request(kGuest4, kOther4),
            Noted,
            "10.65.0.2 updated"},
        Row{"ArpFromOutsideTheNetwork",
            fabric_port(),
            arp_request(ip4("192.0.2.1"), ip4("10.65.0.1")),
            Answered,
            ""},
        Row{"ArpReply", fabric_port(), arp_reply(kGuest4), Noted, "10.65.0.2 updated"},
        Row{"ArpReplyToAnotherStation",
            fabric_port(),
            with(arp_reply(kGuest4), 5, 0x55),
            NotForUs,
            ""},
        Row{"ArpProbeOfTheRouter",
            fabric_port(),
            arp_request(Ip4{}, ip4("10.65.0.1")),
            Answered,
            ""},
        Row{"ArpClaimsTheRouter",
            fabric_port(),
            arp_request(ip4("10.65.0.1"), kOther4),
            Conflict,
            ""},
        Row{"OwnArpComesBack",
            fabric_port(),
            arp::gratuitous(kRouterMac, ip4("10.65.0.1")),
            NotForUs,
            ""},
        Row{"NsForTheRouter",
            fabric_port(),
            solicitation(kGuest6, kGateway6),
            Answered,
            "fd00:65::2 created"},
        Row{"NsForItsLinkLocal",
            fabric_port(),
            solicitation(kGuestLinkLocal, kRouterLinkLocal),
            Answered,
            "fe80::abcd created"},
        Row{"NsForAnother", fabric_port(), solicitation(kGuest6, kOther6), NotForUs, ""},
        Row{"NaOfANeighbor", fabric_port(), advertisement(kOther6), Noted, "fd00:65::77 updated"},
        Row{"NaFromOutside", fabric_port(), advertisement(ip6("2001:db8::1")), Noted, ""},
        Row{"RouterSolicitation",
            fabric_port(),
            router_solicitation(kGuestLinkLocal),
            NotForUs,
            ""},
        Row{"RouterAdvertisement",
            fabric_port(),
            nd::router_advertisement(nullptr, kPeerMac, {}),
            NotForUs,
            ""}),
    [](const auto& test) { return test.param.name; });

INSTANTIATE_TEST_SUITE_P(
    Host,
    ResponderRules,
    testing::Values(
        Row{"ArpForAnything",
            host_port(),
            arp_request(kGuest4, kOther4),
            Answered,
            "10.65.0.2 created"},
        Row{"ArpForItself", host_port(), arp_request(Ip4{}, kGuest4), Noted, ""},
        Row{"NsForAnything",
            host_port(),
            solicitation(kGuest6, kOther6),
            Answered,
            "fd00:65::2 created"},
        Row{"DadOfItsLinkLocal", host_port(), solicitation(Ip6{}, kGuestLinkLocal), NotForUs, ""},
        Row{"RouterSolicitation", host_port(), router_solicitation(kGuestLinkLocal), NotForUs, ""}),
    [](const auto& test) { return test.param.name; });

Frame reverse_arp(Mac mac) {
    Frame frame = arp_request(Ip4{}, Ip4{}, mac);
    frame[12] = 0x80;
    frame[13] = 0x35;
    frame[21] = 3;
    mac.store(&frame[32]);
    return frame;
}

INSTANTIATE_TEST_SUITE_P(
    ReverseArp,
    ResponderRules,
    testing::Values(
        Row{"OfAGuest", guest_port(), reverse_arp(kPeerMac), Noted, ""},
        Row{"ForeignMac", guest_port(), reverse_arp(kOtherMac), Spoofed, ""},
        Row{"Cut", guest_port(), cut(reverse_arp(kPeerMac), 30), Malformed, ""},
        Row{"OfTheFabric", fabric_port(), reverse_arp(kPeerMac), NotForUs, ""},
        Row{"OfTheHost", host_port(), reverse_arp(kPeerMac), NotForUs, ""}),
    [](const auto& test) { return test.param.name; });

INSTANTIATE_TEST_SUITE_P(
    Echo,
    ResponderRules,
    testing::Values(
        Row{"Gateway4", guest_port(), echo4(kGuest4, kGateway4), Answered, ""},
        Row{"Gateway6", guest_port(), echo6(kGuest6, kGateway6), Answered, ""},
        Row{"LinkLocal", guest_port(), echo6(kGuestLinkLocal, kRouterLinkLocal), Answered, ""},
        Row{"ToAnother", guest_port(), echo4(kGuest4, kOther4), NotForUs, ""},
        Row{"FromAnother", guest_port(), echo4(kOther4, kGateway4), Spoofed, ""},
        Row{"FromTheGatewayItself", fabric_port(), echo6(kGateway6, kGateway6), Spoofed, ""},
        Row{"WrongChecksum", guest_port(), with(echo4(kGuest4, kGateway4), 41, 9), Malformed, ""},
        Row{"CutIp", guest_port(), cut(echo4(kGuest4, kGateway4), 30), Malformed, ""}),
    [](const auto& test) { return test.param.name; });

INSTANTIATE_TEST_SUITE_P(
    OtherFrames,
    ResponderRules,
    testing::Values(
        Row{"Empty", guest_port(), {}, Malformed, ""},
        Row{"Runt", guest_port(), Frame(13, 2), Malformed, ""},
        Row{"UnknownEtherType", guest_port(), Frame(60, 2), NotForUs, ""},
        Row{"Udp", guest_port(), udp_packet<V4>(kGuest4, kGateway4, 20), NotForUs, ""}),
    [](const auto& test) { return test.param.name; });

TEST(Responder, AnswersArpWithItsOwnMac) {
    Responder responder{{}};
    const auto answer = responder.answer(guest_port(), arp_request(kGuest4, kOther4), kStart);
    const auto reply = arp::parse(*answer.frame);
    ASSERT_TRUE(reply);
    EXPECT_EQ(reply->sender_mac, kRouterMac);
    EXPECT_EQ(reply->sender, kOther4);
    EXPECT_EQ(reply->link_destination, kPeerMac);
}

nd::NeighborAdvertisement advertised(Ip6 target) {
    Responder responder{{}};
    const auto answer = responder.answer(guest_port(), solicitation(kGuest6, target), kStart);
    return std::get<nd::NeighborAdvertisement>(nd::parse(*answer.frame).value());
}

TEST(Responder, OverridesForItselfOnly) {
    EXPECT_TRUE(advertised(kGateway6).flags.override_cached);
    EXPECT_FALSE(advertised(kOther6).flags.override_cached);
    EXPECT_EQ(advertised(kOther6).target_mac, kRouterMac);
}

TEST(Responder, ReplyToItsQuestionCountsAsSolicited) {
    Responder responder{{}};
    const auto heard = [&](const Frame& frame) {
        return std::get<Heard<V4>>(responder.answer(fabric_port(), frame, kStart).heard)
            .advertised->solicited;
    };
    EXPECT_TRUE(heard(arp_reply(kGuest4)));
    EXPECT_FALSE(heard(arp::gratuitous(kPeerMac, kGuest4)));
}

TEST(Responder, StopsAnsweringAFloodButKeepsListening) {
    Responder responder{{.neighbor_per_port = {.per_second = 10, .burst = 10}}};
    int answered = 0;
    for (int i = 0; i < 100; ++i) {
        const auto answer = responder.answer(guest_port(), arp_request(kGuest4, kOther4), kStart);
        answered += answer.frame ? 1 : 0;
        EXPECT_EQ(text(answer), "10.65.0.2 created");
    }
    EXPECT_EQ(answered, 10);
}

TEST(Responder, EchoFloodLeavesArpAlone) {
    Responder responder{{.echo_per_port = {.per_second = 1, .burst = 1}}};
    const auto echo = [&] {
        return responder.answer(guest_port(), echo4(kGuest4, kGateway4), kStart).outcome;
    };
    EXPECT_EQ(echo(), Answered);
    EXPECT_EQ(echo(), RateLimited);
    EXPECT_EQ(
        responder.answer(guest_port(), arp_request(kGuest4, kOther4), kStart).outcome, Answered);
}

TEST(Responder, ErrorsAreLimitedPerPort) {
    Responder responder{{.error_per_port = {.per_second = 1, .burst = 1}}};
    const Frame about = udp_packet<V4>(kGuest4, kOther4, 20);
    const icmp::Report report{icmp::Problem::HopLimitExceeded};
    EXPECT_TRUE(responder.report<V4>(guest_port(), about, report, kStart));
    EXPECT_FALSE(responder.report<V4>(guest_port(), about, report, kStart));
    responder.remove_port(guest_port().id);
    EXPECT_TRUE(responder.report<V4>(guest_port(), about, report, kStart));
}

TEST(Responder, SpeaksFromARoutedAddressWhereThereIsOne) {
    PortFacts port = guest_port();
    EXPECT_EQ(speaking_address<V4>(port), kGateway4) << "link-local is better than none";
    port.v4.fallback = ip4("192.0.2.1");
    EXPECT_EQ(speaking_address<V4>(port), ip4("192.0.2.1"));
    port.v4 = {};
    EXPECT_EQ(speaking_address<V4>(port), ip4("192.0.0.8"));
    EXPECT_EQ(speaking_address<V6>(port), kGateway6);
    port.v6 = {};
    EXPECT_EQ(speaking_address<V6>(port), kRouterLinkLocal);
}

TEST(Responder, AsksFromAnAddressOfTheLink) {
    PortFacts port = guest_port();
    const auto sender = [&] {
        return arp::parse(solicitation<V4>(port, {{port.id, kGuest4}, kPeerMac}))->sender;
    };
    port.v4.fallback = ip4("192.0.2.1");
    EXPECT_EQ(sender(), kGateway4);
    port.v4.own.clear();
    EXPECT_EQ(sender(), ip4("192.0.2.1"));
    port.v4.fallback.reset();
    EXPECT_EQ(sender(), Ip4{});
    const auto message = nd::parse(solicitation<V6>(port, {{port.id, kGuest6}, std::nullopt}));
    EXPECT_EQ(std::get<nd::NeighborSolicitation>(*message).envelope.source, kRouterLinkLocal);
}

// What one router says, the next understands: the answers to a guest resolve it on our side too.
TEST(Responder, HeardFeedsTheNeighborTable) {
    Responder responder{{}};
    Neighbors<V6> neighbors{{}};
    const auto answer = responder.answer(guest_port(), solicitation(kGuest6, kGateway6), kStart);
    static_cast<void>(neighbors.hear(std::get<Heard<V6>>(answer.heard), kStart));
    EXPECT_EQ(neighbors.find({PortId{5}, kGuest6})->mac, kPeerMac);
}

}  // namespace
}  // namespace vr::responder_test
