// The bytes of the stream: what is written is read again, and what nobody writes is refused.
// SPDX-License-Identifier: Apache-2.0
#include "policy/policyd/wire.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "test/policyd/stream.h"

namespace vr::policyd::wire_test {
namespace {

using policy::Key;
using policy::Kind;
using policy::SetUpdate;
using How = SetUpdate::How;

policy::PortMember member(std::uint16_t port, std::string_view prefix) {
    return {L4Port{port}, parse_prefix(prefix).value()};
}

Result<Update> read_back(const Chunk& chunk) {
    const auto message = read_frame(bytes_of({1, {chunk}, false}));
    return read_update(message.batch().updates(0));
}

class SetRoundTrip : public testing::TestWithParam<SetUpdate> {};

TEST_P(SetRoundTrip, IsWhatWasWritten) {
    const auto read = read_back(set_update(GetParam()));
    ASSERT_TRUE(read) << read.error().text;
    EXPECT_EQ(std::get<SetUpdate>(*read), GetParam());
}

INSTANTIATE_TEST_SUITE_P(
    Table,
    SetRoundTrip,
    testing::Values(
        SetUpdate{{"all()", "", 0}, How::Replace, {}, {}},
        SetUpdate{
            {"role == \"db\"", "", 0},
            How::Replace,
            {member(0, "10.0.0.1/32"), member(0, "0.0.0.0/0"), member(0, "fd00::/64")},
            {}},
        SetUpdate{
            {"all()", "sql", 6},
            How::Change,
            {member(3306, "10.0.0.1/32"), member(5432, "fd00::1/128")},
            {member(3306, "10.0.0.2/32")}},
        SetUpdate{{"all()", "sql", 17}, How::Forget, {}, {}},
        SetUpdate{{"city == \"Z\xfcrich\"", "caf\xe9", 6}, How::Forget, {}, {}}));

class ObjectRoundTrip : public testing::TestWithParam<Key> {};

TEST_P(ObjectRoundTrip, IsWhatWasWritten) {
    const auto came = read_back(object_update(GetParam(), "text"));
    ASSERT_TRUE(came) << came.error().text;
    EXPECT_EQ(std::get<ObjectCame>(*came).key, GetParam());
    EXPECT_EQ(std::get<ObjectCame>(*came).document, "text");
    const auto went = read_back(object_remove(GetParam()));
    ASSERT_TRUE(went) << went.error().text;
    EXPECT_EQ(std::get<ObjectWent>(*went).key, GetParam());
}

std::vector<Key> one_of_each_kind() {
    std::vector<Key> keys;
    for (const auto& row : policy::kinds()) {
        keys.push_back({row.kind, row.namespaced ? "prod" : "", "a.name"});
    }
    keys.push_back({Kind::NetworkPolicy, "Z\xfcrich", "caf\xe9"});  // Latin-1
    return keys;
}

INSTANTIATE_TEST_SUITE_P(Kinds, ObjectRoundTrip, testing::ValuesIn(one_of_each_kind()));

class BlocksRoundTrip : public testing::TestWithParam<std::set<IpPrefix>> {};

TEST_P(BlocksRoundTrip, AreWhatWasWritten) {
    const auto read = read_back(own_blocks(GetParam()));
    ASSERT_TRUE(read) << read.error().text;
    EXPECT_EQ(std::get<OwnBlocks>(*read).blocks, GetParam());
}

INSTANTIATE_TEST_SUITE_P(
    Table,
    BlocksRoundTrip,
    testing::Values(
        std::set<IpPrefix>{},
        std::set<IpPrefix>{
            parse_prefix("10.65.1.0/26").value(),
            parse_prefix("10.65.1.64/26").value(),
            parse_prefix("fd00:65::/122").value()}));

TEST(Wire, BlocksThatAreNoPrefixesAreRefused) {
    pb::ToDataplane message;
    message.mutable_own_blocks()->set_networks4(std::string("\x0a\x00\x00\x01\x08", 5));
    EXPECT_FALSE(read_update(message));
}

TEST(Wire, NumbersAndEndsABatch) {
    const auto more = read_frame(bytes_of({300, {in_sync(), in_sync()}, true}));
    EXPECT_EQ(more.batch().sequence_number(), 300U);
    EXPECT_TRUE(more.batch().more());
    EXPECT_EQ(more.batch().updates_size(), 2);
    EXPECT_FALSE(read_frame(bytes_of({301, {}, false})).batch().more());
}

struct BadMembers {
    const char* name;
    std::uint32_t port;
    std::string networks4;
    std::string networks6;
};

class RefusesMembers : public testing::TestWithParam<BadMembers> {};

TEST_P(RefusesMembers, Alone) {
    pb::ToDataplane message;
    auto& set = *message.mutable_ipset_update();
    set.mutable_id()->set_selector("all()");
    auto& members = *set.add_members();
    members.set_port(GetParam().port);
    members.set_networks4(GetParam().networks4);
    members.set_networks6(GetParam().networks6);
    EXPECT_FALSE(read_update(message));
}

INSTANTIATE_TEST_SUITE_P(
    Table,
    RefusesMembers,
    testing::Values(
        BadMembers{"a number for a set that names no port", 80, "", ""},
        BadMembers{"an address cut short", 0, std::string("\x0a\x00\x00", 3), ""},
        BadMembers{"no length", 0, std::string("\x0a\x00\x00\x01", 4), ""},
        BadMembers{"too long a prefix", 0, std::string("\x0a\x00\x00\x01\x21", 5), ""},
        BadMembers{"host bits", 0, std::string("\x0a\x00\x00\x01\x08", 5), ""},
        BadMembers{"too long a prefix of six", 0, "", std::string(16, '\0') + '\x81'}),
    [](const auto& row) {
        std::string name = row.param.name;
        std::ranges::replace(name, ' ', '_');
        return name;
    });

TEST(Wire, FramesArriveInAnySplit) {
    const std::string bytes = bytes_of({1, {in_sync()}, false}) + bytes_of({2, {}, false});
    FrameDecoder decoder;
    std::vector<std::uint64_t> seen;
    for (const char byte : bytes) {
        const auto octet = static_cast<std::uint8_t>(byte);
        decoder.feed({&octet, 1});
        const auto content = decoder.next();
        ASSERT_TRUE(content);
        if (*content) {
            seen.push_back(parse_from_server(**content)->batch().sequence_number());
        }
    }
    EXPECT_EQ(seen, (std::vector<std::uint64_t>{1, 2}));
}

TEST(Wire, FrameThatClaimsTooMuchIsRefused) {
    FrameDecoder decoder(100);
    const std::array<std::uint8_t, 4> claim{0, 0, 0, 101};
    decoder.feed(claim);
    EXPECT_FALSE(decoder.next());
}

}  // namespace
}  // namespace vr::policyd::wire_test
