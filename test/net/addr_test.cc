// SPDX-License-Identifier: Apache-2.0
#include "vrouter/net/addr.h"

#include <gtest/gtest.h>

#include <array>

namespace vr::addr_test {
namespace {

using namespace vr::literals;

TEST(Ip4, ParsesDottedQuadsOnly) {
    EXPECT_EQ(Ip4::parse("10.0.0.1"), "10.0.0.1"_ip4);
    for (const auto* text : {"", "10.0.0", "10.0.0.256", "10.0.0.1 ", "::1", "0x0a.0.0.1"}) {
        EXPECT_FALSE(Ip4::parse(text)) << text;
    }
}

TEST(Ip4, KeepsWireOrderWhenStored) {
    std::array<std::uint8_t, 4> wire{};
    "10.1.2.3"_ip4.store(wire.data());
    EXPECT_EQ(wire, (std::array<std::uint8_t, 4>{10, 1, 2, 3}));
    EXPECT_EQ(Ip4::load(wire.data()), "10.1.2.3"_ip4);
}

TEST(Ip4, KnowsItsKinds) {
    EXPECT_TRUE("224.0.0.1"_ip4.is_multicast());
    EXPECT_FALSE("223.255.255.255"_ip4.is_multicast());
    EXPECT_TRUE("169.254.1.1"_ip4.is_link_local());
    EXPECT_TRUE("255.255.255.255"_ip4.is_broadcast());
}

TEST(Ip4, MasksEveryLength) {
    EXPECT_EQ("10.1.2.3"_ip4.masked(0), "0.0.0.0"_ip4);
    EXPECT_EQ("10.1.2.3"_ip4.masked(8), "10.0.0.0"_ip4);
    EXPECT_EQ("10.1.2.3"_ip4.masked(32), "10.1.2.3"_ip4);
}

TEST(Ip6, PrintsCanonicalText) {
    EXPECT_EQ(to_string(*Ip6::parse("2001:DB8:0:0:0:0:0:1")), "2001:db8::1");
    EXPECT_EQ(to_string(Ip6{}), "::");
}

TEST(Ip6, MasksAcrossBothHalves) {
    const auto all = *Ip6::parse("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff");
    EXPECT_EQ(all.masked(0), Ip6{});
    EXPECT_EQ(to_string(all.masked(64)), "ffff:ffff:ffff:ffff::");
    EXPECT_EQ(to_string(all.masked(65)), "ffff:ffff:ffff:ffff:8000::");
    EXPECT_EQ(all.masked(128), all);
}

TEST(Ip6, NumbersBitsFromTheTop) {
    const auto address = *Ip6::parse("8000::1");
    EXPECT_TRUE(address.bit(0));
    EXPECT_FALSE(address.bit(1));
    EXPECT_FALSE(address.bit(64));
    EXPECT_TRUE(address.bit(127));
}

TEST(Mac, ParsesAndPrints) {
    EXPECT_EQ(to_string(*Mac::parse("02:00:5E:10:00:01")), "02:00:5e:10:00:01");
    for (const auto* text : {"", "02:00:5e:10:00", "02-00-5e-10-00-01", "0x:00:5e:10:00:01"}) {
        EXPECT_FALSE(Mac::parse(text)) << text;
    }
}

}  // namespace
}  // namespace vr::addr_test
