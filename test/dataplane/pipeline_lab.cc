// SPDX-License-Identifier: Apache-2.0
#include "test/dataplane/pipeline_lab.h"

#include <rte_mbuf.h>

#include <algorithm>

#include "test/dataplane/eal_environment.h"
#include "vrouter/dataplane/clock.h"

namespace vr::test {

namespace {

[[maybe_unused]] const auto* const kEal = testing::AddGlobalTestEnvironment(new EalEnvironment);

std::string_view to_string(Punt why) {
    switch (why) {
        case Punt::LinkLocal:
            return "link_local";
        case Punt::Echo:
            return "echo";
        case Punt::HopLimit:
            return "hop_limit";
        case Punt::TooBig:
            return "too_big";
        case Punt::NoRoute:
            return "no_route";
        case Punt::EgressRejected:
            return "egress_rejected";
        case Punt::IngressRejected:
            return "ingress_rejected";
        case Punt::HostEgressRejected:
            return "host_egress_rejected";
        case Punt::HostIngressRejected:
            return "host_ingress_rejected";
        case Punt::ConnectionRefused:
            return "connection_refused";
        case Punt::Resolve:
            return "resolve";
    }
    return "?";
}

acl::Program program_of(std::vector<acl::Rule> rules) {
    return {.rules = std::move(rules), .origins = {{}}};
}

template <Family F>
std::shared_ptr<const acl::Classifier<F>> compile(const acl::Program& program) {
    constexpr unsigned kWorkers = 1;
    return acl::Classifier<F>::build(std::make_shared<const acl::Program>(program), kWorkers);
}

}  // namespace

MemoryPort::~MemoryPort() {
    for (rte_mbuf* packet : arriving) {
        rte_pktmbuf_free(packet);
    }
}

std::uint16_t MemoryPort::rx(
    void* self, std::uint16_t /*queue*/, rte_mbuf** packets, std::uint16_t count) noexcept {
    auto& arriving = static_cast<MemoryPort*>(self)->arriving;
    std::uint16_t taken = 0;
    for (; taken < count && !arriving.empty(); ++taken) {
        packets[taken] = arriving.front();
        arriving.pop_front();
    }
    return taken;
}

std::uint16_t MemoryPort::tx(
    void* self, std::uint16_t /*queue*/, rte_mbuf** packets, std::uint16_t count) noexcept {
    auto& port = *static_cast<MemoryPort*>(self);
    std::uint16_t taken = 0;
    for (; taken < count && port.room > 0; ++taken, --port.room) {
        port.sent.push_back(bytes_of(packets[taken]));
        rte_pktmbuf_free(packets[taken]);
    }
    return taken;
}

Frame bytes_of(const rte_mbuf* packet) {
    Frame frame;
    for (const rte_mbuf* segment = packet; segment != nullptr; segment = segment->next) {
        const auto* data = rte_pktmbuf_mtod(segment, const std::uint8_t*);
        frame.insert(frame.end(), data, data + rte_pktmbuf_data_len(segment));
    }
    EXPECT_EQ(frame.size(), rte_pktmbuf_pkt_len(packet));
    return frame;
}

acl::Program allow_all() {
    return program_of({{.action = acl::Action::Allow}});
}

acl::Program deny_all() {
    return program_of({{.action = acl::Action::Deny}});
}

acl::Program reject_all() {
    return program_of({{.action = acl::Action::Reject}});
}

acl::Program allow_port(std::uint16_t port) {
    acl::Rule rule{.action = acl::Action::Allow};
    rule.match.destination.ports = {{L4Port{port}, L4Port{port}}};
    rule.match.protocol = ipproto::kTcp;
    acl::Rule udp = rule;
    udp.match.protocol = ipproto::kUdp;
    return program_of({rule, udp});
}

template <Family F>
PipelineLab<F>::PipelineLab(MachineSettings settings) : machine(*Machine::make(settings)) {
    fabric = add("fabric", PortKind::Fabric, Mac{{2, 0, 0, 0, 0, 1}});
    a = add("a", PortKind::Workload, Mac{{2, 0, 0, 0, 0, 2}});
    b = add("b", PortKind::Workload, Mac{{2, 0, 0, 0, 0, 3}});
    tap = add("host", PortKind::Host, Mac{{2, 0, 0, 0, 0, 4}});
    machine->set_host_port(tap, kHostMac);

    constexpr IpFamily kFamily = kFamilyOf<F>;
    RouteTable& routes = machine->routes();
    const auto neighbor = [&](PortId port, std::uint32_t number, Mac mac, RouteSource source) {
        const Adjacency station{port, host<F>(number)};
        routes.set(Prefix<F>::host(host<F>(number)), source, station);
        routes.next_hops().resolved(station, mac);
    };
    routes.set(Prefix<F>::host(host<F>(kRouter)), RouteSource::Local, LocalDelivery{kFamily});
    routes.set(network<F>(kRouter, 8), RouteSource::Connected, Connected{fabric, kFamily});
    neighbor(fabric, kGateway, kGatewayMac, RouteSource::Neighbor);
    neighbor(a, kGuestA, kGuestMacA, RouteSource::Workload);
    neighbor(b, kGuestB, kGuestMacB, RouteSource::Workload);
    routes.set(network<F>(kOutside, 8), RouteSource::Static, Gateways{{IpAddr{host<F>(kGateway)}}});
    set_policy(a, allow_all(), allow_all());
    set_policy(b, allow_all(), allow_all());
}

template <Family F>
PortId PipelineLab<F>::add(const std::string& name, PortKind kind, Mac mac) {
    auto port = std::make_unique<MemoryPort>(mac);
    MemoryPort* memory = port.get();
    PortRecord record{.name = name, .kind = kind, .port = std::move(port), .mac = mac};
    if (kind == PortKind::Fabric) {
        record.addresses = {host<F>(kRouter)};
    }
    const auto id = machine->add_port(std::move(record));
    EXPECT_TRUE(id);
    ports[*id] = memory;
    return *id;
}

template <Family F>
void PipelineLab<F>::set_policy(
    PortId guest, const acl::Program& ingress, const acl::Program& egress) {
    auto endpoint = std::make_shared<Endpoint>();
    endpoint->active = true;
    endpoint->mac = guest == a ? kGuestMacA : kGuestMacB;
    const auto own = Prefix<F>::host(host<F>(guest == a ? kGuestA : kGuestB));
    EndpointFamily<F> part{{own}, compile<F>(ingress), compile<F>(egress)};
    part.translations = floating_[guest];
    if constexpr (std::is_same_v<F, V4>) {
        endpoint->v4 = part;
    } else {
        endpoint->v6 = part;
    }
    machine->set_endpoint(guest, std::move(endpoint));
    machine->bump_policy_generation();
    machine->commit();
}

template <Family F>
void PipelineLab<F>::add_floating(PortId guest, std::uint32_t external) {
    const Adjacency station{guest, host<F>(guest == a ? kGuestA : kGuestB)};
    const TranslationId id{++translations_};
    floating_[guest].push_back(
        {id, host<F>(external), std::get<typename F::Addr>(station.address)});
    machine->routes().set(
        Prefix<F>::host(host<F>(external)), RouteSource::Workload, Floating{station, id});
    set_floating(guest);
}

template <Family F>
void PipelineLab<F>::remove_floating(PortId guest, std::uint32_t external) {
    std::erase_if(floating_[guest], [&](const Translation<F>& one) {
        return one.external == host<F>(external);
    });
    machine->routes().remove(Prefix<F>::host(host<F>(external)), RouteSource::Workload);
    set_floating(guest);
}

template <Family F>
void PipelineLab<F>::set_floating(PortId guest) {
    change(
        guest, [&](Endpoint&, EndpointFamily<F>& part) { part.translations = floating_[guest]; });
}

template <Family F>
void PipelineLab<F>::change(
    PortId guest, const std::function<void(Endpoint&, EndpointFamily<F>&)>& edit) {
    auto endpoint = std::make_shared<Endpoint>(*machine->tables().ports[guest.value()].endpoint);
    if constexpr (std::is_same_v<F, V4>) {
        edit(*endpoint, endpoint->v4);
    } else {
        edit(*endpoint, endpoint->v6);
    }
    machine->set_endpoint(guest, std::move(endpoint));
    machine->commit();
}

template <Family F>
void PipelineLab<F>::let_spoof(PortId guest, std::uint32_t network_of, unsigned host_bits) {
    change(guest, [&](Endpoint&, EndpointFamily<F>& part) {
        part.spoofable.push_back(network<F>(network_of, host_bits));
    });
}

template <Family F>
void PipelineLab<F>::mark(PortId guest, std::uint8_t dscp) {
    change(guest, [&](Endpoint& endpoint, EndpointFamily<F>&) { endpoint.dscp = dscp; });
}

template <Family F>
void PipelineLab<F>::mark_host(std::uint8_t dscp) {
    const auto policy = host_policy({});
    policy->dscp = dscp;
    machine->set_guard(fabric, policy);
    machine->commit();
}

template <Family F>
std::shared_ptr<const EndpointLimits> PipelineLab<F>::limit(
    PortId guest, const RateLimits& ingress, const RateLimits& egress) {
    constexpr std::size_t kFrame = 1514;
    const auto policer = [&](const RateLimits& limits) {
        return Policer(limits, kFrame, bucket_hz(), std::make_shared<PolicerState>());
    };
    const auto limits = std::make_shared<const EndpointLimits>(
        EndpointLimits{.ingress = policer(ingress), .egress = policer(egress)});
    change(guest, [&](Endpoint& endpoint, EndpointFamily<F>&) { endpoint.limits = limits; });
    return limits;
}

template <Family F>
std::shared_ptr<HostPolicy> PipelineLab<F>::host_policy(
    const std::map<HostHook, acl::Program>& programs) const {
    auto policy = std::make_shared<HostPolicy>();
    policy->name = "guard";
    for (const auto& [hook, program] : programs) {
        const auto i = static_cast<std::size_t>(hook);
        if constexpr (std::is_same_v<F, V4>) {
            policy->v4[i] = compile<F>(program);
        } else {
            policy->v6[i] = compile<F>(program);
        }
        policy->follows_transit |= is_forward(hook) || hook == HostHook::PreDnatIngress;
    }
    return policy;
}

template <Family F>
void PipelineLab<F>::guard(
    const std::map<HostHook, acl::Program>& programs,
    const std::map<HostHook, acl::Program>& staged) {
    const auto policy = host_policy(programs);
    for (const auto& [hook, program] : staged) {
        const auto i = static_cast<std::size_t>(hook);
        if constexpr (std::is_same_v<F, V4>) {
            policy->staged4[i] = compile<F>(program);
        } else {
            policy->staged6[i] = compile<F>(program);
        }
    }
    machine->set_guard(fabric, policy);
    machine->bump_policy_generation();
    machine->commit();
}

template <Family F>
std::uint64_t PipelineLab<F>::staged_hits(HostHook hook) const {
    const auto& guard = machine->tables().ports[fabric.value()].guard;
    return guard->template staged_at<F>(hook)->hits().sum(0);
}

template <Family F>
void PipelineLab<F>::guard_all(const std::map<HostHook, acl::Program>& programs) {
    machine->set_any_interface(host_policy(programs));
    guard(programs);
}

template <Family F>
void PipelineLab<F>::close(PortId guest) {
    machine->set_endpoint(guest, nullptr);
    machine->commit();
}

template <Family F>
Envelope<F> PipelineLab<F>::envelope(
    PortId in, std::uint32_t source, std::uint32_t destination) const {
    const Mac sender = in == a     ? kGuestMacA
                       : in == b   ? kGuestMacB
                       : in == tap ? kHostMac
                                   : kGatewayMac;
    return {
        .link_source = sender,
        .link_destination = mac(in),
        .source = host<F>(source),
        .destination = host<F>(destination)};
}

template <Family F>
Frame PipelineLab<F>::udp(
    PortId in,
    std::uint32_t source,
    std::uint32_t destination,
    std::uint16_t source_port,
    std::uint16_t destination_port) const {
    return frame_of(envelope(in, source, destination), udp_header(source_port, destination_port));
}

template <Family F>
Frame PipelineLab<F>::tcp(
    PortId in,
    std::uint32_t source,
    std::uint32_t destination,
    std::uint8_t flags,
    std::uint16_t source_port,
    std::uint16_t destination_port) const {
    Envelope<F> e = envelope(in, source, destination);
    e.protocol = ipproto::kTcp;
    return frame_of(e, tcp_header(source_port, destination_port, flags));
}

template <Family F>
Frame PipelineLab<F>::echo(
    PortId in, std::uint32_t source, std::uint32_t destination, std::uint8_t type, std::uint16_t id)
    const {
    Envelope<F> e = envelope(in, source, destination);
    e.protocol = kIcmpOf<F>;
    return frame_of(e, icmp_header(type, 0, id));
}

template <Family F>
rte_mbuf* PipelineLab<F>::buffer(const Frame& frame, const std::vector<std::size_t>& sizes) {
    rte_mbuf* packet = nullptr;
    std::size_t at = 0;
    for (std::size_t i = 0; i <= sizes.size(); ++i) {
        const std::size_t size =
            i < sizes.size() ? std::min(sizes[i], frame.size() - at) : frame.size() - at;
        rte_mbuf* segment = rte_pktmbuf_alloc(machine->pool());
        EXPECT_NE(segment, nullptr);
        char* room = rte_pktmbuf_append(segment, static_cast<std::uint16_t>(size));
        EXPECT_NE(room, nullptr);
        std::copy_n(frame.data() + at, size, room);
        at += size;
        if (packet == nullptr) {
            packet = segment;
        } else {
            EXPECT_EQ(rte_pktmbuf_chain(packet, segment), 0);
        }
    }
    return packet;
}

template <Family F>
std::string PipelineLab<F>::run(PortId in, const Frame& frame) {
    return run(in, buffer(frame));
}

template <Family F>
std::string PipelineLab<F>::run(PortId in, rte_mbuf* packet) {
    std::map<PortId, PortTotals> before;
    for (auto& [id, memory] : ports) {
        memory->sent.clear();
        before[id] = totals(id);
    }
    port(in).arriving.push_back(packet);
    poll();
    for (const auto& [id, memory] : ports) {
        if (!memory->sent.empty()) {
            return "sent " + machine->port(id)->name;
        }
    }
    for (const auto& [id, memory] : ports) {
        const PortTotals now = totals(id);
        if (now.punted != before[id].punted) {
            const auto notes = take_punted();
            return "punted " + std::string(notes.empty() ? "?" : to_string(notes.front().punt));
        }
        if (now.consumed != before[id].consumed) {
            return "consumed";
        }
        for (std::size_t i = 0; i < kDropCount; ++i) {
            if (now.drops[i] != before[id].drops[i]) {
                return "dropped " + std::string(name(static_cast<DropReason>(i)));
            }
        }
    }
    return "lost";
}

template <Family F>
void PipelineLab<F>::receive(PortId in, const std::vector<Frame>& frames) {
    for (const Frame& frame : frames) {
        port(in).arriving.push_back(buffer(frame));
    }
}

template <Family F>
void PipelineLab<F>::poll() {
    // Between rounds the worker is as if asleep: commit() need not wait for it.
    machine->rcu().online(0);
    machine->workers()[0]->poll_once();
    machine->rcu().offline(0);
}

template <Family F>
std::vector<PacketNote> PipelineLab<F>::take_punted() {
    std::vector<PacketNote> notes;
    std::array<rte_mbuf*, 32> packets{};
    while (const unsigned count = machine->punt_ring().pop(packets)) {
        for (unsigned i = 0; i < count; ++i) {
            notes.push_back(note_of(packets[i]));
            rte_pktmbuf_free(packets[i]);
        }
    }
    return notes;
}

template <Family F>
auto PipelineLab<F>::sums() const -> Sums {
    Sums sums;
    for (const auto& [id, memory] : ports) {
        const PortTotals t = totals(id);
        sums.received += t.rx_packets;
        sums.sent += t.tx_packets;
        sums.punted += t.punted;
        sums.consumed += t.consumed;
        for (const std::uint64_t drops : t.drops) {
            sums.dropped += drops;
        }
    }
    return sums;
}

template class PipelineLab<V4>;
template class PipelineLab<V6>;

}  // namespace vr::test
