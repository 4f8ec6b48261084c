// On which of the kernel's interfaces an address is, and our link-local one there.
// SPDX-License-Identifier: Apache-2.0
#include "vrouter/daemon/kernel_networks.h"

#include <gtest/gtest.h>

namespace vr::daemon::kernel_networks_test {
namespace {

InterfaceAddress own(const std::string& text) {
    return {*parse_ip(text.substr(0, text.find('/'))), *parse_prefix(text)};
}

const Ip6 kEast = *Ip6::parse("fe80::e");

const std::vector<KernelInterface> kInterfaces{
    {.link = 2, .addresses = {own("10.0.0.1/8"), own("2001:db8::1/64")}, .link_local = kEast},
    {.link = 3, .addresses = {own("10.1.0.1/16"), own("2001:db8:1::1/64")}, .link_local = {}}};

TEST(KernelNetworks, LinkIsThatOfTheLongestNetwork) {
    EXPECT_EQ(link_to(kInterfaces, *parse_ip("10.2.0.9")), 2);
    EXPECT_EQ(link_to(kInterfaces, *parse_ip("10.1.0.9")), 3);
    EXPECT_EQ(link_to(kInterfaces, *parse_ip("2001:db8:1::9")), 3);
    EXPECT_EQ(link_to(kInterfaces, *parse_ip("2001:db8:2::9")), 0);
    EXPECT_EQ(link_to(kInterfaces, *parse_ip("192.0.2.1")), 0);
}

TEST(KernelNetworks, LinkLocalAddressIsThatOfTheSameInterface) {
    EXPECT_EQ(link_local_beside(kInterfaces, *Ip6::parse("2001:db8::1"), 2), kEast);
    EXPECT_EQ(link_local_beside(kInterfaces, *Ip6::parse("2001:db8::2"), 2), std::nullopt);
    EXPECT_EQ(link_local_beside(kInterfaces, *Ip6::parse("2001:db8:1::1"), 2), std::nullopt);
    EXPECT_EQ(link_local_beside(kInterfaces, *Ip6::parse("2001:db8:1::1"), 3), std::nullopt);
    EXPECT_EQ(link_local_beside(kInterfaces, *Ip6::parse("2001:db8::1"), 9), std::nullopt);
}

TEST(KernelNetworks, LoopbackIsNoLink) {
    boost::asio::io_context loop;
    const KernelNetworks kernel{loop, [] {}};
    EXPECT_EQ(kernel.link_to(*parse_ip("127.0.0.1")), 0);
    EXPECT_EQ(kernel.link_local_beside(*Ip6::parse("::1"), 1), std::nullopt);
}

}  // namespace
}  // namespace vr::daemon::kernel_networks_test
