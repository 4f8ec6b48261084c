// UPDATE: byte rows per attribute with their RFC 7606 outcome, round trips, packing.
// SPDX-License-Identifier: Apache-2.0
#include "bgp/update.h"

#include <gtest/gtest.h>

#include <array>

#include "test/bgp/bytes.h"

namespace vr::bgp::update_test {
namespace {

using testing::hex;

enum class Outcome : std::uint8_t { Announced, Withdrawn, Reset };

struct Row {
    std::string name;
    std::string attributes;  ///< behind good ORIGIN, AS_PATH and NEXT_HOP
    Outcome wanted;
    std::string text = {};  ///< expected inside the set's text, when announced
    PeerKind peer = PeerKind::External;
    AsWidth width = AsWidth::Four;
    Notification reset = {};
};

const std::string kBase = "40 01 01 00  40 02 06 0201 0000fde9  40 03 04 c0000201 ";
const std::string kBase2 = "40 01 01 00  40 02 04 0201 5ba0  40 03 04 c0000201 ";

std::vector<std::uint8_t> body(const std::string& attributes, const std::string& nlri) {
    const auto section = hex(attributes);
    Writer out;
    out.u16(0);
    out.u16(static_cast<std::uint16_t>(section.size()));
    out.bytes(section);
    out.bytes(hex(nlri));
    return out.release();
}

class AttributeRows : public ::testing::TestWithParam<Row> {};

TEST_P(AttributeRows, HasItsOutcome) {
    const Row& row = GetParam();
    const auto bytes =
        body((row.width == AsWidth::Four ? kBase : kBase2) + row.attributes, "18 0a0000");
    const auto decoded = decode_update(bytes, {.as_width = row.width, .peer = row.peer});
    if (row.wanted == Outcome::Reset) {
        ASSERT_TRUE(std::holds_alternative<Notification>(decoded));
        EXPECT_EQ(std::get<Notification>(decoded), row.reset);
        return;
    }
    ASSERT_TRUE(std::holds_alternative<Update>(decoded));
    const auto& reach = std::get<Update>(decoded).of<V4>();
    const std::vector<Prefix<V4>> route{*Prefix<V4>::parse("10.0.0.0/24")};
    EXPECT_EQ(reach.announced == route, row.wanted == Outcome::Announced);
    EXPECT_EQ(reach.withdrawn == route, row.wanted == Outcome::Withdrawn);
    if (!row.text.empty()) {
        EXPECT_NE(to_string(reach.attributes).find(row.text), std::string::npos)
            << to_string(reach.attributes);
    }
}

const auto kGood = Outcome::Announced;
const auto kBad = Outcome::Withdrawn;

INSTANTIATE_TEST_SUITE_P(
    Rows,
    AttributeRows,
    ::testing::Values(
        Row{"nothing_more", "", kGood, "origin igp, as-path 65001, next-hop 192.0.2.1"},
        Row{"med", "80 04 04 00000005", kGood, "med 5"},
        Row{"med_length", "80 04 03 000005", kBad},
        Row{"med_flags", "c0 04 04 00000005", kBad},
        Row{"local_pref_from_ebgp", "40 05 04 00000064", kGood},
        Row{"local_pref_bad_from_ebgp", "40 05 01 64", kGood},
        Row{"local_pref_from_ibgp",
            "40 05 04 00000064",
            kGood,
            "local-pref 100",
            PeerKind::Internal},
        Row{"local_pref_length", "40 05 03 000064", kBad, "", PeerKind::Internal},
        Row{"atomic_aggregate", "40 06 00", kGood, "atomic-aggregate yes"},
        Row{"atomic_aggregate_length", "40 06 01 00", kGood},
        Row{"aggregator", "c0 07 08 0000fde9 0a000001", kGood, "aggregator 65001 10.0.0.1"},
        Row{"aggregator_length", "c0 07 06 fde9 0a000001", kGood},
        Row{"aggregator_as_zero", "c0 07 08 00000000 0a000001", kGood},
        Row{"communities", "c0 08 08 fde80007 ffffff01", kGood, "communities 65000:7 no-export"},
        Row{"communities_length", "c0 08 03 fde800", kBad},
        Row{"communities_empty", "c0 08 00", kBad},
        Row{"originator_from_ebgp", "80 09 03 000000", kGood},
        Row{"originator", "80 09 04 0a000009", kGood, "originator-id 10.0.0.9", PeerKind::Internal},
        Row{"originator_length", "80 09 03 000000", kBad, "", PeerKind::Internal},
        Row{"clusters",
            "80 0a 08 01010101 02020202",
            kGood,
            "cluster-list 1.1.1.1 2.2.2.2",
            PeerKind::Internal},
        Row{"clusters_length", "80 0a 05 0101010102", kBad, "", PeerKind::Internal},
        Row{"extended",
            "c0 10 08 0002fde800000064",
            kGood,
            "extended-communities 0002fde800000064"},
        Row{"extended_length", "c0 10 07 0002fde8000000", kBad},
        Row{"large", "c0 20 0c 00000001 00000002 00000003", kGood, "large-communities 1:2:3"},
        Row{"large_length", "c0 20 0b 00000001 00000002 000000", kBad},
        Row{"large_twice",  // RFC 8092 3
            "c0 20 24 00000001 00000002 00000004 00000001 00000002 00000003 00000001 00000002 "
            "00000004",
            kGood,
            "large-communities 1:2:3 1:2:4"},
        Row{"as4_path_from_new_speaker", "c0 11 06 0201 fa56ea01", kGood, "as-path 65001"},
        Row{"as4_path",
            "c0 11 06 0201 fa56ea01",
            kGood,
            "as-path 4200000001",
            PeerKind::External,
            AsWidth::Two},
        Row{"as4_path_longer",
            "c0 11 0a 0202 fa56ea01 0000fde9",
            kGood,
            "as-path 23456",
            PeerKind::External,
            AsWidth::Two},
        Row{"as4_path_malformed",
            "c0 11 05 0201 fa56ea",
            kGood,
            "as-path 23456",
            PeerKind::External,
            AsWidth::Two},
        Row{"as4_path_of_confederation",  // RFC 6793 6: without those segments
            "c0 11 0c 0301 0000fe4c 0201 fa56ea01",
            kGood,
            "as-path 4200000001",
            PeerKind::External,
            AsWidth::Two},
        Row{"as4_path_of_confederation_cut",
            "c0 11 06 0302 0000fe4c",
            kGood,
            "as-path 23456",
            PeerKind::External,
            AsWidth::Two},
        Row{"as4_aggregator",
            "c0 07 06 5ba0 0a000001 c0 12 08 fa56ea01 0a000001",
            kGood,
            "aggregator 4200000001",
            PeerKind::External,
            AsWidth::Two},
        Row{"as4_stale",
            "c0 07 06 fde9 0a000001 c0 12 08 fa56ea01 0a000001 c0 11 06 0201 fa56ea01",
            kGood,
            "as-path 23456, next-hop 192.0.2.1, aggregator 65001",
            PeerKind::External,
            AsWidth::Two},
        Row{"unknown_transitive", "c0 63 02 aabb", kGood, "attribute-99 2 octets"},
        Row{"unknown_optional", "80 63 02 aabb", kGood},
        Row{"twice", "80 04 04 00000005 80 04 04 00000006", kGood, "med 5"},
        Row{"cut_header", "80 04", kBad},
        Row{"cut_value", "80 04 09 000000", kBad},
        Row{"unknown_family", "80 0e 0d 0019 41 04 0a000001 00 11223344 ", kGood},
        Row{"unknown_well_known",
            "40 63 02 aabb",
            Outcome::Reset,
            "",
            PeerKind::External,
            AsWidth::Four,
            {ErrorCode::Update, 2, hex("40 63 02 aabb")}},
        Row{"mp_reach_cut",
            "80 0e 03 0002 01",
            Outcome::Reset,
            "",
            PeerKind::External,
            AsWidth::Four,
            {ErrorCode::Update, 9, hex("80 0e 03 0002 01")}},
        Row{"mp_reach_next_hop",
            "80 0e 09 0002 01 04 0a000001 00",
            Outcome::Reset,
            "",
            PeerKind::External,
            AsWidth::Four,
            {ErrorCode::Update, 9, hex("80 0e 09 0002 01 04 0a000001 00")}},
        Row{"mp_unreach_prefix",
            "80 0f 04 0002 01 81",
            Outcome::Reset,
            "",
            PeerKind::External,
            AsWidth::Four,
            {ErrorCode::Update, 9, hex("80 0f 04 0002 01 81")}},
        Row{"mp_unreach_twice",
            "80 0f 03 0019 41 80 0f 03 0019 41",
            Outcome::Reset,
            "",
            PeerKind::External,
            AsWidth::Four,
            {ErrorCode::Update, 1, {}}}),
    [](const auto& row) { return row.param.name; });

struct Whole {
    std::string name;
    std::string bytes;
    Outcome wanted;
    std::uint8_t subcode = 0;
};

class WholeRows : public ::testing::TestWithParam<Whole> {};

TEST_P(WholeRows, HasItsOutcome) {
    const auto decoded = decode_update(hex(GetParam().bytes), {});
    if (GetParam().wanted == Outcome::Reset) {
        ASSERT_TRUE(std::holds_alternative<Notification>(decoded));
        EXPECT_EQ(std::get<Notification>(decoded).subcode, GetParam().subcode);
        return;
    }
    ASSERT_TRUE(std::holds_alternative<Update>(decoded));
    EXPECT_EQ(
        std::get<Update>(decoded).treated_as_withdraw, GetParam().wanted == Outcome::Withdrawn);
}

INSTANTIATE_TEST_SUITE_P(
    Rows,
    WholeRows,
    ::testing::Values(
        Whole{"withdrawn_overruns", "0009 0000", Outcome::Reset, 1},
        Whole{"attributes_overrun", "0000 0009 40", Outcome::Reset, 1},
        Whole{"nlri_too_long", "0000 0000 21 0a00000000", Outcome::Reset, 10},
        Whole{"nlri_cut", "0000 0000 18 0a00", Outcome::Reset, 10},
        Whole{"withdrawn_too_long", "0006 21 0a00000000 0000", Outcome::Reset, 10},
        Whole{"no_attributes_at_all", "0000 0000 18 0a0000", Outcome::Withdrawn},
        Whole{
            "no_origin",
            "0000 0010 40 02 06 0201 0000fde9 40 03 04 c0000201 18 0a0000",
            Outcome::Withdrawn},
        Whole{
            "no_as_path", "0000 000b 40 01 01 00 40 03 04 c0000201 18 0a0000", Outcome::Withdrawn},
        Whole{
            "no_next_hop",
            "0000 000d 40 01 01 00 40 02 06 0201 0000fde9 18 0a0000",
            Outcome::Withdrawn},
        Whole{
            "origin_value",
            "0000 0014 40 01 01 03 40 02 06 0201 0000fde9 40 03 04 c0000201 18 0a0000",
            Outcome::Withdrawn},
        Whole{
            "path_as_zero",
            "0000 0014 40 01 01 00 40 02 06 0201 00000000 40 03 04 c0000201 18 0a0000",
            Outcome::Withdrawn},
        Whole{
            "path_segment_type",
            "0000 0014 40 01 01 00 40 02 06 0301 0000fde9 40 03 04 c0000201 18 0a0000",
            Outcome::Withdrawn},
        Whole{
            "path_empty_segment",
            "0000 0010 40 01 01 00 40 02 02 0200 40 03 04 c0000201 18 0a0000",
            Outcome::Withdrawn},
        Whole{
            "path_overrun",
            "0000 0014 40 01 01 00 40 02 06 0202 0000fde9 40 03 04 c0000201 18 0a0000",
            Outcome::Withdrawn},
        Whole{
            "next_hop_length",
            "0000 0013 40 01 01 00 40 02 06 0201 0000fde9 40 03 03 c00002 18 0a0000",
            Outcome::Withdrawn},
        Whole{"end_of_rib", "0000 0000", Outcome::Announced},
        // RFC 7606 5.2: attributes and no prefix, so that one may have been missed.
        Whole{"broken_without_prefixes", "0000 0004 40 01 01 03", Outcome::Reset, 1},
        Whole{"cut_without_prefixes", "0000 0002 40 0e", Outcome::Reset, 1},
        Whole{"broken_beside_withdrawn", "0004 18 0a0000 0004 40 01 01 03", Outcome::Reset, 1},
        Whole{"discarded_without_prefixes", "0000 0004 40 06 01 00", Outcome::Announced},
        Whole{"withdrawal_with_odd_flags", "0000 0006 c0 0f 03 0002 01", Outcome::Withdrawn},
        Whole{"withdrawal_cut", "0000 0005 80 0f 03 0002", Outcome::Reset, 1},
        Whole{
            "broken_beside_other_family",
            "0000 000c 80 0e 05 0019 41 00 00 40 01 01 03",
            Outcome::Withdrawn}),
    [](const auto& row) { return row.param.name; });

template <typename F>
class Packing : public ::testing::Test {
  protected:
    static Attributes attributes() {
        Attributes set;
        set.as_path = AsPath::sequence({65001, 4200000001});
        set.med = 7;
        set.communities = {1, 2};
        if constexpr (std::is_same_v<F, V4>) {
            set.next_hop = Ip4{0xc0000201};
        } else {
            set.next_hop = *Ip6::parse("2001:db8::1");
            set.next_hop_link_local = *Ip6::parse("fe80::1");
        }
        return set;
    }

