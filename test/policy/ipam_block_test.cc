// Blocks, claims, handles as Calico keeps them: what is read, written and refused.
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <string>

#include "policy/ipam/block.h"
#include "policy/ipam/record.h"
#include "policy/ipam/time.h"

namespace vr::policy::ipam::ipam_block_test {
namespace {

const IpPrefix kCidr = *parse_prefix("10.0.0.0/30");

IpAddr address(const std::string& text) {
    return *parse_ip(text);
}

/// As Calico writes it, with fields of a later version.
const std::string kStored =
    R"({"cidr":"10.0.0.0/30","affinity":"host:h1","allocations":[0,null,1,null],)"
    R"("unallocated":[3,1],"attributes":[{"handle_id":"net.c1","secondary":{"node":"h1",)"
    R"("pod":"web"}},{"handle_id":"net.c2","secondary":{"node":"h2"},"since":7}],)"
    R"("sequenceNumber":18000000000000000000,"sequenceNumberForAllocation":{"0":5,"2":6},)"
    R"("deleted":false,"affinityClaimTime":"now","zone":"a","rack":{"b":1}})";

TEST(IpamBlock, StaysAsItWasWritten) {
    EXPECT_EQ(Block::decode(kStored)->encode(), kStored);
}

TEST(IpamBlock, TellsWhoHasWhat) {
    const Block block = *Block::decode(kStored);
    EXPECT_EQ(block.host(), "h1");
    EXPECT_EQ(block.used(), 2U);
    EXPECT_EQ(
        block.find(address("10.0.0.2")),
        (Allocation{address("10.0.0.2"), "net.c2", {{"node", "h2"}}, 6}));
    EXPECT_EQ(block.find(address("10.0.0.1")), std::nullopt);
    EXPECT_EQ(block.find(address("10.0.1.0")), std::nullopt);
}

TEST(IpamBlock, GivesOutWhatHasBeenFreeForLongest) {
    Block block = *Block::decode(kStored);
    EXPECT_TRUE(block.release(address("10.0.0.0")));
    const auto given = block.assign(4, "h", {}, {});
    EXPECT_EQ(
        given,
        (std::vector<IpAddr>{address("10.0.0.3"), address("10.0.0.1"), address("10.0.0.0")}));
    EXPECT_EQ(block.used(), block.size());
}

TEST(IpamBlock, KeepsTheOthersAttributesWhenOneGoes) {
    Block block = *Block::decode(kStored);
    EXPECT_TRUE(block.release(address("10.0.0.0")));
    EXPECT_EQ(block.find(address("10.0.0.2"))->handle, "net.c2");
    EXPECT_EQ(*Block::decode(block.encode()), block);
}

TEST(IpamBlock, AFreeAddressCannotBeReleased) {
    Block block = *Block::decode(kStored);
    EXPECT_FALSE(block.release(address("10.0.0.1")));
    EXPECT_EQ(block.encode(), kStored);
}

TEST(IpamBlock, ReservedAddressesAreLeftOut) {
    Block block(kCidr, "host:h1", 1);
    const std::vector<IpPrefix> reserved{*parse_prefix("10.0.0.0/31")};
    EXPECT_EQ(block.available(reserved), 2U);
    EXPECT_EQ(block.assign(4, "h", {}, reserved).front(), address("10.0.0.2"));
}

TEST(IpamBlock, EveryAssignmentHasASequenceNumberOfItsOwn) {
    Block block(kCidr, "host:h1", 10);
    EXPECT_TRUE(block.assign_address(address("10.0.0.1"), "a", {}));
    EXPECT_TRUE(block.release(address("10.0.0.1")));
    EXPECT_TRUE(block.assign_address(address("10.0.0.1"), "a", {}));
    EXPECT_EQ(block.find(address("10.0.0.1"))->sequence, 12U);
    EXPECT_FALSE(block.assign_address(address("10.0.0.1"), "b", {}));
}

TEST(IpamBlock, OneThatIsBeingDeletedGivesNothing) {
    std::string text = kStored;
    text.replace(text.find("false"), 5, "true");
    Block block = *Block::decode(text);
    EXPECT_TRUE(block.assign(1, "h", {}, {}).empty());
    EXPECT_FALSE(block.assign_address(address("10.0.0.1"), "h", {}));
}

TEST(IpamBlock, AnOldHostAffinityCounts) {
    std::string text = kStored;
    text.replace(text.find(R"("affinity":"host:h1")"), 20, R"("hostAffinity":"h9")");
    EXPECT_EQ(Block::decode(text)->host(), "h9");
}

TEST(IpamBlock, OfSixReachesBeyond64Bits) {
    Block block(*parse_prefix("fd00::ffff:ffff:ffff:fffc/126"), "host:h1", 1);
    EXPECT_EQ(block.assign(4, "h", {}, {}).back(), address("fd00::ffff:ffff:ffff:ffff"));
}

struct Damage {
    std::string name;
    std::string from;  ///< in kStored; empty: all of it
    std::string to;
    std::string error;
};

class DamagedBlock : public testing::TestWithParam<Damage> {};

TEST_P(DamagedBlock, IsRefused) {
    const Damage& damage = GetParam();
    std::string text = damage.to;
    if (!damage.from.empty()) {
        text = kStored;
        text.replace(text.find(damage.from), damage.from.size(), damage.to);
    }
    const auto block = Block::decode(text);
    ASSERT_FALSE(block);
    EXPECT_NE(block.error().text.find(damage.error), std::string::npos) << block.error().text;
}

INSTANTIATE_TEST_SUITE_P(
    All,
    DamagedBlock,
    testing::Values(
        Damage{"NoJson", "", "{", "no JSON"},
        Damage{"NoObject", "", "[]", "no JSON object"},
        Damage{"Empty", "", "{}", "cidr"},
        Damage{"NoPrefix", "10.0.0.0/30", "10.0.0.0/33", "cidr"},
        Damage{"HostBits", "10.0.0.0/30", "10.0.0.1/30", "cidr"},
        Damage{"TooLarge", "10.0.0.0/30", "10.0.0.0/8", "too large"},
        Damage{"OtherSize", "10.0.0.0/30", "10.0.0.0/29", "allocations: expected a list of 8"},
        Damage{"AffinityNoText", R"("host:h1")", "7", "affinity"},
        Damage{"OwnerNegative", "[0,null,1", "[-1,null,1", "allocations[0]"},
        Damage{"OwnerBeyond", "[0,null,1", "[0,null,2", "allocations[2]"},
        Damage{"OwnerNoNumber", "[0,null,1", "[0,null,\"1\"", "allocations[2]"},
        Damage{"FreeTwice", "[3,1]", "[3,3]", "unallocated[1]"},
        Damage{"FreeAndTaken", "[3,1]", "[3,0]", "unallocated[1]"},
        Damage{"FreeBeyond", "[3,1]", "[3,4]", "unallocated[1]"},
        Damage{"FreeMissing", "[3,1]", "[3]", "unallocated"},
        Damage{"FreeNoList", "[3,1]", "{}", "unallocated"},
        Damage{"AttributeNoText", R"("pod":"web")", R"("pod":1)", "attributes"},
        Damage{"SequenceNegative", R"("0":5)", R"("0":-5)", "sequenceNumberForAllocation"},
        Damage{"SequenceBeyond", R"("0":5)", R"("4":5)", "sequenceNumberForAllocation"},
        Damage{"SequenceNoOrdinal", R"("0":5)", R"("x":5)", "sequenceNumberForAllocation"}),
    [](const auto& param) { return param.param.name; });

TEST(IpamRecord, ClaimsAreReadInEachState) {
    for (const auto state :
         {AffinityState::Confirmed, AffinityState::Pending, AffinityState::PendingDeletion}) {
        EXPECT_EQ(decode_affinity(encode_affinity(state)), state);
    }
    EXPECT_EQ(
        encode_affinity(AffinityState::Confirmed), R"({"state":"confirmed","deleted":false})");
    EXPECT_FALSE(decode_affinity(R"({"state":"sure"})"));
    EXPECT_EQ(decode_affinity("{}"), AffinityState::Confirmed);
    EXPECT_EQ(decode_affinity(R"({"state":""})"), AffinityState::Confirmed);
    EXPECT_FALSE(decode_affinity(R"({"state":["pending"]})"));
    EXPECT_FALSE(decode_affinity(""));
    EXPECT_EQ(
        decode_affinity(R"({"state":"confirmed","deleted":true})"), AffinityState::PendingDeletion);
}

TEST(IpamRecord, HandlesCountAddressesByBlock) {
    const HandleBlocks blocks{{kCidr, 2}, {*parse_prefix("fd00::/122"), 1}};
    EXPECT_EQ(
        encode_handle(blocks), R"({"block":{"10.0.0.0/30":2,"fd00::/122":1},"deleted":false})");
    EXPECT_EQ(decode_handle(encode_handle(blocks)), blocks);
    EXPECT_FALSE(decode_handle(R"({"block":{"10.0.0.0/30":-1}})"));
    EXPECT_FALSE(decode_handle(R"({"block":{"x":1}})"));
    EXPECT_FALSE(decode_handle(R"({"block":{"10.0.0.0/30":4097}})"));
}

TEST(IpamRecord, AConfigurationLeavesOutWhatIsFalse) {
    const auto config = decode_config(R"({"strict_affinity":true,"maxBlocksPerHost":4})");
    EXPECT_EQ(config, (Config{true, false, 4}));
    EXPECT_FALSE(decode_config(R"({"strict_affinity":"true"})"));
    EXPECT_FALSE(decode_config(R"({"maxBlocksPerHost":-4})"));
}

TEST(IpamTime, IsWrittenAsCalicoDoes) {
    const Time time{std::chrono::seconds{1763795417}};
    EXPECT_EQ(time_text(time), "2025-11-22 07:10:17 +0000 UTC");
    EXPECT_EQ(parse_time(time_text(time)), time);
    EXPECT_EQ(parse_time("2025-11-22 07:10:17.123456789 +0000 UTC"), time);
}

TEST(IpamTime, OtherFormsAreNone) {
    for (const auto* text :
         {"",
          "now",
          "2025-11-22 07:10:17",
          "2025-11-22 07:10:17 +0100 CET",
          "2025-13-22 07:10:17 +0000 UTC",
          "2025-11-22 24:10:17 +0000 UTC",
          "2025x11x22 07:10:17 +0000 UTC",
          "-025-11-22 07:10:17 +0000 UTC"}) {
        EXPECT_EQ(parse_time(text), std::nullopt) << text;
    }
}

}  // namespace
}  // namespace vr::policy::ipam::ipam_block_test
