// SPDX-License-Identifier: Apache-2.0
#include "vrouter/workloads.h"

#include <algorithm>
#include <ranges>

#include "vrouter/dataplane/clock.h"
#include "vrouter/dataplane/ethdev_port.h"
#include "vrouter/endpoint_parts.h"
#include "vrouter/net/headers.h"
#include "vrouter/net/log.h"

namespace vr {

namespace {

/// The router's address on guests' ports: the same on every host, so that a guest which moves keeps
/// its neighbor cache.
constexpr Mac kGatewayMac{{0xee, 0xee, 0xee, 0xee, 0xee, 0xee}};

/// The addresses that the router serves for a workload: none while it is administratively down.
template <typename Visit>
void for_each_prefix(const Workload& workload, Visit visit) {
    if (!workload.active) {
        return;
    }
    std::ranges::for_each(workload.addresses4, visit);
    std::ranges::for_each(workload.addresses6, visit);
}

bool contains(const Workload& workload, const IpPrefix& prefix) {
    if (!workload.active) {
        return false;
    }
    if (const auto* v4 = std::get_if<Prefix<V4>>(&prefix)) {
        return std::ranges::count(workload.addresses4, *v4) != 0;
    }
    return std::ranges::count(workload.addresses6, std::get<Prefix<V6>>(prefix)) != 0;
}

}  // namespace

std::string_view to_string(WorkloadView::State state) {
    switch (state) {
        case WorkloadView::State::Invalid:
            return "invalid";
        case WorkloadView::State::Failed:
            return "failed";
        case WorkloadView::State::Waiting:
            return "waiting";
        case WorkloadView::State::Compiling:
            return "compiling";
        case WorkloadView::State::Inactive:
            return "inactive";
        case WorkloadView::State::Ready:
            return "ready";
    }
    return "?";
}

Workloads::Workloads(
    Machine& machine,
    SlowPath& slow_path,
    Builder& builder,
    WorkloadConfig config,
    OpenVhost open_vhost,
    Announce announce,
    Reserved reserved)
    : machine_(machine),
      slow_path_(slow_path),
      builder_(builder),
      config_(std::move(config)),
      open_vhost_(std::move(open_vhost)),
      reserved_(reserved),
      hosts_(machine, builder, [this] { settle(1); }),
      members_(
          machine, [this] { return is_settled(); }, [this] { tell_unfinished(); }),
      compilations_(
          builder,
          [this](const std::string& name, const CompiledPrograms& compiled) {
              activate(entries_.at(name), compiled);
          },
          [this](std::size_t activated) { settle(activated); }),
      addresses_(
          machine, std::move(announce), std::move(reserved), [this](const std::string& name) {
              publish_translations(entries_.at(name));
          }) {
    slow_path_.set_guest_heard([this](PortId port) { hear_guest(port); });
}

void Workloads::set_workload_rules(const WorkloadRules& rules) {
    machine_.set_workload_rules(rules);
    machine_.commit();
}

/// Of those that are preferred now, too.
void Workloads::set_migration_terms(const MigrationTerms& terms) {
    migration_terms_ = terms;
    for (auto& [name, entry] : entries_) {
        if (entry.in_force && entry.arrival.state() == Arrival::State::Preferred) {
            addresses_.want(name, wanted(entry));
        }
    }
    machine_.commit();
}

void Workloads::update_workload(const Workload& workload) {
    Entry& entry = entries_[workload.name];
    const bool moves =
        entry.attachment != workload.attachment || entry.interface_name != workload.interface_name;
    forget_interface(entry.workload);
    interfaces_[workload.interface_name].insert(workload.name);
    entry.workload = workload;
    compilations_.forget(workload.name);
    entry.arrival.set_role(
        workload.migration, entry.guest == Guest::There, std::chrono::steady_clock::now());
    if (follow_arrival(entry)) {
        machine_.commit();
    }
    entry.placed = false;
    if (entry.port == PortId{} || moves || !reserved_address(workload).empty()) {
        wait(entry, Turn::Open);
    } else {
        entry.turn = Turn::None;  // it may have waited to leave, or to move and come back
        compile(workload.name, entry);
    }
    tell_unfinished();
}

void Workloads::remove_workload(const std::string& name) {
    const auto found = entries_.find(name);
    if (found == entries_.end()) {
        return;
    }
    forget_interface(found->second.workload);
    compilations_.forget(name);
    wait(found->second, Turn::Close);
    tell_unfinished();
}

/// Endpoints whose programs are the same wait for them together, and change together.
void Workloads::replace_programs(const ReplacedPrograms& replaced) {
    std::map<EndpointPrograms, Compilations::Order> orders;
    for (auto& [name, entry] : entries_) {
        if (!entry.workload.replace_programs(replaced)) {
            continue;
        }
        compilations_.forget(name);
        if (entry.in_force) {
            entry.in_force->replace_programs(replaced);  // so that the old ones are kept by nobody
        }
        if (entry.port == PortId{} || entry.turn != Turn::None) {
            continue;  // what it gets in its turn; it may leave its port then
        }
        Compilations::Order& order = orders[programs_of(entry.workload)];
        order.programs = programs_of(entry.workload);
        order.endpoints.push_back(name);
        if (entry.endpoint) {
            order.keep_enforced(*entry.endpoint);
            order.keep_staged(*entry.endpoint);
        }
    }
    for (auto& [programs, order] : orders) {
        compilations_.begin(std::move(order));
    }
}

void Workloads::forget_interface(const Workload& workload) {
    if (const auto at = interfaces_.find(workload.interface_name); at != interfaces_.end()) {
        at->second.erase(workload.name);
        if (at->second.empty()) {
            interfaces_.erase(at);
        }
    }
}

void Workloads::retry_failed() {
    for (auto& [name, entry] : entries_) {
        if (entry.port == PortId{} && entry.turn == Turn::None) {
            wait(entry, Turn::Open);
        }
    }
    tell_unfinished();
}

void Workloads::reserved_changed() {
    for (auto& [name, entry] : entries_) {
        if (entry.port != PortId{} && entry.turn == Turn::None &&
            !reserved_address(entry.workload).empty()) {
            wait(entry, Turn::Open);
        }
    }
    tell_unfinished();
}

/// Who waits already keeps its place.
void Workloads::wait(Entry& entry, Turn turn) {
    if (std::exchange(entry.turn, turn) == Turn::None) {
        waiting_.push_back(entry.workload.name);
    }
}

void Workloads::finish() {
    told_ = false;
    const auto end = std::chrono::steady_clock::now() + machine_.settings().ports_turn;
    while (!waiting_.empty()) {
        const std::string name = std::move(waiting_.front());
        waiting_.pop_front();
        take_turn(name);
        if (std::chrono::steady_clock::now() >= end) {
            break;
        }
    }
    if (members_.is_unfinished()) {
        members_.finish();
    }
    commit();
    tell_unfinished();
}

/// Makes all that is ready visible.
void Workloads::commit() {
    activated_ = 0;
    hosts_.assign();
    machine_.commit();
    if (is_settled()) {
        members_.remove_when_seen();
    }
}

void Workloads::remove_host(const std::string& name) {
    hosts_.remove(name);
    tell_unfinished();
}

void Workloads::tell_unfinished() {
    if (unfinished_ && is_unfinished() && !std::exchange(told_, true)) {
        unfinished_();
    }
}

/// Does what the endpoint waits for, if it still does.
void Workloads::take_turn(const std::string& name) {
    const auto found = entries_.find(name);
    if (found == entries_.end()) {
        return;
    }
    Entry& entry = found->second;
    switch (std::exchange(entry.turn, Turn::None)) {
        case Turn::None:
            return;
        case Turn::Open:
            close(entry);
            open(entry);
            compile(name, entry);
            return;
        case Turn::Close:
            close(entry);
            entries_.erase(found);
            log::info("endpoint {}: removed", name);
            return;
    }
}

/// What would be taken from others if the router served the workload's addresses, in words.
std::string Workloads::reserved_address(const Workload& workload) const {
    std::string reason;
    if (reserved_) {
        for_each_prefix(workload, [&](const auto& prefix) {
            if (reason.empty()) {
                reason = reserved_(prefix);
            }
        });
    }
    return reason;
}

Result<std::unique_ptr<Port>> Workloads::open_port(const Workload& workload) {
    if (auto reason = reserved_address(workload); !reason.empty()) {
        return fail(std::move(reason));
    }
    if (workload.attachment.ethdev.empty()) {
        return open_vhost_(workload);
    }
    const EthdevSettings settings{
        .device = workload.attachment.ethdev,
        .mtu = config_.mtu,
        .workers = machine_.settings().workers,
        .rx_queues = config_.queue_pairs};
    auto port = EthdevPort::open(settings, machine_.pool());
    if (!port) {
        return std::unexpected(port.error());
    }
    return std::move(*port);
}

void Workloads::open(Entry& entry) {
    const std::string& name = entry.workload.name;
    auto port = open_port(entry.workload);
    if (!port) {
        if (entry.error != port.error().text) {
            log::error("endpoint {}: {}", name, port.error().text);
        }
        entry.error = port.error().text;
        return;
    }
    const Mac mac = entry.workload.attachment.ethdev.empty() ? kGatewayMac : (*port)->mac();
    const auto id = machine_.add_port(
        {.name = entry.workload.interface_name.empty() ? name : entry.workload.interface_name,
         .kind = PortKind::Workload,
         .port = std::move(*port),
         .mac = mac,
         .mtu = config_.mtu});
    if (!id) {
        log::error("endpoint {}: {}", name, id.error().text);
        entry.error = id.error().text;
        return;
    }
    entry.error.clear();
    entry.port = *id;
    names_[*id] = name;
    entry.attachment = entry.workload.attachment;
    entry.interface_name = entry.workload.interface_name;
    entry.guest = Guest::NeverCame;
    entry.arrival = {};
    entry.arrival.set_role(entry.workload.migration, false, std::chrono::steady_clock::now());
    (void)follow_arrival(entry);  // nothing of it is in force yet
    log::info("endpoint {}: port {} open, waiting for its policy", name, entry.port);
}

void Workloads::set_guest(const std::string& name, const Port& port, bool there) {
    const auto found = entries_.find(name);
    if (found == entries_.end()) {
        return;
    }
    Entry& entry = found->second;
    const PortRecord* record = machine_.port(entry.port);
    if (record == nullptr || record->port.get() != &port) {
        return;  // of an earlier port
    }
    const bool was_away =
        std::exchange(entry.guest, there ? Guest::There : Guest::Away) == Guest::Away;
    bool moves = false;
    if (there) {
        entry.arrival.shown();
        moves = follow_arrival(entry);
    }
    if (entry.in_force && was_away == there) {
        addresses_.want(name, wanted(entry));
        moves = true;
    }
    if (moves) {
        machine_.commit();
    }
}

void Workloads::hear_guest(PortId port) {
    const auto name = names_.find(port);
    if (name == names_.end()) {
        return;
    }
    Entry& entry = entries_.at(name->second);
    entry.arrival.shown();
    if (follow_arrival(entry)) {
        machine_.commit();
    }
}

void Workloads::tick(TimePoint now) {
    bool moves = false;
    for (auto& [name, entry] : entries_) {
        entry.arrival.tick(now, migration_terms_.settling);
        moves = follow_arrival(entry) || moves;
        if (entry.arrival.is_missed(now)) {
            log::warning(
                "endpoint {}: live migration: no sign of its guest for {} minutes; where it has "
                "failed or the guest is silent, deleting the LiveMigration ends the wait",
                name,
                Arrival::kPatience.count());
        }
    }
    if (moves) {
        machine_.commit();
    }
}

/// Serves its addresses, or no longer, as a live migration has it now; true: a commit is to make that visible.
bool Workloads::follow_arrival(Entry& entry) {
    const Arrival::State state = entry.arrival.state();
    if (std::exchange(entry.arrival_followed, state) == state) {
        return false;
    }
    log::info("endpoint {}: live migration: {}", entry.workload.name, to_string(state));
    if (entry.in_force) {
        addresses_.want(entry.workload.name, wanted(entry));
    }
    return entry.in_force.has_value();
}

/// Until the next commit workers go on with what it has.
void Workloads::close(Entry& entry) {
    withdraw(entry);
    compilations_.forget(entry.workload.name);
    if (entry.port != PortId{}) {
        names_.erase(entry.port);
        slow_path_.remove_port(entry.port);
        machine_.remove_port(std::exchange(entry.port, PortId{}));
    }
}

/// Takes back what activate() made visible.
void Workloads::withdraw(Entry& entry) {
    if (!entry.in_force) {
        return;
    }
    addresses_.forget(entry.workload.name);
    machine_.set_endpoint(entry.port, nullptr);
    entry.in_force.reset();
    entry.placed = false;
    entry.endpoint.reset();
}

void Workloads::publish_translations(Entry& entry) {
    if (!entry.endpoint) {
        return;
    }
    auto endpoint = std::make_shared<Endpoint>(*entry.endpoint);
    set_translations(*endpoint, addresses_.translations(entry.workload.name));
    entry.endpoint = std::move(endpoint);
    machine_.set_endpoint(entry.port, entry.endpoint);
}

void Workloads::compile(const std::string& name, Entry& entry) {
    if (entry.port == PortId{}) {
        return;
    }
    Compilations::Order order{.endpoints = {name}, .programs = programs_of(entry.workload)};
    if (entry.endpoint) {
        order.keep_staged(*entry.endpoint);
    }
    compilations_.begin(std::move(order));
}

/// Something was activated.
void Workloads::settle(std::size_t activated) {
    activated_ += activated;
    commit_in_time();
}

/// Makes what was activated visible.  A commit copies what workers see, so endpoints that become ready in a
/// burst share one; but none waits for a program that takes long.
void Workloads::commit_in_time() {
    constexpr std::size_t kTogether = 32;
    constexpr std::size_t kSoon = 1000;
    const bool idle = !busy();
    if (activated_ == 0 || (!idle && activated_ < kTogether && builder_.backlog() <= kSoon)) {
        return;
    }
    commit();
}

void Workloads::activate(Entry& entry, const CompiledPrograms& compiled) {
    const bool first = !entry.in_force;
    auto endpoint =
        std::make_shared<Endpoint>(entry.placed ? *entry.endpoint : describe(entry.workload));
    if (!entry.placed) {
        endpoint->limits = limits(entry);
    }
    set_programs(*endpoint, compiled);
    if (!entry.endpoint || !judge_flows_alike(*entry.endpoint, *endpoint)) {
        machine_.bump_policy_generation();
    }
    entry.endpoint = std::move(endpoint);
    if (std::exchange(entry.placed, true)) {
        machine_.set_endpoint(entry.port, entry.endpoint);
        return;
    }
    publish_translations(entry);
    slow_path_.set_port(facts(entry));
    attach_addresses(entry);
    if (first) {
        log::info(
            "endpoint {}: policy in place, port {} forwards", entry.workload.name, entry.port);
    }
}

/// Null where it has none.
std::shared_ptr<const EndpointLimits> Workloads::limits(const Entry& entry) const {
    const QosControls& qos = entry.workload.qos;
    if (!qos.ingress.any() && !qos.egress.any()) {
        return nullptr;
    }
    const std::size_t frame = config_.mtu + sizeof(EthernetHeader);
    const std::uint64_t hz = bucket_hz();
    auto limits = std::make_shared<const EndpointLimits>(EndpointLimits{
        .ingress = {qos.ingress, frame, hz, entry.ingress_limits},
        .egress = {qos.egress, frame, hz, entry.egress_limits}});
    if (entry.endpoint && entry.endpoint->limits) {
        const std::uint64_t now = bucket_now();
        limits->ingress.take_over(entry.endpoint->limits->ingress, now);
        limits->egress.take_over(entry.endpoint->limits->egress, now);
    }
    return limits;
}

/// Host routes and neighbors for the addresses, as far as they changed.
void Workloads::attach_addresses(Entry& entry) {
    const TimePoint now = std::chrono::steady_clock::now();
    if (entry.in_force) {
        for_each_prefix(*entry.in_force, [&](const auto& prefix) {
            if (!contains(entry.workload, prefix) || (entry.in_force->mac && !entry.workload.mac)) {
                slow_path_.remove_neighbor({entry.port, prefix.address()}, now);
            }
        });
    }
    entry.in_force = entry.workload;
    for_each_prefix(entry.workload, [&](const auto& prefix) {
        if (entry.workload.mac) {
            slow_path_.add_permanent({entry.port, prefix.address()}, *entry.workload.mac, now);
        }
    });
    addresses_.want(entry.workload.name, wanted(entry));
}

/// Nothing while it is administratively down.
ServedAddresses::Wanted Workloads::wanted(const Entry& entry) const {
    const Workload& workload = *entry.in_force;
    const Arrival::State arrival = entry.arrival.state();
    ServedAddresses::Wanted wanted{
        .port = entry.port,
        .priority = {workload.route_priority, workload.route_priority},
        .there = entry.guest != Guest::Away && arrival != Arrival::State::Awaited};
    if (arrival == Arrival::State::Preferred) {
        for (std::size_t family = 0; family < wanted.priority.size(); ++family) {
            const std::uint32_t preferred = migration_terms_.priority[family];
            wanted.priority[family] =
                std::min(wanted.priority[family].value_or(preferred), preferred);
        }
    }
    for_each_prefix(workload, [&](const auto& prefix) { wanted.own.emplace_back(prefix); });
    if (workload.active) {
        wanted.floating = workload.floating;
    }
    return wanted;
}

PortFacts Workloads::facts(const Entry& entry) const {
    PortFacts facts;
    facts.id = entry.port;
    facts.role = PortRole::Guest;
    facts.mac = machine_.port(entry.port)->mac;
    facts.peer_mac = entry.workload.mac;
    facts.v4 = {{config_.gateway4}, entry.workload.addresses4, config_.gateway4};
    facts.v6 = {{config_.gateway6}, entry.workload.addresses6, config_.gateway6};
    facts.offer.mtu = config_.mtu;
    return facts;
}

WorkloadView::State Workloads::state(const Entry& entry) {
    using State = WorkloadView::State;
    if (entry.port == PortId{}) {
        return entry.error.empty() ? State::Waiting : State::Failed;
    }
    return !entry.endpoint          ? State::Compiling
           : entry.endpoint->active ? State::Ready
                                    : State::Inactive;
}

std::vector<std::pair<std::string, WorkloadView::State>> Workloads::states() const {
    std::vector<std::pair<std::string, WorkloadView::State>> all;
    for (const auto& [name, entry] : entries_) {
        all.emplace_back(name, state(entry));
    }
    return all;
}

std::optional<WorkloadView> Workloads::find(const std::string& name) const {
    const auto found = entries_.find(name);
    if (found == entries_.end()) {
        return std::nullopt;
    }
    const Entry& entry = found->second;
    return WorkloadView{
        entry.workload,
        entry.port,
        state(entry),
        entry.arrival.state(),
        entry.error.empty() ? addresses_.problems(name) : entry.error,
        entry.endpoint};
}

std::set<std::string> Workloads::names() const {
    const auto names = std::views::keys(entries_);
    return {names.begin(), names.end()};
}

std::string Workloads::first_with(const std::string& interface_name) const {
    const auto found = interfaces_.find(interface_name);
    return found == interfaces_.end() ? std::string() : *found->second.begin();
}

}  // namespace vr
