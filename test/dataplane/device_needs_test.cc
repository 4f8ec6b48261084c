// Rows of (device, what is said to be missing); every machine has an interface "lo".
// SPDX-License-Identifier: Apache-2.0
#include "vrouter/dataplane/device_needs.h"

#include <gtest/gtest.h>

namespace vr::device_needs_test {
namespace {

struct Row {
    const char* name;
    const char* device;
    const char* missing;
};

class DeviceNeeds : public testing::TestWithParam<Row> {};

TEST_P(DeviceNeeds, AreToldInWords) {
    EXPECT_EQ(missing_for(GetParam().device).value_or("nothing"), GetParam().missing);
}

constexpr const char* kNoInterface =
    "there is no network interface 'absent0' here ('ip link' lists them)";

INSTANTIATE_TEST_SUITE_P(
    Rows,
    DeviceNeeds,
    testing::Values(
        Row{"AfPacket", "net_af_packet0,iface=lo", "nothing"},
        Row{"AfPacketAmongOptions", "net_af_packet0,blocksz=4096,iface=lo,qpairs=1", "nothing"},
        Row{"AfPacketAbsent", "net_af_packet0,blocksz=4096,iface=absent0", kNoInterface},
        Row{"AfPacketOfNothing",
            "net_af_packet0,ifaces=lo",
            "it needs iface=NAME, the kernel's interface"},
        Row{"AfXdpAbsent", "net_af_xdp1,iface=absent0", kNoInterface},
        Row{"PcapInterfaceAbsent", "net_pcap0,rx_iface=absent0,tx_iface=lo", kNoInterface},
        Row{"PcapFileAbsent",
            "net_pcap0,rx_pcap=/absent/file.pcap",
            "there is no file '/absent/file.pcap'"},
        Row{"PciAbsent",
            "ffff:ff:1f.7",
            "there is no PCI device ffff:ff:1f.7 here ('lspci -D' lists them)"},
        Row{"PciAbsentShort",
            "ff:1f.7,representor=0",
            "there is no PCI device 0000:ff:1f.7 here ('lspci -D' lists them)"},
        Row{"WhatIsNotKnownMayWork", "net_memif0,role=client", "nothing"}),
    [](const auto& row) { return std::string(row.param.name); });

}  // namespace
}  // namespace vr::device_needs_test
