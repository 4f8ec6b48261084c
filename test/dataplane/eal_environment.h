// DPDK's EAL for unit tests: as an ordinary user, without huge pages, shared files, devices or telemetry.
//
// One per test program; a source file of the program registers it:
//     const auto* const kEal = testing::AddGlobalTestEnvironment(new vr::test::EalEnvironment);
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>
#include <rte_eal.h>
#include <sched.h>

#include <array>
#include <string>

namespace vr::test {

class EalEnvironment final : public testing::Environment {
  public:
    void SetUp() override {
        // One lcore, on whatever CPU the test may run on.
        std::string lcores = "0@" + std::to_string(sched_getcpu());
        std::array<std::string, 9> words{
            "test",
            "--lcores",
            lcores,
            "--no-huge",
            "--no-shconf",
            "-m128",
            "--no-pci",
            "--no-telemetry",
            "--log-level=lib.eal:4"};
        std::array<char*, words.size()> arguments{};
        for (std::size_t i = 0; i < words.size(); ++i) {
            arguments[i] = words[i].data();
        }
        ASSERT_GE(rte_eal_init(static_cast<int>(arguments.size()), arguments.data()), 0);
    }

    void TearDown() override { rte_eal_cleanup(); }
};

}  // namespace vr::test
