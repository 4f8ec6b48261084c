// SealedLab: the fixture of tests about translation.  Packets come in with right checksums, and those of what
// leaves are checked by adding all up, not by differences.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <string>

#include "test/dataplane/pipeline_lab.h"
#include "test/dataplane/sealed_frame.h"

namespace vr::test {

template <typename F>
class SealedLab : public testing::Test {
  protected:
    explicit SealedLab(const MachineSettings& settings = PipelineLab<F>::defaults())
        : lab_(settings) {}

    Frame udp(
        PortId in,
        std::uint32_t source,
        std::uint32_t destination,
        std::uint16_t from = 1000,
        std::uint16_t to = 2000) {
        return sealed<F>(lab_.udp(in, source, destination, from, to));
    }

    Frame tcp(
        PortId in,
        std::uint32_t source,
        std::uint32_t destination,
        std::uint8_t flags,
        std::uint16_t from = 1000,
        std::uint16_t to = 80) {
        return sealed<F>(lab_.tcp(in, source, destination, flags, from, to));
    }

    Frame echo(
        PortId in,
        std::uint32_t source,
        std::uint32_t destination,
        std::uint8_t type,
        std::uint16_t id) {
        return sealed<F>(lab_.echo(in, source, destination, type, id));
    }

    /// An ICMP error that quotes all of `quoted`.
    Frame error(PortId in, std::uint32_t source, std::uint32_t destination, const Frame& quoted) {
        Envelope<F> e = lab_.envelope(in, source, destination);
        e.protocol = kIcmpOf<F>;
        return sealed<F>(frame_of(e, icmp_error<F>(quoted, quoted.size())));
    }

    /// Lets a packet in; what went out of `out`, or what became of it instead.
    std::string pass(PortId in, const Frame& frame, PortId out) {
        const std::string outcome = lab_.run(in, frame);
        if (lab_.port(out).sent.empty()) {
            return outcome;
        }
        last_ = lab_.port(out).sent.front();
        EXPECT_TRUE(is_right<F>(last_)) << outcome;
        return ends<F>(last_);
    }

    /// Gives a guest another address of each family.
    void add_address(PortId guest, std::uint32_t address) {
        auto endpoint =
            std::make_shared<Endpoint>(*lab_.machine->tables().ports[guest.value()].endpoint);
        endpoint->v4.addresses.push_back(Prefix<V4>::host(host<V4>(address)));
        endpoint->v6.addresses.push_back(Prefix<V6>::host(host<V6>(address)));
        lab_.machine->set_endpoint(guest, endpoint);
        lab_.machine->commit();
    }

    PipelineLab<F> lab_;
    Frame last_;  ///< what pass() saw leave
};

}  // namespace vr::test
