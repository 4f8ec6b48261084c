// The counters add up: whatever comes in ends in exactly one of sent, punted, consumed, dropped, and no
// buffer is lost.
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <rte_mempool.h>

#include <random>

#include "test/dataplane/pipeline_lab.h"

namespace vr::test::accounting_test {
namespace {

template <typename F>
class Accounting : public testing::Test {
  public:
    std::uint32_t pick(std::uint32_t bound) {
        return static_cast<std::uint32_t>(random_() % bound);
    }

    /// A right packet between stations that are drawn at random, of any protocol and state.
    Frame valid(PortId in) {
        constexpr std::uint32_t kStations[] = {
            kGuestA, kGuestB, kRouter, kOutside, kOutside2, 0x0a000077, 0xc6336401};
        const std::uint32_t own = in == lab_.a     ? kGuestA
                                  : in == lab_.b   ? kGuestB
                                  : in == lab_.tap ? kRouter
                                                   : kStations[pick(7)];
        auto envelope = lab_.envelope(in, own, kStations[pick(7)]);
        envelope.hop_limit = static_cast<std::uint8_t>(pick(4));
        envelope.fragment_offset = pick(8) == 0 ? static_cast<std::uint16_t>(pick(4) * 8) : 0;
        envelope.more_fragments = pick(8) == 0;
        envelope.fragment_id = static_cast<std::uint16_t>(pick(3));
        const auto port = [this] { return static_cast<std::uint16_t>(pick(8)); };
        switch (pick(5)) {
            case 0:
                envelope.protocol = ipproto::kTcp;
                return frame_of(
                    envelope, tcp_header(port(), port(), static_cast<std::uint8_t>(pick(32))));
            case 1:
                envelope.protocol = kIcmpOf<F>;
                return frame_of(
                    envelope, icmp_header(static_cast<std::uint8_t>(pick(256)), 0, port()));
            case 2:
                envelope.protocol = kIcmpOf<F>;
                return frame_of(envelope, icmp_error<F>(lab_.udp(in, kStations[pick(7)], own)));
            case 3:
                envelope.protocol = static_cast<std::uint8_t>(pick(256));
                return frame_of(envelope, std::vector<std::uint8_t>(pick(64)));
            default:
                return frame_of(envelope, udp_header(port(), port(), pick(1600)));
        }
    }

    /// The same with some bytes changed, or nothing but noise.
    Frame hostile(PortId in) {
        Frame frame = valid(in);
        if (pick(8) == 0) {
            frame.resize(pick(200));
            std::ranges::generate(frame, [this] { return static_cast<std::uint8_t>(random_()); });
            return frame;
        }
        for (std::uint32_t changes = pick(4); changes > 0; --changes) {
            frame[pick(static_cast<std::uint32_t>(frame.size()))] =
                static_cast<std::uint8_t>(random_());
        }
        if constexpr (std::is_same_v<F, V4>) {
            if (pick(2) == 0 && frame.size() >= kIp + 60) {
                seal(frame);
            }
        }
        if (pick(8) == 0) {
            frame.resize(pick(static_cast<std::uint32_t>(frame.size()) + 64));
        }
        return frame;
    }

    rte_mbuf* segmented(const Frame& frame) {
        std::vector<std::size_t> sizes;
        while (pick(3) == 0) {
            sizes.push_back(pick(80));
        }
        return lab_.buffer(frame, sizes);
    }

    /// Rounds of random packets at all ports; `make` makes them.
    void flood(Frame (Accounting::*make)(PortId)) {
        const unsigned free = rte_mempool_avail_count(lab_.machine->pool());
        const PortId ports[] = {lab_.fabric, lab_.a, lab_.b, lab_.tap};
        for (int round = 0; round < 300; ++round) {
            for (const PortId port : ports) {
                lab_.port(port).room = pick(16) == 0 ? pick(8) : SIZE_MAX;
                for (std::uint32_t packets = pick(40); packets > 0; --packets) {
                    lab_.port(port).arriving.push_back(segmented((this->*make)(port)));
                }
            }
            lab_.poll();
            if (pick(4) == 0) {
                lab_.take_punted();
            }
        }
        for (int round = 0; round < 300; ++round) {
            lab_.poll();
        }
        const auto sums = lab_.sums();
        EXPECT_GT(sums.received, 10000U);
        EXPECT_EQ(sums.sent + sums.punted + sums.consumed + sums.dropped, sums.received);
        EXPECT_GT(sums.sent, 100U);
        EXPECT_GT(sums.punted, 100U);
        EXPECT_GT(sums.dropped, 100U);
        lab_.take_punted();
        EXPECT_EQ(rte_mempool_avail_count(lab_.machine->pool()), free);
    }

    std::mt19937_64 random_{F::kVersion};
    PipelineLab<F> lab_;
};

using Families = testing::Types<V4, V6>;
TYPED_TEST_SUITE(Accounting, Families);

TYPED_TEST(Accounting, ValidPacketsAddUp) {
    this->flood(&TestFixture::valid);
}

TYPED_TEST(Accounting, HostilePacketsAddUp) {
    this->flood(&TestFixture::hostile);
}

}  // namespace
}  // namespace vr::test::accounting_test
