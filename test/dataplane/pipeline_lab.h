// A whole router in memory for tests: a fabric port, two guests, a host TAP, one worker driven by hand.
//
//   outside --(gateway)-- fabric | router | guest a (10.1.0.2), guest b (10.1.0.3), host (10.0.0.1)
//
// Packets are handed to a port and what became of them is told in words: "sent fabric",
// "punted resolve", "dropped spoofed_mac", "consumed".
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "test/dataplane/packet_builder.h"
#include "vrouter/dataplane/classifier.h"
#include "vrouter/dataplane/packet_note.h"
#include "vrouter/machine.h"

namespace vr::test {

/// A port whose received packets a test prepares, and which keeps what is sent to it.
class MemoryPort final : public Port {
  public:
    explicit MemoryPort(Mac mac) : mac_(mac) {}

    ~MemoryPort() override;

    [[nodiscard]] PortIo io() noexcept override { return {.self = this, .rx = rx, .tx = tx}; }

    [[nodiscard]] PortStatus status() const override { return {true, "memory", ""}; }

    [[nodiscard]] Mac mac() const override { return mac_; }

    [[nodiscard]] std::uint16_t mtu() const override { return 1500; }

    std::deque<rte_mbuf*> arriving;
    std::vector<Frame> sent;
    std::size_t room = SIZE_MAX;  ///< how many packets it still takes

  private:
    static std::uint16_t rx(
        void* self, std::uint16_t queue, rte_mbuf** packets, std::uint16_t count) noexcept;
    static std::uint16_t tx(
        void* self, std::uint16_t queue, rte_mbuf** packets, std::uint16_t count) noexcept;

    Mac mac_;
};

/// All bytes of a packet, however many segments it has.
[[nodiscard]] Frame bytes_of(const rte_mbuf* packet);

// Stations, see host<F>().
inline constexpr std::uint32_t kRouter = 0x0a000001;
inline constexpr std::uint32_t kGuestA = 0x0a010002;
inline constexpr std::uint32_t kGuestB = 0x0a010003;
inline constexpr std::uint32_t kGateway = 0x0a0000fe;
inline constexpr std::uint32_t kOutside = 0xc0000201;   ///< behind the gateway
inline constexpr std::uint32_t kOutside2 = 0xc0000202;  ///< behind the gateway
inline constexpr std::uint32_t kFloatA = 0xcb007109;    ///< what add_floating() may give
inline constexpr std::uint32_t kFloatB = 0xcb00710a;

inline constexpr Mac kGuestMacA{{2, 0, 0, 0, 1, 0xa}};
inline constexpr Mac kGuestMacB{{2, 0, 0, 0, 1, 0xb}};
inline constexpr Mac kGatewayMac{{2, 0, 0, 0, 2, 1}};
inline constexpr Mac kHostMac{{2, 0, 0, 0, 3, 1}};

/// Programs that tests give to endpoints.
[[nodiscard]] acl::Program allow_all();
[[nodiscard]] acl::Program deny_all();
[[nodiscard]] acl::Program reject_all();
/// Allows packets to one port (TCP and UDP), and nothing else.
[[nodiscard]] acl::Program allow_port(std::uint16_t port);

template <Family F>
class PipelineLab {
  public:
    explicit PipelineLab(MachineSettings settings = defaults());

    [[nodiscard]] static MachineSettings defaults() {
        return {.packets = 2047, .flows = 4096, .idle = {.sleep = false}};
    }

    /// Opens a guest's port with these programs / closes it.
    void set_policy(PortId guest, const acl::Program& ingress, const acl::Program& egress);
    void close(PortId guest);

    /// Gives a guest a floating address / takes it away.
    void add_floating(PortId guest, std::uint32_t external);
    void remove_floating(PortId guest, std::uint32_t external);

    /// Lets a guest send from addresses of others, too.
    void let_spoof(PortId guest, std::uint32_t network_of, unsigned host_bits);

    /// Limits a guest, its buckets full; what packets then meet.
    std::shared_ptr<const EndpointLimits> limit(
        PortId guest, const RateLimits& ingress, const RateLimits& egress);

    /// Gives what a guest sends out of the cluster a DSCP.
    void mark(PortId guest, std::uint8_t dscp);
    /// The same for what the host itself sends by the fabric port, which is guarded then.
    void mark_host(std::uint8_t dscp);

    /// Guards the fabric port; hooks that are not named have no policy.
    void guard(
        const std::map<HostHook, acl::Program>& programs,
        const std::map<HostHook, acl::Program>& staged = {});
    /// How often the first rule of what is staged at `hook` of that guard matched.
    [[nodiscard]] std::uint64_t staged_hits(HostHook hook) const;
    /// The same for all interfaces, as HostEndpoint "*" does.
    void guard_all(const std::map<HostHook, acl::Program>& programs);

    /// The router's MAC address on a port.
    [[nodiscard]] Mac mac(PortId port) const { return machine->port(port)->mac; }

    [[nodiscard]] MemoryPort& port(PortId id) const { return *ports.at(id); }

    /// An envelope as the station behind `in` writes it.
    [[nodiscard]] Envelope<F> envelope(
        PortId in, std::uint32_t source, std::uint32_t destination) const;

    [[nodiscard]] Frame udp(
        PortId in,
        std::uint32_t source,
        std::uint32_t destination,
        std::uint16_t source_port = 1000,
        std::uint16_t destination_port = 2000) const;
    [[nodiscard]] Frame tcp(
        PortId in,
        std::uint32_t source,
        std::uint32_t destination,
        std::uint8_t flags,
        std::uint16_t source_port = 1000,
        std::uint16_t destination_port = 80) const;
    [[nodiscard]] Frame echo(
        PortId in,
        std::uint32_t source,
        std::uint32_t destination,
        std::uint8_t type,
        std::uint16_t id) const;

    /// A packet's buffer, in segments of these sizes (the last takes what is left).
    [[nodiscard]] rte_mbuf* buffer(const Frame& frame, const std::vector<std::size_t>& sizes = {});

    /// Lets one packet in and runs the worker once; tells what became of it.
    std::string run(PortId in, const Frame& frame);
    std::string run(PortId in, rte_mbuf* packet);

    /// Lets packets in, all in one burst.
    void receive(PortId in, const std::vector<Frame>& frames);
    void poll();

    /// Takes back the punted packets; their notes.
    std::vector<PacketNote> take_punted();

    [[nodiscard]] PortTotals totals(PortId id) const { return machine->totals(id); }

    /// Sum over all ports of what came in and of what ended in each way.
    struct Sums {
        std::uint64_t received = 0;
        std::uint64_t sent = 0;
        std::uint64_t punted = 0;
        std::uint64_t consumed = 0;
        std::uint64_t dropped = 0;
    };

    [[nodiscard]] Sums sums() const;

    std::unique_ptr<Machine> machine;
    PortId fabric;
    PortId a;
    PortId b;
    PortId tap;
    std::map<PortId, MemoryPort*> ports;

  private:
    PortId add(const std::string& name, PortKind kind, Mac mac);
    void set_floating(PortId guest);
    void change(PortId guest, const std::function<void(Endpoint&, EndpointFamily<F>&)>& edit);
    [[nodiscard]] std::shared_ptr<HostPolicy> host_policy(
        const std::map<HostHook, acl::Program>& programs) const;

    std::map<PortId, std::vector<Translation<F>>> floating_;
    std::uint32_t translations_ = 0;
};

}  // namespace vr::test
