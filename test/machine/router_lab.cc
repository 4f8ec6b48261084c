// SPDX-License-Identifier: Apache-2.0
#include "test/machine/router_lab.h"

#include <rte_mbuf.h>
#include <rte_mempool.h>

#include "vrouter/dataplane/packet_pool.h"

namespace vr::test {

RouterLab::RouterLab(MachineSettings settings) : machine(*Machine::make(settings)) {
    fabric = add_port("fabric", PortKind::Fabric, kFabricMac);
    slow_path = std::make_unique<SlowPath>(*machine);
    PortFacts facts;
    facts.id = fabric;
    facts.role = PortRole::Fabric;
    facts.mac = kFabricMac;
    facts.v4 = {{host<V4>(kFabricAddress)}, {network<V4>(kFabricAddress, 8)}, {}};
    facts.v6 = {{host<V6>(kFabricAddress)}, {network<V6>(kFabricAddress, 8)}, {}};
    slow_path->set_port(facts);
    const auto connect = [&]<Family F>(F /*family*/) {
        RouteTable& routes = machine->routes();
        routes.set(
            Prefix<F>::host(host<F>(kFabricAddress)),
            RouteSource::Local,
            LocalDelivery{kFamilyOf<F>});
        routes.set(
            network<F>(kFabricAddress, 8), RouteSource::Connected, Connected{fabric, kFamilyOf<F>});
        routes.set(
            network<F>(kOutside, 8), RouteSource::Static, Gateways{{IpAddr{host<F>(kGateway)}}});
    };
    connect(V4{});
    connect(V6{});
    machine->commit();
    builder = std::make_unique<Builder>(
        [this](std::function<void()> answer) {
            const std::lock_guard lock{mutex_};
            answers_.push_back(std::move(answer));
            answered_.notify_one();
        },
        acl::EngineChoice::Auto,
        machine->settings().workers);
    workloads = std::make_unique<Workloads>(
        *machine,
        *slow_path,
        *builder,
        WorkloadConfig{},
        [this](const Workload&) -> Result<std::unique_ptr<Port>> {
            if (!refuse_open.empty()) {
                return fail(refuse_open);
            }
            ++opened;
            return std::make_unique<MemoryPort>(Mac{});
        },
        [this](const IpPrefix& prefix, bool up, std::optional<std::uint32_t> priority) {
            announced.push_back((up ? "+" : "-") + to_string(prefix));
            if (priority) {
                announced.back() += " " + std::to_string(*priority);
            }
        },
        [this](const IpPrefix& prefix) {
            return to_string(prefix) == reserved ? reserved + " is an address of this host"
                                                 : std::string();
        });
    workloads->on_unfinished([this] {
        while (open_at_once && !finishing_ && workloads->is_unfinished()) {
            finishing_ = true;
            workloads->finish();
            finishing_ = false;
        }
    });
}

PortId RouterLab::add_port(const std::string& name, PortKind kind, Mac mac, std::uint16_t mtu) {
    PortRecord record{
        .name = name,
        .kind = kind,
        .port = std::make_unique<MemoryPort>(mac),
        .mac = mac,
        .mtu = mtu};
    if (kind == PortKind::Fabric) {
        record.addresses = {host<V4>(kFabricAddress), host<V6>(kFabricAddress)};
    }
    const auto id = machine->add_port(std::move(record));
    EXPECT_TRUE(id);
    return *id;
}

void RouterLab::receive(PortId in, const Frame& frame) {
    memory(in).arriving.push_back(make_packet(machine->pool(), frame));
    settle();
}

void RouterLab::settle() {
    // An answer takes a few turns at most: worker, slow path, worker.
    for (int turn = 0; turn < 4; ++turn) {
        poll();
        slow_path->handle_burst(now);
    }
    poll();
}

void RouterLab::poll() {
    machine->rcu().online(0);
    machine->workers()[0]->poll_once();
    machine->rcu().offline(0);
}

std::vector<Frame> RouterLab::take_sent(PortId id) {
    return std::exchange(memory(id).sent, {});
}

bool RouterLab::finish_one() {
    if (builder->pending() == 0) {
        return false;
    }
    std::function<void()> answer;
    {
        std::unique_lock lock{mutex_};
        answered_.wait(lock, [this] { return !answers_.empty(); });
        answer = std::move(answers_.front());
        answers_.pop_front();
    }
    answer();
    return true;
}

void RouterLab::finish_all() {
    while (finish_one()) {
    }
}

Workload RouterLab::workload(
    const std::string& name,
    std::uint32_t address,
    const acl::Program& ingress,
    const acl::Program& egress) {
    Workload w;
    w.name = name;
    w.interface_name = "if-" + name;
    w.mac = kGuestMacA;
    w.addresses4 = {Prefix<V4>::host(host<V4>(address))};
    w.addresses6 = {Prefix<V6>::host(host<V6>(address))};
    w.ingress = std::make_shared<const acl::Program>(ingress);
    w.egress = std::make_shared<const acl::Program>(egress);
    return w;
}

Frame RouterLab::from_outside(
    std::uint32_t source, std::uint32_t destination, std::uint16_t source_port) {
    const Envelope<V4> envelope{
        .link_source = kGatewayMac,
        .link_destination = kFabricMac,
        .source = host<V4>(source),
        .destination = host<V4>(destination)};
    return frame_of(envelope, udp_header(source_port, 53));
}

unsigned RouterLab::buffers_in_use() const {
    return rte_mempool_in_use_count(machine->pool());
}

}  // namespace vr::test
