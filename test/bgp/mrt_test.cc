// Tables as MRT files, RFC 6396: the octets of each record.
// SPDX-License-Identifier: Apache-2.0
#include "bgp/mrt.h"

#include <gtest/gtest.h>

#include <vector>

#include "test/bgp/bytes.h"

namespace vr::bgp {
namespace {

using testing::hex;

constexpr std::uint32_t kTime = 0x66000000;

MrtDump dump_of_two() {
    return MrtDump{
        {.identifier = *Ip4::parse("192.0.2.1"), .address = Ip4{}, .asn = Asn{64512}},
        {{.identifier = *Ip4::parse("192.0.2.2"),
          .address = *parse_ip("192.0.2.2"),
          .asn = Asn{4200000001}},
         {.identifier = Ip4{}, .address = *parse_ip("fd00::2"), .asn = Asn{65001}}},
        kTime};
}

PathSummary path_of(std::string_view peer, std::string_view next_hop) {
    PathSummary path;
    path.peer = parse_ip(peer);
    path.kind = PeerKind::External;
    path.attributes.as_path = AsPath::sequence({65001});
    path.attributes.next_hop = *parse_ip(next_hop);
    return path;
}

std::vector<std::uint8_t> record_of(const RouteSummary& route) {
    Writer out;
    auto dump = dump_of_two();
    dump.write_route(route, out);
    return out.release();
}

TEST(Mrt, BeginsWithThePeers) {
    Writer out;
    dump_of_two().write_peers(out);
    EXPECT_EQ(
        out.release(),
        hex("66000000 000d 0001 0000003b c0000201 0000 0003"
            "02 c0000201 00000000 0000fc00"
            "02 c0000202 c0000202 fa56ea01"
            "03 00000000 fd000000000000000000000000000002 0000fde9"));
}

TEST(Mrt, HasARecordForAPrefixWithAllItsPaths) {
    RouteSummary route{.prefix = *parse_prefix("10.0.0.0/9"), .paths = {}};
    route.paths.push_back(path_of("192.0.2.2", "192.0.2.2"));
    route.paths.push_back(path_of("fd00::2", "192.0.2.3"));
    EXPECT_EQ(
        record_of(route),
        hex("66000000 000d 0002 00000041 00000000 09 0a00 0002"
            "0001 66000000 0014 40010100 4002060201 0000fde9 400304 c0000202"
            "0002 66000000 0014 40010100 4002060201 0000fde9 400304 c0000203"));
}

TEST(Mrt, GivesOfMpReachTheNextHopOnly) {
    RouteSummary route{.prefix = *parse_prefix("fd00:1::/32"), .paths = {}};
    route.paths.push_back(path_of("fd00::2", "fd00::2"));
    EXPECT_EQ(
        record_of(route),
        hex("66000000 000d 0004 00000034 00000000 20 fd000001 0001"
            "0002 66000000 0021 40010100 4002060201 0000fde9"
            "800e11 10 fd000000000000000000000000000002"));
}

TEST(Mrt, LetsNoZoneOut) {
    RouteSummary route{.prefix = *parse_prefix("fd00:1::/32"), .paths = {}};
    route.paths.push_back(path_of("fd00::2", "fd00::2"));
    route.paths[0].attributes.next_hop = Ip6{0xfe80'0007'0000'0000U, 2};
    const auto octets = record_of(route);
    ASSERT_GE(octets.size(), 16U);
    EXPECT_EQ(
        std::vector(octets.end() - 16, octets.end()), hex("fe800000000000000000000000000002"));
}

TEST(Mrt, OwnRoutesAreOfTheSpeakerItself) {
    RouteSummary route{.prefix = *parse_prefix("fd00:1::/32"), .paths = {PathSummary{}}};
    EXPECT_EQ(
        record_of(route),
        hex("66000000 000d 0004 0000002e 00000000 20 fd000001 0001"
            "0000 66000000 001b 40010100 400200"
            "800e11 10 00000000000000000000000000000000"));
}

TEST(Mrt, PathsOfPeersThatCameLaterAreLeftOut) {
    RouteSummary route{.prefix = *parse_prefix("10.0.0.0/8"), .paths = {}};
    route.paths.push_back(path_of("192.0.2.99", "192.0.2.99"));
    EXPECT_TRUE(record_of(route).empty());
}

TEST(Mrt, CountsItsRecords) {
    RouteSummary route{.prefix = *parse_prefix("10.0.0.0/8"), .paths = {}};
    route.paths.push_back(path_of("192.0.2.2", "192.0.2.2"));
    auto dump = dump_of_two();
    Writer first;
    dump.write_route(route, first);
    Writer second;
    dump.write_route(route, second);
    EXPECT_EQ(Reader{second.view().subspan(12)}.u32(), 1U);
}

}  // namespace
}  // namespace vr::bgp
