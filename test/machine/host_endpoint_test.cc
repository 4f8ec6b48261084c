// Random clusters x random packets through ports: what the packet path lets through, and what it makes of
// that, is what the reference says of the packet's whole way, host endpoints, translation and marks included;
// and what trace foretells.  POLICY 2.6, 2.7, 2.10 (b).
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "policy/graph.h"
#include "policy/passage.h"
#include "test/dataplane/sealed_frame.h"
#include "test/machine/router_lab.h"
#include "test/policy/cluster_writer.h"
#include "test/rounds.h"
#include "vrouter/dataplane/parse.h"
#include "vrouter/trace.h"

namespace vr::host_endpoint_test {
namespace {

using namespace vr::test;
using policy::Place;

/// A router of node h1 with two more ports, eth0 and eth1, a TAP, and the workloads of a cluster.
template <Family F>
class Host {
  public:
    explicit Host(const std::string& yaml) : graph_("h1", *lab_.workloads) {
        connect(lab_.fabric, 0);
        add_port("eth0", 1);
        add_port("eth1", 2);
        constexpr Mac kTapMac{{2, 0, 0, 0, 0, 9}};
        const PortId tap = lab_.add_port("vr0", PortKind::Host, kTapMac);
        tell_slow_path(tap, PortRole::Host, kTapMac);
        lab_.machine->set_host_port(tap, kHostMac);
        lab_.machine->commit();
        policy::Batch batch;
        for (const auto& object : policy::objects(yaml)) {
            batch.events.emplace_back(policy::Upsert{object});
        }
        batch.events.emplace_back(policy::InSync{});
        graph_.on(batch);
        lab_.finish_all();
        resolve(host<F>(kOutside));
    }

    /// Where packets may come from: the ports of the lab.
    [[nodiscard]] std::vector<PortId> ports() const { return lab_.machine->ports(); }

    /// An address that a station behind `port` may use.
    std::optional<typename F::Addr> source(PortId port, typename F::Addr wanted) const {
        const PortRecord& record = *lab_.machine->port(port);
        if (record.kind == PortKind::Host) {
            return host<F>(kFabricAddress);
        }
        if (record.kind == PortKind::Workload) {
            const auto& endpoint = lab_.machine->tables().ports[port.value()].endpoint;
            const EndpointFamily<F>& family = endpoint->family<F>();
            const auto& own = family.addresses;
            const bool spoofs = std::ranges::any_of(
                family.spoofable, [&](const Prefix<F>& prefix) { return prefix.contains(wanted); });
            if (spoofs) {
                return wanted;
            }
            return own.empty() ? std::nullopt : std::optional{own.front().address()};
        }
        // Nobody outside has an address of this host.
        const bool foreign = std::holds_alternative<policy::Outside>(place_of(wanted));
        return foreign ? std::optional{wanted} : std::nullopt;
    }

    [[nodiscard]] Place from(PortId port) const {
        return place(port, lab_.machine->port(port)->kind == PortKind::Host);
    }

    /// Where packets to an address go.
    [[nodiscard]] Place place_of(typename F::Addr address) const {
        const auto& hop =
            lab_.machine->tables().next_hops[lab_.machine->shared().routes<F>().lookup(address)];
        return place(hop.port, hop.kind == NextHopKind::Local);
    }

    [[nodiscard]] policy::Passage wanted(
        const Place& from, const Place& to, const acl::Packet<F>& packet) const {
        std::vector<policy::ResourcePtr> all;
        for (const auto& [key, resource] : graph_.all_resources()) {
            all.push_back(resource);
        }
        return policy::judge_passage<F>(all, "h1", from, to, packet);
    }

    /// Whether natOutgoing may use an address.
    [[nodiscard]] bool is_own(const IpAddr& address) const {
        const auto place = place_of(std::get<typename F::Addr>(address));
        return std::holds_alternative<policy::HostItself>(place);
    }

    /// What trace says of the packet, which begins a flow.
    [[nodiscard]] TraceResult foretold(PortId in, const acl::Packet<F>& packet) {
        forget_flows();
        return trace(
            *lab_.machine,
            {.in = in,
             .source = packet.source,
             .destination = packet.destination,
             .protocol = packet.protocol,
             .source_port = packet.source_port,
             .destination_port = packet.destination_port});
    }

    /// The packet as it leaves, if policy lets it through; it begins a flow of its own.
    std::optional<Frame> pass(PortId in, const acl::Packet<F>& packet) {
        const std::uint64_t before = denied();
        Envelope<F> envelope;
        envelope.link_destination = lab_.machine->port(in)->mac;
        envelope.source = packet.source;
        envelope.destination = packet.destination;
        envelope.protocol = packet.protocol;
        const std::uint16_t from = packet.source_port.value();
        const std::uint16_t to = packet.destination_port.value();
        const auto payload = packet.protocol == ipproto::kTcp ? tcp_header(from, to, tcpflag::kSyn)
                             : packet.protocol == ipproto::kUdp ? udp_header(from, to)
                                                                : sctp_header(from, to);
        resolve(packet.destination);
        forget_flows();
        take_sent();
        lab_.receive(in, with_traffic_class<F>(frame_of(envelope, payload), kArrivingDscp << 2U));
        if (denied() != before) {
            return std::nullopt;
        }
        const std::vector<Frame> sent = take_sent();
        EXPECT_EQ(sent.size(), 1U);
        return sent.size() == 1 ? sent.front() : Frame{};
    }

