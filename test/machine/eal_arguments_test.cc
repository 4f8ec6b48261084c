// What DPDK's EAL is started with: our defaults, and how the config's own arguments replace them.
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>

#include "vrouter/eal.h"

namespace vr::eal_arguments_test {
namespace {

std::vector<std::string> arguments(const std::vector<std::string>& given, bool huge_pages = true) {
    Config config;
    config.eal = given;
    return eal_arguments(config, 7, huge_pages);
}

/// How often an argument that begins with `option` stands there.
long count(const std::vector<std::string>& arguments, std::string_view option) {
    return std::ranges::count_if(
        arguments, [&](const std::string& a) { return a.starts_with(option); });
}

std::string after(const std::vector<std::string>& arguments, std::string_view option) {
    const auto at = std::ranges::find(arguments, option);
    return at == arguments.end() || at + 1 == arguments.end() ? "" : *(at + 1);
}

TEST(EalArguments, EachWorkerIsPinnedAndControlFloats) {
    Config config;
    config.workers.lcores = {3, 5};
    const std::string lcores = after(eal_arguments(config, 7, true), "--lcores");
    EXPECT_TRUE(lcores.starts_with("0@("));
    EXPECT_TRUE(lcores.ends_with("),1@3,2@5")) << lcores;
}

TEST(EalArguments, InstancesAreDistinct) {
    EXPECT_EQ(after(arguments({}), "--file-prefix"), "vrouter7");
}

TEST(EalArguments, WithoutHugePagesMemoryIsOrdinaryAndLargeEnough) {
    Config config;
    config.packets = 32768;
    const auto all = eal_arguments(config, 7, false);
    EXPECT_EQ(count(all, "--no-huge"), 1);
    EXPECT_EQ(count(all, "--no-shconf"), 1);
    EXPECT_EQ(after(all, "-m"), "144");
}

TEST(EalArguments, TheMostPacketsDoNotOverflow) {
    Config config;
    config.packets = 1U << 22U;
    EXPECT_EQ(after(eal_arguments(config, 7, false), "-m"), "10304");
}

TEST(EalArguments, WithHugePagesNothingIsSaidOfMemory) {
    const auto all = arguments({});
    EXPECT_EQ(count(all, "--no-huge") + count(all, "-m"), 0);
}

TEST(EalArguments, GivenArgumentsStandLast) {
    const auto all = arguments({"-d", "x.so"});
    EXPECT_EQ(all.back(), "x.so");
}

struct Given {
    const char* name;
    std::vector<std::string> given;
    const char* option;  ///< of ours that must not stand beside it
    long wanted;
};

class EalOverride : public testing::TestWithParam<Given> {};

TEST_P(EalOverride, ReplacesOurs) {
    EXPECT_EQ(count(arguments(GetParam().given, false), GetParam().option), GetParam().wanted);
}

INSTANTIATE_TEST_SUITE_P(
    Rows,
    EalOverride,
    testing::Values(
        Given{"lcores", {"--lcores", "0,1"}, "--lcores", 1},
        Given{"lcores_joined", {"--lcores=0,1"}, "--lcores", 1},
        Given{"short_lcores", {"-l", "0,1"}, "--lcores", 0},
        Given{"short_lcores_joined", {"-l0,1"}, "--lcores", 0},
        Given{"mask", {"-c", "3"}, "--lcores", 0},
        Given{"prefix", {"--file-prefix", "a"}, "--file-prefix", 1},
        Given{"prefix_joined", {"--file-prefix=a"}, "--file-prefix", 1},
        Given{"memory", {"-m", "9"}, "-m", 1},
        Given{"memory_joined", {"-m9"}, "-m", 1},
        Given{"no_huge", {"--no-huge"}, "--no-huge", 1},
        Given{"no_pci", {"--no-pci"}, "--no-pci", 1}),
    [](const auto& row) { return std::string{row.param.name}; });

struct Device {
    const char* name;
    const char* device;
    long no_pci;
};

class EalPci : public testing::TestWithParam<Device> {};

TEST_P(EalPci, IsScannedOnlyForPciPorts) {
    Config config;
    config.ports.push_back({.name = "p", .device = GetParam().device});
    EXPECT_EQ(count(eal_arguments(config, 7, true), "--no-pci"), GetParam().no_pci);
}

INSTANTIATE_TEST_SUITE_P(
    Rows,
    EalPci,
    testing::Values(
        Device{"full", "0000:3b:00.0", 0},
        Device{"shortened", "3b:00.0", 0},
        Device{"tap", "net_tap0,iface=x", 1},
        Device{"path_with_colon", "net_pcap0,rx_pcap=/a:b", 1}),
    [](const auto& row) { return std::string{row.param.name}; });

}  // namespace
}  // namespace vr::eal_arguments_test