    static std::vector<Prefix<F>> prefixes(unsigned count) {
        std::vector<Prefix<F>> list;
        for (unsigned i = 0; i < count; ++i) {
            if constexpr (std::is_same_v<F, V4>) {
                list.push_back(Prefix<V4>::host(Ip4{0x0a000000U + i}));
            } else {
                list.push_back(Prefix<V6>::host(Ip6{0x20010db800000000U, i}));
            }
        }
        return list;
    }

    /// Decodes every message of `bytes` and puts the reaches together.
    static Reach<F> decoded(Bytes bytes, AsWidth width = AsWidth::Four) {
        Reach<F> all;
        while (!bytes.empty()) {
            const auto header = decode_header(bytes.first(kHeaderSize));
            const std::size_t length = std::get<Header>(header).length;
            auto update = decode_update(
                bytes.subspan(kHeaderSize, length - kHeaderSize), {.as_width = width});
            auto& reach = std::get<Update>(update).template of<F>();
            all.announced.insert(
                all.announced.end(), reach.announced.begin(), reach.announced.end());
            all.withdrawn.insert(
                all.withdrawn.end(), reach.withdrawn.begin(), reach.withdrawn.end());
            all.attributes = reach.attributes;
            all.end_of_rib = all.end_of_rib || reach.end_of_rib;
            bytes = bytes.subspan(length);
        }
        return all;
    }
};

using Families = ::testing::Types<V4, V6>;
TYPED_TEST_SUITE(Packing, Families);

TYPED_TEST(Packing, AnnouncementsSurviveARoundTrip) {
    const auto list = this->prefixes(2000);
    std::vector<std::uint8_t> out;
    pack_announcements<TypeParam>(this->attributes(), {}, std::span{std::as_const(list)}, out);
    const auto got = this->decoded(out);
    EXPECT_EQ(got.announced, list);
    EXPECT_EQ(got.attributes, this->attributes());
}

TYPED_TEST(Packing, TwoOctetSpeakersGetTheRealPathToo) {
    const auto list = this->prefixes(1);
    std::vector<std::uint8_t> out;
    pack_announcements<TypeParam>(
        this->attributes(), {.as_width = AsWidth::Two}, std::span{std::as_const(list)}, out);
    EXPECT_EQ(this->decoded(out, AsWidth::Two).attributes, this->attributes());
}

TYPED_TEST(Packing, MessagesAreFilledAndNeverTooLong) {
    const auto list = this->prefixes(2000);
    std::vector<std::uint8_t> out;
    const unsigned messages =
        pack_announcements<TypeParam>(this->attributes(), {}, std::span{std::as_const(list)}, out);
    EXPECT_LE(out.size(), messages * kMaxMessage);
    EXPECT_GT(out.size(), (messages - 1) * (kMaxMessage - 20));
}

TYPED_TEST(Packing, WithdrawalsSurviveARoundTrip) {
    const auto list = this->prefixes(2000);
    std::vector<std::uint8_t> out;
    pack_withdrawals<TypeParam>(std::span{list}, out);
    EXPECT_EQ(this->decoded(out).withdrawn, list);
}

TYPED_TEST(Packing, EndOfRibIsRecognised) {
    std::vector<std::uint8_t> out;
    encode_end_of_rib<TypeParam>(out);
    EXPECT_TRUE(this->decoded(out).end_of_rib);
}

TYPED_TEST(Packing, AttributesThatFillAMessageAreNotSent) {
    Attributes set = this->attributes();
    set.communities.assign(1020, 1);
    const auto list = this->prefixes(1);
    std::vector<std::uint8_t> out;
    EXPECT_EQ(pack_announcements<TypeParam>(set, {}, std::span{std::as_const(list)}, out), 0U);
    EXPECT_TRUE(out.empty());
}

// RFC 4271 5: of what is known here, too, nobody may forget that others did not know it.
TEST(Partial, StaysOnceSet) {
    const auto bytes =
        body(kBase + "e0 08 04 fde80007 c0 20 0c 000000010000000200000003", "18 0a0000");
    const auto decoded = decode_update(bytes, {});
    Writer out;
    encode_attributes(std::get<Update>(decoded).of<V4>().attributes, {}, out);
    const auto expected = hex(kBase + "e0 08 04 fde80007 c0 20 0c 000000010000000200000003");
    EXPECT_TRUE(std::ranges::equal(out.view(), expected));
}

TEST(AsPath, CountsAndPrepends) {
    AsPath path = AsPath::sequence({1, 2, 2});
    const std::vector<std::uint32_t> set{7, 8};
    path.append(AsPath::Segment::Set, set);
    EXPECT_EQ(path.length(), 4U);
    EXPECT_EQ(path.count(Asn{2}), 2U);
    EXPECT_EQ(path.text(), "1 2 2 {7 8}");
    EXPECT_EQ(path.prepended(Asn{9}, 2).text(), "9 9 1 2 2 {7 8}");
    EXPECT_EQ(AsPath{}.prepended(Asn{9}), AsPath::sequence({9}));
}

TEST(AsPath, FullSegmentGetsANewOneInFront) {
    AsPath path;
    path.append(AsPath::Segment::Sequence, std::vector<std::uint32_t>(255, 5));
    const AsPath longer = path.prepended(Asn{9});
    EXPECT_EQ(longer.length(), 256U);
    Writer out;
    longer.encode(AsWidth::Four, out);
    EXPECT_EQ(AsPath::decode(Reader{out.view()}, AsWidth::Four), longer);
}

TEST(AsPath, MergesWhatOldSpeakersHid) {  // RFC 6793 4.2.3
    const AsPath merged =
        AsPath::merged(AsPath::sequence({1, 23456, 23456}), AsPath::sequence({100000, 200000}));
    EXPECT_EQ(merged.text(), "1 100000 200000");
    EXPECT_EQ(merged, AsPath::sequence({1, 100000, 200000}));
}

TEST(AsPath, BeginsInWhicheverSegmentsItsSequenceIs) {
    AsPath path = AsPath::sequence({1, 2});
    path.append(AsPath::Segment::Sequence, std::array{3U});
    path.append(AsPath::Segment::Set, std::array{4U, 5U});
    const auto begins = [&](std::vector<Asn> numbers) { return path.begins_with(numbers); };
    EXPECT_TRUE(begins({}));
    EXPECT_TRUE(begins({Asn{1}}));
    EXPECT_TRUE(begins({Asn{1}, Asn{2}, Asn{3}}));
    EXPECT_FALSE(begins({Asn{1}, Asn{2}, Asn{4}}));
    EXPECT_FALSE(begins({Asn{1}, Asn{2}, Asn{3}, Asn{4}})) << "a set has no order";
    EXPECT_FALSE(AsPath{}.begins_with(std::array{Asn{1}}));
}

}  // namespace
}  // namespace vr::bgp::update_test