    static constexpr std::uint8_t kArrivingDscp = 21;

    [[nodiscard]] bool has_flow() const {
        return lab_.machine->shared().template flows<F>().size() != 0;
    }

    /// Whether the flow goes out in the host's name.
    [[nodiscard]] bool has_mapping() const {
        const auto& flows = lab_.machine->shared().template flows<F>();
        bool found = false;
        flows.for_each([&](const auto& flow) { found |= flows.twin(flow) != nullptr; });
        return found;
    }

  private:
    void add_port(const std::string& name, unsigned third) {
        const Mac mac{{2, 0, 0, 0, 7, static_cast<std::uint8_t>(third)}};
        const PortId id = lab_.add_port(name, PortKind::Fabric, mac);
        tell_slow_path(id, PortRole::Fabric, mac);
        connect(id, third);
    }

    /// So that it answers, and counts, what is rejected there.
    void tell_slow_path(PortId id, PortRole role, Mac mac) {
        PortFacts facts;
        facts.id = id;
        facts.role = role;
        facts.mac = mac;
        lab_.slow_path->set_port(facts);
    }

    /// So that nothing waits for the station that a packet goes to.
    void resolve(typename F::Addr destination) {
        const Tables& tables = lab_.machine->tables();
        NextHopId id{lab_.machine->shared().routes<F>().lookup(destination)};
        if (const NextHop& hop = tables.next_hops[id.value()]; hop.kind == NextHopKind::Floating) {
            id = NextHopId{hop.group};
        }
        const auto& hops = lab_.machine->routes().next_hops();
        if (const auto station = hops.station(id, destination)) {
            lab_.slow_path->add_permanent(*station, kGatewayMac, lab_.now);
            lab_.machine->commit();
        }
    }

    std::vector<Frame> take_sent() {
        std::vector<Frame> all;
        for (const PortId port : ports()) {
            for (Frame& frame : lab_.take_sent(port)) {
                all.push_back(std::move(frame));
            }
        }
        return all;
    }

    /// One of the three networks that a cluster's addresses are in.
    void connect(PortId id, unsigned third) {
        constexpr bool kIp4 = std::is_same_v<F, V4>;
        const auto network = Prefix<F>::parse(
            kIp4 ? fmt::format("10.0.{}.0/24", third) : fmt::format("fd00::{}:0/112", third));
        lab_.machine->routes().set(*network, RouteSource::Connected, Connected{id, kFamilyOf<F>});
    }

    [[nodiscard]] Place place(PortId port, bool is_host) const {
        if (is_host) {
            return policy::HostItself{};
        }
        const PortRecord* record = lab_.machine->port(port);
        if (record != nullptr && record->kind == PortKind::Workload) {
            const std::string& name = lab_.machine->tables().ports[port.value()].endpoint->name;
            const auto slash = name.find('/');
            return policy::endpoint_key(name.substr(0, slash), name.substr(slash + 1));
        }
        return record == nullptr ? policy::Outside{}
                                 : policy::Outside{record->name, record->addresses};
    }

    [[nodiscard]] std::uint64_t denied() const {
        std::uint64_t sum = 0;
        for (const PortId port : ports()) {
            for (const auto reason :
                 {DropReason::EgressDenied,
                  DropReason::IngressDenied,
                  DropReason::HostDenied,
                  DropReason::HostIngressDenied,
                  DropReason::HostEgressDenied,
                  DropReason::PortClosed,
                  DropReason::NotTranslated,
                  DropReason::NatNoAddress,
                  DropReason::SpoofedAddress,
                  DropReason::FlowInvalid}) {
                sum += lab_.drops(port, reason);
            }
        }
        return sum;
    }

    void forget_flows() {
        lab_.machine->shared().template flows<F>().remove_if([](const auto&) { return true; });
        lab_.machine->rcu().reclaim();
    }

