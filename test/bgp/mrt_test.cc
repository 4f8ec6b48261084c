// MRT files, RFC 6396: the octets of each record written, and what is read of those of others.
// SPDX-License-Identifier: Apache-2.0
#include "bgp/mrt.h"

#include <gtest/gtest.h>

#include <array>
#include <string>
#include <vector>

#include "bgp/mrt_reader.h"
#include "test/bgp/bytes.h"

namespace vr::bgp::mrt_test {
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

TEST(Mrt, PathsWithIdentifiersHaveARecordOfTheirOwn) {
    RouteSummary route{.prefix = *parse_prefix("10.0.0.0/9"), .paths = {}};
    route.paths.push_back(path_of("192.0.2.2", "192.0.2.2"));
    route.paths.push_back(path_of("fd00::2", "192.0.2.3"));
    route.paths.push_back(route.paths[0]);
    route.paths[0].path_id = 7;
    route.paths[2].path_id = 0;
    EXPECT_EQ(
        record_of(route),
        hex("66000000 000d 0008 00000049 00000000 09 0a00 0002"
            "0001 66000000 00000007 0014 40010100 4002060201 0000fde9 400304 c0000202"
            "0001 66000000 00000000 0014 40010100 4002060201 0000fde9 400304 c0000202"
            "66000000 000d 0002 00000025 00000001 09 0a00 0001"
            "0002 66000000 0014 40010100 4002060201 0000fde9 400304 c0000203"))
        << "that of the best path is the first";
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

// --- reading ---------------------------------------------------------------------------------------

/// What a file says, a line for a path and for a fault.
std::vector<std::string> read(Bytes file, std::size_t piece = 1000000) {
    std::vector<std::string> lines;
    MrtReader reader;
    const auto fault = [&](const std::string& text) { lines.push_back(text); };
    constexpr std::array kWords{"recorded", "announced", "withdrawn"};
    const auto visit = [&](const MrtPath& path) {
        lines.push_back(
            std::string(kWords.at(static_cast<std::size_t>(path.kind))) + " " +
            to_string(path.prefix) +
            (path.path_id ? " path " + std::to_string(*path.path_id) : "") + " by " +
            to_string(path.peer.address) + " AS" + to_string(path.peer.asn) + " as-path " +
            path.attributes.as_path.text() + " next-hop " + to_string(path.attributes.next_hop));
    };
    for (; !file.empty(); file = file.subspan(std::min(piece, file.size()))) {
        reader.feed(file.first(std::min(piece, file.size())));
        while (reader.read(visit, fault)) {
        }
    }
    reader.finish(fault);
    return lines;
}

using Lines = std::vector<std::string>;

TEST(MrtReader, ReadsWhatWasWritten) {
    auto dump = dump_of_two();
    Writer out;
    dump.write_peers(out);
    RouteSummary route{.prefix = *parse_prefix("10.0.0.0/9"), .paths = {}};
    route.paths.push_back(path_of("192.0.2.2", "192.0.2.2"));
    route.paths.push_back(path_of("fd00::2", "fd00::3"));
    dump.write_route(route, out);
    route.prefix = *parse_prefix("fd00:1::/32");
    route.paths = {PathSummary{}, path_of("fd00::2", "fd00::2")};
    route.paths[1].path_id = 7;
    dump.write_route(route, out);
    EXPECT_EQ(
        read(out.view()),
        (Lines{
            "recorded 10.0.0.0/9 by 192.0.2.2 AS4200000001 as-path 65001 next-hop 192.0.2.2",
            "recorded 10.0.0.0/9 by fd00::2 AS65001 as-path 65001 next-hop fd00::3",
            "recorded fd00:1::/32 by 0.0.0.0 AS64512 as-path  next-hop ::",
            "recorded fd00:1::/32 path 7 by fd00::2 AS65001 as-path 65001 next-hop fd00::2"}));
}

struct ReadRow {
    const char* name;
    std::vector<std::uint8_t> file;
    Lines wanted;
};

void PrintTo(const ReadRow& row, std::ostream* out) {
    *out << row.name;
}

class MrtFiles : public ::testing::TestWithParam<ReadRow> {};

TEST_P(MrtFiles, AreReadAsFarAsTheyCanBe) {
    EXPECT_EQ(read(GetParam().file), GetParam().wanted);
    EXPECT_EQ(read(GetParam().file, 1), GetParam().wanted) << "octet by octet";
}

/// One peer: 192.0.2.2 in AS 65001, with two octets.
const std::string kPeers =
    "66000000 000d 0001 00000013 c0000201 0000 0001 00 c0000202 c0000202 fde9";
const std::string kMessage =  // from 192.0.2.2 in AS 65001: withdraws 10.1/16, announces 10.2/16
    "fde9 fc00 0000 0001 c0000202 c0000201 ffffffffffffffffffffffffffffffff 002f 02 0003 100a01 "
    "0012"
    "40010100 400204 0201 fde9 400304 c0000202 100a02";

INSTANTIATE_TEST_SUITE_P(
    Rows,
    MrtFiles,
    ::testing::Values(
        ReadRow{"nothing", {}, {}},
        ReadRow{
            "path_identifier",
            hex(kPeers +
                "66000000 000d 0008 00000028 00000000 08 0a 0001 0000 66000000 00000007 0014"
                "40010100 400206 0201 0000fde9 400304 c0000202"),
            {"recorded 10.0.0.0/8 path 7 by 192.0.2.2 AS65001 as-path 65001 next-hop 192.0.2.2"}},
        ReadRow{
            "whole_mp_reach",
            hex(kPeers +
                "66000000 000d 0004 00000034 00000000 08 fd 0001 0000 66000000 0024 40010100 400206"
                "0201 0000fde9 800e14 0002 01 10 fd000000000000000000000000000002"),
            {"recorded fd00::/8 by 192.0.2.2 AS65001 as-path 65001 next-hop fd00::2"}},
        ReadRow{
            "message",
            hex("66000000 0010 0001 0000003f" + kMessage),
            {"withdrawn 10.1.0.0/16 by 192.0.2.2 AS65001 as-path  next-hop 0.0.0.0",
             "announced 10.2.0.0/16 by 192.0.2.2 AS65001 as-path 65001 next-hop 192.0.2.2"}},
        ReadRow{
            "message_with_microseconds",
            hex("66000000 0011 0001 00000043 0000ffff" + kMessage),
            {"withdrawn 10.1.0.0/16 by 192.0.2.2 AS65001 as-path  next-hop 0.0.0.0",
             "announced 10.2.0.0/16 by 192.0.2.2 AS65001 as-path 65001 next-hop 192.0.2.2"}},
        ReadRow{"state_change", hex("66000000 0010 0000 00000000"), {}},
        ReadRow{"cut_header", hex("66000000 00"), {"record 1: the file ends within it"}},
        ReadRow{
            "cut_record",
            hex("66000000 000d 0002 00000100 00"),
            {"record 1: the file ends within it"}},
        ReadRow{
            "unknown_type_is_passed_over",
            hex("66000000 0030 0001 00000001 00" + kPeers),
            {"record 1: type 48 is not read"}},
        ReadRow{
            "unknown_peer",
            hex("66000000 000d 0002 00000010 00000000 08 0a 0001 0000 66000000 0000"),
            {"record 1: peer 0 is not in the list of peers"}},
        ReadRow{
            "too_long_a_prefix",
            hex(kPeers + "66000000 000d 0002 0000000a 00000000 21 0a00000000"),
            {"record 2: malformed prefix"}},
        ReadRow{
            "cut_attributes",
            hex(kPeers + "66000000 000d 0002 00000012 00000000 08 0a 0001 0000 66000000 0002 4001"),
            {"record 2: malformed attributes"}},
        ReadRow{
            "cut_paths",
            hex(kPeers + "66000000 000d 0002 0000000a 00000000 08 0a 0009 0000"),
            {"record 2: paths are cut short"}},
        ReadRow{
            "message_of_another_length",
            hex("66000000 0010 0001 00000023 fde9 fc00 0000 0001 c0000202 c0000201"
                "ffffffffffffffffffffffffffffffff 0014 04"),
            {"record 1: malformed message"}},
        ReadRow{
            "too_long_a_record",
            hex("66000000 000d 0002 04000001 00"),
            {"record 1: too long", "record 1: the file ends within it"}}),
    [](const auto& row) { return row.param.name; });

}  // namespace
}  // namespace vr::bgp::mrt_test
