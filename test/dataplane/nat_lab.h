// NatLab: the fixture of tests about natOutgoing.  Guests a and b are in a pool that is translated, what is behind
// the fabric is not.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "test/dataplane/sealed_lab.h"
#include "vrouter/net/headers.h"

namespace vr::test {

constexpr std::uint8_t kGre = 47;
constexpr std::uint8_t kEsp = 50;

/// The range that flows get their ports from.
constexpr std::uint16_t kFirst = 61000;
constexpr std::uint16_t kLast = 61099;

/// The port of a frame's source, or the identifier of an echo request.
template <Family F>
std::uint16_t source_port(const Frame& frame) {
    const std::size_t at = protocol_of<F>(frame) == kIcmpOf<F> ? 4 : 0;
    return load_be<std::uint16_t>(&frame[kL4<F> + at]);
}

/// That of its destination, or the identifier of an echo reply.
template <Family F>
std::uint16_t destination_port(const Frame& frame) {
    const std::size_t at = protocol_of<F>(frame) == kIcmpOf<F> ? 4 : 2;
    return load_be<std::uint16_t>(&frame[kL4<F> + at]);
}

template <typename F>
class NatLab : public SealedLab<F> {
  protected:
    using SealedLab<F>::lab_;
    using SealedLab<F>::last_;

    explicit NatLab(const MachineSettings& settings = PipelineLab<F>::defaults())
        : SealedLab<F>(settings) {
        add(kNatPools, network<F>(kGuestA, 16));
        add(kAllPools, network<F>(kGuestA, 16));
        configure({.first_port = L4Port{kFirst}, .last_port = L4Port{kLast}});
    }

    void add(GroupId group, const Prefix<F>& net) {
        auto& groups = lab_.machine->shared().template groups<F>();
        groups.add(group, net);
        while (!groups.is_settled()) {
            groups.refresh(256);
        }
    }

    void configure(const NatOutgoing& nat) {
        lab_.machine->set_workload_rules({.nat_outgoing = nat});
        lab_.machine->commit();
    }

    void have(std::uint32_t address) {
        lab_.machine->routes().set(
            Prefix<F>::host(host<F>(address)), RouteSource::Local, LocalDelivery{kFamilyOf<F>});
        lab_.machine->commit();
    }

    /// Lets so many seconds of silence go by.
    void age(FlowTick seconds) {
        auto& flows = lab_.machine->shared().template flows<F>();
        FlowTick last = 0;
        flows.for_each([&](const auto& flow) { last = std::max(last, flow.last_seen.load()); });
        flows.age(last + seconds * 4, {}, flows.capacity());
    }

    /// A packet of a protocol whose ports stay, or that has none.
    Frame other(
        PortId in,
        std::uint32_t source,
        std::uint32_t destination,
        std::uint8_t protocol,
        std::uint16_t from = 1000,
        std::uint16_t to = 2000) {
        Envelope<F> e = lab_.envelope(in, source, destination);
        e.protocol = protocol;
        return frame_of(
            e,
            protocol == ipproto::kSctp ? sctp_header(from, to)
                                       : std::vector<std::uint8_t>(32, 0x5a));
    }

    /// An SCTP packet whose first chunk is of this type.
    Frame chunk(
        PortId in,
        std::uint32_t source,
        std::uint32_t destination,
        std::uint8_t type,
        std::uint16_t from = 1000,
        std::uint16_t to = 2000) {
        Envelope<F> e = lab_.envelope(in, source, destination);
        e.protocol = ipproto::kSctp;
        return frame_of(e, sctp_header(from, to, 20, type));
    }

    /// What lies behind the IP header.
    static std::vector<std::uint8_t> payload(const Frame& frame) {
        return {frame.begin() + kL4<F>, frame.end()};
    }

    /// Lets a guest's packet out; the port that the world sees, 0 if it did not leave in the host's name.
    std::uint16_t leave(PortId in, const Frame& frame) {
        const std::string text = this->pass(in, frame, lab_.fabric);
        return text.starts_with(to_string(host<F>(kRouter)) + " ->") ? source_port<F>(last_) : 0;
    }
};

}  // namespace vr::test