    RouterLab lab_;
    policy::Graph graph_;
};

template <typename F>
class RandomPassage : public testing::Test {};

using Families = testing::Types<V4, V6>;
TYPED_TEST_SUITE(RandomPassage, Families);

/// A guest that may use an address of the host sends in its name already, and no other port may be drawn:
/// a mapping would have the flow's own key, so that there is none, and answers would be the host's.
template <Family F>
bool is_named_so(const acl::Packet<F>& packet, const policy::Passage& wanted) {
    return wanted.source == IpAddr{packet.source} &&
           wanted.source_ports == acl::PortRange{packet.source_port, packet.source_port};
}

/// Of what is delivered, that it is what the reference says.
template <Family F>
void expect_leaves(const Frame& sent, const policy::Passage& wanted, const acl::Packet<F>& packet) {
    ASSERT_GE(sent.size(), kL4<F> + 4);
    EXPECT_EQ(IpAddr{F::Addr::load(&sent[kSourceAt<F>])}, wanted.source);
    EXPECT_EQ(IpAddr{F::Addr::load(&sent[kDestinationAt<F>])}, wanted.destination);
    EXPECT_EQ(traffic_class<F>(sent) >> 2U, wanted.dscp.value_or(Host<F>::kArrivingDscp));
    if (packet.has_ports) {
        const L4Port source{load_be<std::uint16_t>(&sent[kL4<F>])};
        EXPECT_GE(source, wanted.source_ports.first);
        EXPECT_LE(source, wanted.source_ports.last);
        EXPECT_EQ(load_be<std::uint16_t>(&sent[kL4<F> + 2]), packet.destination_port.value());
    }
}

void expect_foretold(const TraceResult& foretold, const policy::Passage& wanted) {
    EXPECT_EQ(foretold.source, wanted.source);
    EXPECT_EQ(foretold.destination, wanted.destination);
    EXPECT_EQ(foretold.source_ports, wanted.source_ports);
    EXPECT_EQ(foretold.dscp, wanted.dscp);
}

TYPED_TEST(RandomPassage, ThePacketPathDecidesAsTheReference) {
    constexpr std::array<std::uint8_t, 6> kProtocols{
        ipproto::kTcp, ipproto::kUdp, ipproto::kSctp, 47, ipproto::kDccp, ipproto::kAh};
    int judged = 0;
    int marked = 0;
    int marked_of_host = 0;
    int allowed = 0;
    int untracked = 0;
    int translated = 0;
    int spoofed = 0;
    for (unsigned seed = 1; seed <= test::rounds(96) && !this->HasFailure(); ++seed) {
        policy::ClusterWriter writer(seed);
        Host<TypeParam> router(writer.cluster());
        const std::vector<PortId> ports = router.ports();
        for (int i = 0; i < 100 && !this->HasFailure(); ++i) {
            auto packet = writer.template packet<TypeParam>();
            packet.protocol = kProtocols[static_cast<std::size_t>(writer.below(kProtocols.size()))];
            packet.has_ports = has_l4_ports(packet.protocol);
            if (!packet.has_ports) {
                packet.source_port = packet.destination_port = {};
            }
            const PortId in =
                ports[static_cast<std::size_t>(writer.below(static_cast<int>(ports.size())))];
            const auto source = router.source(in, packet.source);
            if (!source) {
                continue;
            }
            packet.source = *source;
            if (writer.below(4) == 0) {
                packet.destination =
                    host<TypeParam>(writer.below(2) == 0 ? kFabricAddress : kOutside);
            }
            const Place from = router.from(in);
            const Place to = router.place_of(packet.destination);
            if (std::holds_alternative<policy::HostItself>(from) &&
                std::holds_alternative<policy::HostItself>(to)) {
                continue;
            }
            SCOPED_TRACE(fmt::format("seed {} packet {}", seed, i));
            auto wanted = router.wanted(from, to, packet);
            if (wanted.in_hosts_name &&
                (!router.is_own(wanted.source) || is_named_so<TypeParam>(packet, wanted))) {
                wanted.allow = false;
            }
            const TraceResult foretold = router.foretold(in, packet);
            const auto sent = router.pass(in, packet);
            EXPECT_EQ(sent.has_value(), wanted.allow) << wanted.by.policy;
            EXPECT_EQ(foretold.reason == DropReason::None, wanted.allow) << name(foretold.reason);
            if (sent && wanted.allow) {
                expect_leaves<TypeParam>(*sent, wanted, packet);
                expect_foretold(foretold, wanted);
            }
            EXPECT_FALSE(wanted.allow && !wanted.tracked && router.has_flow());
            EXPECT_EQ(router.has_mapping(), wanted.allow && wanted.in_hosts_name);
            ++judged;
            const bool of_host = std::holds_alternative<policy::HostItself>(from);
            marked += wanted.allow && wanted.dscp && !of_host ? 1 : 0;
            marked_of_host += wanted.allow && wanted.dscp && of_host ? 1 : 0;
            translated += wanted.allow && wanted.in_hosts_name ? 1 : 0;
            allowed += wanted.allow ? 1 : 0;
            const bool of_a_guest = std::holds_alternative<policy::Key>(from);
            spoofed += wanted.allow && !wanted.tracked && of_a_guest ? 1 : 0;
            untracked += wanted.allow && !wanted.tracked && !of_a_guest ? 1 : 0;
        }
    }
    EXPECT_GT(judged, static_cast<int>(test::rounds(1500)));
    EXPECT_GT(allowed, judged / 10);
    EXPECT_LT(allowed, judged * 9 / 10);
    EXPECT_GT(translated, static_cast<int>(test::rounds(10)));
    EXPECT_GT(marked, static_cast<int>(test::rounds(10)));
    // Rare: the few clusters that are tried under sanitizers may have none.
    EXPECT_GE(untracked, static_cast<int>(test::rounds(4)));
    EXPECT_GE(spoofed, static_cast<int>(test::rounds(4)));
    EXPECT_GE(marked_of_host, static_cast<int>(test::rounds(4)));
}

}  // namespace
}  // namespace vr::host_endpoint_test
