// SPDX-License-Identifier: Apache-2.0
#include "vrouter/machine.h"

#include <algorithm>
#include <iterator>
#include <new>
#include <utility>

#include "vrouter/dataplane/clock.h"
#include "vrouter/dataplane/packet.h"
#include "vrouter/net/log.h"
#include "vrouter/net/zone.h"

namespace vr {

namespace {

constexpr unsigned kPuntRing = 2048;
constexpr unsigned kPolicyLog = 1024;
/// Lines of Log rules that one housekeeping round (10 ms) writes: 400 a second.
constexpr std::size_t kLogLines = 4;

/// The addresses in whose name guests' flows leave by a port towards the fabric: the first of each family that
/// means something beyond the link.
void set_host_addresses(const PortRecord& record, PortEntry& entry) {
    entry.host4 = {};
    entry.host6 = {};
    for (const IpAddr& address : record.addresses) {
        const auto* ip4 = std::get_if<Ip4>(&address);
        const auto* ip6 = std::get_if<Ip6>(&address);
        if (ip4 != nullptr && entry.host4 == Ip4{} && !ip4->is_link_local()) {
            entry.host4 = *ip4;
        } else if (ip6 != nullptr && entry.host6 == Ip6{} && !ip6->is_link_local()) {
            entry.host6 = *ip6;
        }
    }
}

/// Whether it has limits, and whether it has a mark.
std::pair<bool, bool> qos_of(const Endpoint* endpoint) {
    return {
        endpoint != nullptr && endpoint->limits, endpoint != nullptr && endpoint->dscp.has_value()};
}

bool has_dscp(const HostPolicy* guard) {
    return guard != nullptr && guard->dscp;
}

/// Snapshots that may rest while a worker does not come to the end of its round: some 100 kB each, or more.
constexpr std::size_t kMostResting = 64;

/// Flows of each family that are looked at in one turn when ports or floating addresses have gone: all of
/// them may be theirs.
constexpr std::size_t kForgetSlice = 4096;

/// Entries that one housekeeping round looks at: about a millisecond.
constexpr std::size_t kAgeSlice = 16384;

}  // namespace

Result<std::unique_ptr<Machine>> Machine::make(const MachineSettings& settings) {
    constexpr std::uint16_t kDataRoom = 2048;
    auto pool = make_packet_pool("packets", settings.packets, kDataRoom);
    if (!pool) {
        return std::unexpected(pool.error());
    }
    auto punt = PuntRing::make(kPuntRing);
    if (!punt) {
        return std::unexpected(punt.error());
    }
    auto policy_log = PolicyLog::make(kPolicyLog);
    if (!policy_log) {
        return std::unexpected(policy_log.error());
    }
    try {
        return std::unique_ptr<Machine>(
            new Machine(settings, std::move(*pool), std::move(*punt), std::move(*policy_log)));
    } catch (const std::bad_alloc&) {
        return fail(
            "not enough memory for " + std::to_string(settings.flows) + " flows and " +
            std::to_string(settings.workers) + " workers");
    }
}

Machine::Machine(
    const MachineSettings& settings,
    PacketPool pool,
    std::unique_ptr<PuntRing> punt,
    std::unique_ptr<PolicyLog> policy_log)
    : settings_(settings),
      pool_(std::move(pool)),
      punt_(std::move(punt)),
      policy_log_(std::move(policy_log)),
      rcu_(settings.workers),
      shared_(std::make_unique<SharedState>(rcu_, settings.flows, settings.workers)),
      routes_(shared_->routes4, shared_->routes6, rcu_),
      records_(kMaxPorts),
      leaving_(kMaxPorts),
      control_drops_(kMaxPorts),
      baselines_(kMaxPorts) {
    master_.ports.resize(kMaxPorts);
    master_.polls.resize(settings.workers);
    master_.reevaluate = settings.reevaluate;
    master_.flows_per_endpoint = settings.flows_per_endpoint;
    master_.nat_ports_percent = settings.nat_ports_percent;
    set_workload_rules({});
    for (unsigned i = 0; i < settings.workers; ++i) {
        workers_.push_back(
            std::make_unique<Worker>(i, *shared_, rcu_, *punt_, *policy_log_, settings.idle));
    }
    publish();
}

Machine::~Machine() {
    // What waits to be freed may name the tables, which go before the Rcu.
    rcu_.drain();
    delete shared_->tables.load(std::memory_order_relaxed);
}

std::optional<PortId> Machine::free_id() const {
    for (std::uint16_t i = 1; i < kMaxPorts; ++i) {
        if (records_[i].kind == PortKind::None && !leaving_[i]) {
            return PortId{i};
        }
    }
    return std::nullopt;
}

Result<PortId> Machine::add_port(PortRecord record) {
    const auto id = free_id();
    if (!id) {
        return fail("no port number is free: " + std::to_string(kMaxPorts - 1) + " ports exist");
    }
    PortEntry& entry = master_.ports[id->value()];
    entry.kind = record.kind;
    entry.io = record.port->io();
    entry.mac = record.mac;
    entry.mtu = record.mtu;
    entry.endpoint.reset();
    entry.guard.reset();
    set_host_addresses(record, entry);
    baselines_[id->value()] = raw_totals(*id);
    routes_.next_hops().set_port(*id, {record.mac, record.mtu, record.kind});
    records_[id->value()] = std::move(record);
    assign_queues();
    dirty_ = true;
    return *id;
}

void Machine::remove_port(PortId id, std::function<void()> gone) {
    PortRecord& record = records_[id.value()];
    master_.ports[id.value()] = PortEntry{};
    std::erase_if(master_.link_locals, [id](const LinkLocal& link) { return link.port == id; });
    routes_.next_hops().remove_port(id);
    leaving_[id.value()] = true;
    leaving_ports_.push_back({id, std::move(record.port), std::move(gone)});
    record = PortRecord{};
    assign_queues();
    dirty_ = true;
}

/// No worker polls such a port or sends to it after this grace period, and none enters a flow of an address
/// that no route leads to any more.
void Machine::retire_leaving() {
    if (leaving_ports_.empty() && leaving_translations_.empty()) {
        return;
    }
    rcu_.retire([this,
                 ports = std::exchange(leaving_ports_, {}),
                 translations = std::exchange(leaving_translations_, {})]() mutable {
        std::ranges::move(ports, std::back_inserter(unused_));
        gone_translations_.insert(translations.begin(), translations.end());
    });
}

/// A vhost-user socket takes its time: some are closed, the others in later turns.
void Machine::close_unused() {
    const auto end = std::chrono::steady_clock::now() + settings_.ports_turn;
    while (!unused_.empty()) {
        Leaving one = std::move(unused_.front());
        unused_.pop_front();
        one.port.reset();
        gone_.emplace(one.id, std::move(one.gone));
        if (std::chrono::steady_clock::now() >= end) {
            return;
        }
    }
}

/// What flows remember of a port must go before its number may mean another one; those of a floating address
/// end with it.  One walk over all flows for however many left together.
void Machine::begin_forgetting() {
    if (!forgetting_ && (!gone_.empty() || !gone_translations_.empty())) {
        forgetting_ =
            Forgetting{std::exchange(gone_, {}), std::exchange(gone_translations_, {}), 0};
    }
}

/// The next slice of that walk.  No worker makes such flows any more: what is behind stays without them.
void Machine::forget_flows() {
    if (!forgetting_) {
        return;
    }
    const Forgetting& of = *forgetting_;
    const auto names = [&of](const auto& flow) {
        return of.ports.contains(flow.from) || of.ports.contains(flow.to) ||
               of.translations.contains(flow.translation);
    };
    const FlowRange slice{.begin = of.next, .end = of.next + kForgetSlice};
    shared_->flows4.remove_if(names, slice);
    shared_->flows6.remove_if(names, slice);
    forgetting_->next = slice.end;
    if (slice.end >= std::max(shared_->flows4.extent(), shared_->flows6.extent())) {
        flowless_.merge(forgetting_->ports);
        forgetting_.reset();
        begin_forgetting();
    }
}

/// What still leads to a port that has left must not lead to the next one of its number.
void Machine::free_numbers() {
    std::vector<std::function<void()>> all_gone;
    for (auto at = flowless_.begin(); at != flowless_.end();) {
        if (routes_.names(at->first)) {
            ++at;
            continue;
        }
        leaving_[at->first.value()] = false;
        all_gone.push_back(std::move(at->second));
        at = flowless_.erase(at);
    }
    for (const auto& gone : all_gone) {
        if (gone) {
            gone();
        }
    }
}

void Machine::set_endpoint(PortId id, std::shared_ptr<const Endpoint> endpoint) {
    auto& known = master_.ports[id.value()].endpoint;
    const bool matters = qos_of(known.get()) != qos_of(endpoint.get());
    known = std::move(endpoint);
    if (matters) {
        note_limits();
    }
    dirty_ = true;
}

/// Workers need not look for limits and marks where there are none.
void Machine::note_limits() {
    master_.limited = false;
    master_.marks = false;
    for (const PortEntry& entry : master_.ports) {
        master_.limited |= entry.endpoint != nullptr && entry.endpoint->limits != nullptr;
        master_.marks |= entry.endpoint != nullptr && entry.endpoint->dscp.has_value();
        master_.marks |= has_dscp(entry.guard.get());
    }
}

void Machine::forget_translation(TranslationId id) {
    leaving_translations_.push_back(id);
    dirty_ = true;
}

void Machine::set_guard(PortId id, std::shared_ptr<const HostPolicy> guard) {
    auto& known = master_.ports[id.value()].guard;
    const bool matters = has_dscp(known.get()) || has_dscp(guard.get());
    known = std::move(guard);
    if (matters) {
        note_limits();
    }
    master_.guarded = std::ranges::any_of(
        master_.ports, [](const PortEntry& entry) { return entry.guard != nullptr; });
    // Workloads to the host may have to ask it where no port does.
    master_.guarded = master_.guarded || master_.any_interface;
    dirty_ = true;
}

void Machine::set_any_interface(std::shared_ptr<const HostPolicy> guard) {
    master_.any_interface = std::move(guard);
    set_guard(PortId{}, nullptr);
}

void Machine::set_workload_rules(WorkloadRules rules) {
    rules.to_host = settings_.to_host.value_or(rules.to_host);
    rules.drop_invalid = settings_.drop_invalid.value_or(rules.drop_invalid);
    master_.maps_ports = master_.maps_ports || rules.nat_outgoing;
    if (master_.rules != rules) {
        master_.rules = std::move(rules);
        bump_policy_generation();
    }
}

void Machine::set_host_port(PortId id, Mac kernel) {
    master_.host_port = id;
    routes_.next_hops().set_host(id, kernel);
    dirty_ = true;
}

void Machine::set_link_local(PortId id, Ip6 own) {
    const Zone zone = id.value();
    const auto network = Prefix<V6>::make(with_zone(own.masked(64), zone), 64);
    master_.link_locals.push_back({own, id});
    routes_.set(
        Prefix<V6>::host(with_zone(own, zone)), RouteSource::Local, LocalDelivery{IpFamily::Ip6});
    routes_.set(*network, RouteSource::Connected, Connected{id, IpFamily::Ip6});
    dirty_ = true;
}

void Machine::bump_policy_generation() {
    ++master_.policy_generation;
    dirty_ = true;
}

/// Deals every port's queues to the workers in turn.
void Machine::assign_queues() {
    for (auto& polls : master_.polls) {
        polls.clear();
    }
    std::size_t worker = 0;
    for (std::uint16_t i = 1; i < kMaxPorts; ++i) {
        const PortEntry& entry = master_.ports[i];
        if (entry.kind == PortKind::None) {
            continue;
        }
        for (std::uint16_t queue = 0; queue < entry.io.rx_queues; ++queue) {
            master_.polls[worker++ % master_.polls.size()].push_back({PortId{i}, queue});
        }
    }
}

void Machine::commit() {
    // Endpoints first: who goes by a new route is judged by a policy that is as new.
    if (dirty_) {
        publish();
    }
    routes_.commit([this] { publish(); });
    retire_leaving();
    tell_unfinished();
}

void Machine::finish() {
    if (rcu_.is_behind()) {
        rcu_.reclaim();
        call_seen();
    }
    close_unused();
    begin_forgetting();
    forget_flows();
    free_numbers();
    if (routes_.dirty()) {
        commit();
    } else {
        tell_unfinished();
    }
}

void Machine::tell_unfinished() {
    if (unfinished_ && is_unfinished()) {
        unfinished_();
    }
}

void Machine::when_seen(std::function<void()> then) {
    rcu_.retire([this, then = std::move(then)]() mutable { seen_.push_back(std::move(then)); });
    rcu_.reclaim();
    call_seen();
}

void Machine::call_seen() {
    for (const auto& then : std::exchange(seen_, {})) {
        then();
    }
}

void Machine::publish() {
    rcu_.reclaim();
    while (resting_ >= kMostResting) {
        rcu_.wait();  // a worker that hangs must not cost all memory
        rcu_.reclaim();
    }
    auto* next = new Tables(master_);
    next->next_hops = routes_.next_hops().entries();
    next->groups = routes_.next_hops().groups();
    // Release: a worker that sees the pointer sees what it points to.
    const Tables* old = shared_->tables.exchange(next, std::memory_order_acq_rel);
    current_ = next;
    dirty_ = false;
    if (old != nullptr) {
        ++resting_;
        rcu_.retire([this, old] {
            delete old;
            --resting_;
        });
    }
}

void Machine::housekeeping() {
    rcu_.reclaim();
    call_seen();
    close_unused();
    begin_forgetting();
    forget_flows();
    free_numbers();
    tell_unfinished();
    const FlowTick now = flow_now();
    shared_->flows4.age(now, settings_.timeouts, kAgeSlice);
    shared_->flows6.age(now, settings_.timeouts, kAgeSlice);
    write_policy_log();
}

/// Whatever judges packets of a port.
template <Family F>
PolicyLogWriter::Judges<F> Machine::judges_at(PortId port) const {
    PolicyLogWriter::Judges<F> all;
    const PortEntry& entry = master_.ports[port.value()];
    const auto add = [&](const std::string& name, const acl::Classifier<F>* classifier) {
        if (classifier != nullptr) {
            all.emplace_back(name, classifier);
        }
    };
    if (entry.endpoint) {
        add(entry.endpoint->name, entry.endpoint->template family<F>().ingress.get());
        add(entry.endpoint->name, entry.endpoint->template family<F>().egress.get());
    }
    for (const auto& guard : {entry.guard, master_.any_interface}) {
        for (const HostHook hook : kAllHostHooks) {
            add(guard ? guard->name : "", guard ? guard->template at<F>(hook) : nullptr);
        }
    }
    return all;
}

void Machine::write_policy_log() {
    const auto now = std::chrono::steady_clock::now();
    const auto lines = [&]<Family F>(const PolicyLogRecord& record, F /*family*/) {
        return log_writer_.lines<F>(
            record, judges_at<F>(record.endpoint), shared_->groups<F>(), now);
    };
    PolicyLogRecord record;
    for (std::size_t written = 0; written < kLogLines && policy_log_->pop(record);) {
        const auto all = record.ip6 ? lines(record, V6{}) : lines(record, V4{});
        for (const std::string& line : all) {
            log::info("{}", line);
        }
        written += std::max<std::size_t>(all.size(), 1);
    }
    if (const auto complaint = log_writer_.complaint(policy_log_->lost(), now)) {
        log::warning("{}", *complaint);
    }
}

const PortRecord* Machine::port(PortId id) const {
    const PortRecord& record = records_[id.value() % kMaxPorts];
    return record.kind == PortKind::None ? nullptr : &record;
}

std::vector<PortId> Machine::ports() const {
    std::vector<PortId> ids;
    for (std::uint16_t i = 1; i < kMaxPorts; ++i) {
        if (records_[i].kind != PortKind::None) {
            ids.push_back(PortId{i});
        }
    }
    return ids;
}

std::optional<PortId> Machine::find_port(const std::string& name) const {
    for (const PortId id : ports()) {
        if (records_[id.value()].name == name) {
            return id;
        }
    }
    return std::nullopt;
}

PortTotals Machine::totals(PortId id) const {
    PortTotals sum = raw_totals(id);
    const PortTotals& before = baselines_[id.value()];
    sum.rx_packets -= before.rx_packets;
    sum.rx_bytes -= before.rx_bytes;
    sum.tx_packets -= before.tx_packets;
    sum.tx_bytes -= before.tx_bytes;
    sum.punted -= before.punted;
    sum.consumed -= before.consumed;
    for (std::size_t i = 0; i < kDropCount; ++i) {
        sum.drops[i] -= before.drops[i];
    }
    return sum;
}

PortTotals Machine::raw_totals(PortId id) const {
    PortTotals sum;
    sum.drops = control_drops_[id.value()];
    for (const auto& worker : workers_) {
        const PortCounters& counters = worker->counters().ports[id.value()];
        sum.rx_packets += counters.rx_packets.get();
        sum.rx_bytes += counters.rx_bytes.get();
        sum.tx_packets += counters.tx_packets.get();
        sum.tx_bytes += counters.tx_bytes.get();
        sum.punted += counters.punted.get();
        sum.consumed += counters.consumed.get();
        for (std::size_t i = 0; i < kDropCount; ++i) {
            sum.drops[i] += counters.drops[i].get();
        }
    }
    return sum;
}

void Machine::inject(rte_mbuf* packet, PortId on_behalf_of) {
    Worker& worker = *workers_[next_worker_++ % workers_.size()];
    if (!worker.inject(packet)) {
        const Packet freed{packet};
        count_drop(on_behalf_of, DropReason::PuntFull);
    }
}

void Machine::count_drop(PortId in, DropReason reason) {
    ++control_drops_[in.value()][static_cast<std::size_t>(reason)];
}

}  // namespace vr
