// SPDX-License-Identifier: Apache-2.0
#include "vrouter/workloads.h"

#include <algorithm>
#include <cassert>
#include <ranges>

#include "vrouter/dataplane/clock.h"
#include "vrouter/dataplane/ethdev_port.h"
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

/// Its floating addresses, for as long.
template <typename Visit>
void for_each_floating(const Workload& workload, Visit visit) {
    if (workload.active) {
        std::ranges::for_each(workload.floating, visit);
    }
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

/// Whether flows are judged alike by both: what is only counted does not matter.
bool judge_flows_alike(const Endpoint& a, const Endpoint& b) {
    const auto alike = [](const auto& one, const auto& other) {
        return one.addresses == other.addresses && one.ingress == other.ingress &&
               one.egress == other.egress;
    };
    return a.active == b.active && alike(a.v4, b.v4) && alike(a.v6, b.v6);
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
      announce_(std::move(announce)),
      reserved_(std::move(reserved)),
      hosts_(machine, builder, [this] { settle(); }) {}

void Workloads::set_workload_rules(const WorkloadRules& rules) {
    machine_.set_workload_rules(rules);
    machine_.commit();
}

void Workloads::add_member(GroupId group, const IpPrefix& member) {
    if (removals_.erase({group, member}) != 0 || leaving_members_.erase({group, member}) != 0) {
        return;  // its removal still waited
    }
    std::visit(
        [&]<Family F>(const Prefix<F>& prefix) {
            machine_.shared().groups<F>().add(group, prefix);
        },
        member);
    machine_.bump_policy_generation();
}

void Workloads::remove_member(GroupId group, const IpPrefix& member) {
    removals_.insert({group, member});
    if (is_settled() && !removals_wait_) {
        apply_removals(std::exchange(removals_, {}));
    }
}

void Workloads::apply_removals(const Members& members) {
    for (const auto& [group, member] : members) {
        std::visit(
            [&]<Family F>(const Prefix<F>& prefix) {
                machine_.shared().groups<F>().remove(group, prefix);
            },
            member);
    }
    machine_.bump_policy_generation();
}

/// The programs that do without these members are in force: the members go once every worker runs them,
/// whatever is compiled by then.
void Workloads::remove_when_seen() {
    if (removals_.empty() || std::exchange(removals_wait_, true)) {
        return;
    }
    leaving_members_ = std::exchange(removals_, {});
    machine_.when_seen([this, alive = std::weak_ptr<bool>(alive_)] {
        if (alive.expired()) {
            return;
        }
        removals_wait_ = false;
        apply_removals(std::exchange(leaving_members_, {}));
        machine_.commit();
        if (is_settled()) {
            remove_when_seen();  // those that came meanwhile
        }
    });
}

void Workloads::update_workload(const Workload& workload) {
    Entry& entry = entries_[workload.name];
    const bool moves =
        entry.attachment != workload.attachment || entry.interface_name != workload.interface_name;
    forget_interface(entry.workload);
    interfaces_[workload.interface_name].insert(workload.name);
    entry.workload = workload;
    entry.version = ++versions_;
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
    found->second.version = ++versions_;  // what is being compiled for it comes into force no more
    wait(found->second, Turn::Close);
    tell_unfinished();
}

/// Endpoints whose programs are the same wait for them together, and change together.
void Workloads::replace_programs(const ReplacedPrograms& replaced) {
    std::map<ProgramsOf, std::shared_ptr<Job>> jobs;
    for (auto& [name, entry] : entries_) {
        if (!entry.workload.replace_programs(replaced)) {
            continue;
        }
        entry.version = ++versions_;
        if (entry.in_force) {
            entry.in_force->replace_programs(replaced);  // so that the old ones are kept by nobody
        }
        if (entry.port == PortId{} || entry.turn != Turn::None) {
            continue;  // what it gets in its turn; it may leave its port then
        }
        auto& job = jobs[programs_of(entry.workload)];
        if (!job) {
            job = std::make_shared<Job>(Job{.programs = programs_of(entry.workload)});
        }
        job->endpoints.emplace_back(name, entry.version);
        if (entry.endpoint) {
            keep(*job, kIngress, {entry.endpoint->v4.ingress, entry.endpoint->v6.ingress});
            keep(*job, kEgress, {entry.endpoint->v4.egress, entry.endpoint->v6.egress});
            keep_staged(*job, entry);
        }
    }
    for (const auto& [programs, job] : jobs) {
        ++enforcing_;
        compile_next(job, 0);
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
    commit();
    tell_unfinished();
}

/// Makes all that is ready visible.
void Workloads::commit() {
    activated_ = 0;
    hosts_.assign();
    machine_.commit();
    if (is_settled()) {
        remove_when_seen();
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
    entry.attachment = entry.workload.attachment;
    entry.interface_name = entry.workload.interface_name;
    entry.away = false;
    log::info("endpoint {}: port {} open, waiting for its policy", name, entry.port);
}

void Workloads::set_guest(const std::string& name, const Port& port, bool there) {
    const auto found = entries_.find(name);
    if (found == entries_.end()) {
        return;
    }
    Entry& entry = found->second;
    const PortRecord* record = machine_.port(entry.port);
    if (record == nullptr || record->port.get() != &port || entry.away == !there) {
        return;  // of an earlier port, or no change
    }
    entry.away = !there;
    if (entry.in_force) {
        const auto change = [&](bool floating, const IpPrefix& prefix) {
            there ? serve({floating, name}, prefix) : stop_serving({floating, name}, prefix);
        };
        for_each_prefix(*entry.in_force, [&](const auto& prefix) { change(false, prefix); });
        for_each_floating(*entry.in_force, [&](const FloatingAddress& one) {
            change(true, host_prefix(one.external));
        });
        machine_.commit();
    }
}

/// Until the next commit workers go on with what it has.
void Workloads::close(Entry& entry) {
    withdraw(entry);
    if (entry.port != PortId{}) {
        slow_path_.remove_port(entry.port);
        machine_.remove_port(std::exchange(entry.port, PortId{}));
    }
}

/// Takes back what activate() made visible.
void Workloads::withdraw(Entry& entry) {
    if (!entry.in_force) {
        return;
    }
    const std::string& name = entry.workload.name;
    for_each_prefix(
        *entry.in_force, [&](const auto& prefix) { stop_serving({false, name}, prefix); });
    for_each_floating(*entry.in_force, [&](const FloatingAddress& one) {
        stop_serving({true, name}, host_prefix(one.external));
        translate_no_more(entry, one.external);
    });
    machine_.set_endpoint(entry.port, nullptr);
    entry.in_force.reset();
    entry.placed = false;
    entry.endpoint.reset();
}

/// Why a floating address is not served, if so: its endpoint is none the worse for it.
std::string Workloads::reserved_floating(const IpPrefix& prefix) const {
    return reserved_ ? reserved_(prefix) : std::string();
}

void Workloads::serve(const Server& server, const IpPrefix& prefix) {
    if (server.floating && !reserved_floating(prefix).empty()) {
        log::warning("endpoint {}: {}", server.name, reserved_floating(prefix));
        return;
    }
    Servers& servers = servers_[prefix];
    if (!servers.names.empty() && !servers.names.contains(server)) {
        log::warning(
            "endpoint {}: {} is an address of {} too; the first by name gets its packets",
            server.name,
            prefix,
            servers.names.begin()->name);
    }
    const auto before =
        servers.names.empty() ? std::nullopt : std::optional{*servers.names.begin()};
    if (servers.names.insert(server).second) {
        hand_over(prefix, before, *servers.names.begin());
    }
    announce(prefix, servers);
}

void Workloads::stop_serving(const Server& server, const IpPrefix& prefix) {
    const auto found = servers_.find(prefix);
    if (found == servers_.end() || !found->second.names.contains(server)) {
        return;
    }
    const Server before = *found->second.names.begin();
    found->second.names.erase(server);
    if (!found->second.names.empty()) {
        hand_over(prefix, before, *found->second.names.begin());
        announce(prefix, found->second);
        return;
    }
    servers_.erase(found);
    hand_over(prefix, before, std::nullopt);
    announce_(prefix, false, std::nullopt);
}

/// Packets to an address get another endpoint's, or nobody's.  While its guest is away and nobody else has the
/// address, the flows of a floating one wait for it, as those of its own addresses do.
void Workloads::hand_over(
    const IpPrefix& prefix, const std::optional<Server>& from, const std::optional<Server>& to) {
    const IpAddr address = std::visit([](const auto& p) { return IpAddr{p.address()}; }, prefix);
    if (!to) {
        if (from && from->floating && !entries_.at(from->name).away) {
            translate_no_more(entries_.at(from->name), address);
        }
        machine_.routes().remove(prefix, RouteSource::Workload);
        return;
    }
    if (const auto known = translators_.find(address);
        known != translators_.end() && (!to->floating || known->second != to->name)) {
        translate_no_more(entries_.at(known->second), address);
    }
    Entry& entry = entries_.at(to->name);
    if (!to->floating) {
        machine_.routes().set(prefix, RouteSource::Workload, Adjacency{entry.port, address});
        return;
    }
    const auto floating =
        std::ranges::find(entry.in_force->floating, address, &FloatingAddress::external);
    assert(
        floating !=
        entry.in_force->floating.end());  // it leaves servers_ before it leaves in_force
    machine_.routes().set(
        prefix,
        RouteSource::Workload,
        Floating{{entry.port, floating->internal}, translate(entry, *floating)});
}

/// The number under which packets to a floating address are translated.
TranslationId Workloads::translate(Entry& entry, const FloatingAddress& address) {
    const auto known = std::ranges::find(entry.translations, address, &Translated::address);
    if (known != entry.translations.end()) {
        return known->id;
    }
    const TranslationId id{++translations_};
    entry.translations.push_back({address, id});
    translators_[address.external] = entry.workload.name;
    publish_translations(entry);
    return id;
}

/// Ends the flows of a floating address, too.
void Workloads::translate_no_more(Entry& entry, const IpAddr& external) {
    const auto gone = std::ranges::find(
        entry.translations, external, [](const Translated& one) { return one.address.external; });
    if (gone != entry.translations.end()) {
        machine_.forget_translation(gone->id);
        entry.translations.erase(gone);
        translators_.erase(external);
        publish_translations(entry);
    }
}

void Workloads::publish_translations(Entry& entry) {
    if (!entry.endpoint) {
        return;
    }
    auto endpoint = std::make_shared<Endpoint>(*entry.endpoint);
    const auto fill = [&]<Family F>(EndpointFamily<F>& part) {
        part.translations.clear();
        for (const auto& [address, id] : entry.translations) {
            if (const auto* external = std::get_if<typename F::Addr>(&address.external)) {
                part.translations.push_back(
                    {id, *external, std::get<typename F::Addr>(address.internal)});
            }
        }
    };
    fill(endpoint->v4);
    fill(endpoint->v6);
    entry.endpoint = std::move(endpoint);
    machine_.set_endpoint(entry.port, entry.endpoint);
}

/// Says what is new: with the priority of the first that has the address.
void Workloads::announce(const IpPrefix& prefix, Servers& servers) {
    const auto priority = entries_.at(servers.names.begin()->name).workload.route_priority;
    const bool otherwise = std::exchange(servers.priority, priority) != priority;
    if (!std::exchange(servers.announced, true) || otherwise) {
        announce_(prefix, true, priority);
    }
}

void Workloads::compile(const std::string& name, Entry& entry) {
    if (entry.port == PortId{}) {
        return;
    }
    auto job = std::make_shared<Job>(
        Job{.endpoints = {{name, entry.version}}, .programs = programs_of(entry.workload)});
    if (entry.endpoint) {
        keep_staged(*job, entry);
    }
    ++enforcing_;
    compile_next(job, 0);
}

Workloads::ProgramsOf Workloads::programs_of(const Workload& workload) {
    return {workload.ingress, workload.egress, workload.staged_ingress, workload.staged_egress};
}

/// What stays staged is counted on.
void Workloads::keep_staged(Job& job, const Entry& entry) {
    const EndpointFamily<V4>& v4 = entry.endpoint->v4;
    const EndpointFamily<V6>& v6 = entry.endpoint->v6;
    keep(job, kStagedIngress, {v4.staged_ingress, v6.staged_ingress});
    keep(job, kStagedEgress, {v4.staged_egress, v6.staged_egress});
}

/// Takes over what is in use for a program.
void Workloads::keep(Job& job, ProgramKind kind, const Compiled& in_use) {
    if (in_use.v4 && in_use.v6 && &in_use.v4->program() == job.programs[kind].get()) {
        job.compiled[kind] = in_use;
    }
}

void Workloads::compile_next(const std::shared_ptr<Job>& job, std::size_t kind) {
    while (kind < kKinds && (!job->programs[kind] || job->compiled[kind].v4 || !is_awaited(*job))) {
        ++kind;
    }
    if (kind >= kStagedIngress) {
        if (!job->enforced) {
            job->enforced = true;
            --enforcing_;
        }
        activate(*job);
        settle(static_cast<unsigned>(job->endpoints.size()));
    }
    if (kind == kKinds) {
        return;
    }
    builder_.compile(
        job->programs[kind],
        [this, job, kind](const std::shared_ptr<const Compiled>& compiled) {
            job->compiled[kind] = *compiled;
            compile_next(job, kind + 1);
        },
        kind < kStagedIngress ? Purpose::Enforced : Purpose::Staged);
    commit_in_time();
}

/// Something was activated.
void Workloads::settle(unsigned activated) {
    activated_ += activated;
    commit_in_time();
}

/// Makes what was activated visible.  A commit copies what workers see, so endpoints that become ready in a
/// burst share one; but none waits for a program that takes long.
void Workloads::commit_in_time() {
    constexpr unsigned kTogether = 32;
    constexpr std::size_t kSoon = 1000;
    const bool idle = !busy();
    if (activated_ == 0 || (!idle && activated_ < kTogether && builder_.backlog() <= kSoon)) {
        return;
    }
    commit();
}

/// Null: changed or removed meanwhile; the newer compilation is on its way.
Workloads::Entry* Workloads::current(const std::string& name, std::uint64_t version) {
    const auto found = entries_.find(name);
    return found != entries_.end() && found->second.version == version &&
                   found->second.port != PortId{}
               ? &found->second
               : nullptr;
}

bool Workloads::is_awaited(const Job& job) {
    return std::ranges::any_of(
        job.endpoints, [this](const auto& of) { return current(of.first, of.second) != nullptr; });
}

void Workloads::activate(const Job& job) {
    for (const auto& [name, version] : job.endpoints) {
        if (Entry* entry = current(name, version)) {
            activate(*entry, job.compiled);
        }
    }
}

void Workloads::activate(Entry& entry, const std::array<Compiled, kKinds>& compiled) {
    const bool first = !entry.in_force;
    auto endpoint = entry.placed ? std::make_shared<Endpoint>(*entry.endpoint) : endpoint_of(entry);
    const auto judge = [&]<Family F>(EndpointFamily<F>& part, auto Compiled::* of) {
        part.ingress = compiled[kIngress].*of;
        part.egress = compiled[kEgress].*of;
        part.staged_ingress = compiled[kStagedIngress].*of;
        part.staged_egress = compiled[kStagedEgress].*of;
    };
    judge(endpoint->v4, &Compiled::v4);
    judge(endpoint->v6, &Compiled::v6);
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

/// What packets meet, but for who judges them.
std::shared_ptr<Endpoint> Workloads::endpoint_of(const Entry& entry) const {
    auto endpoint = std::make_shared<Endpoint>();
    endpoint->name = entry.workload.name;
    endpoint->active = entry.workload.active;
    endpoint->mac = entry.workload.mac.value_or(Mac{});
    endpoint->v4.addresses = entry.workload.addresses4;
    endpoint->v6.addresses = entry.workload.addresses6;
    endpoint->v4.spoofable = entry.workload.spoofable4;
    endpoint->v6.spoofable = entry.workload.spoofable6;
    endpoint->limits = limits(entry);
    endpoint->dscp = entry.workload.qos.dscp;
    return endpoint;
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
    const std::string& name = entry.workload.name;
    if (entry.in_force) {
        for_each_prefix(*entry.in_force, [&](const auto& prefix) {
            const bool kept = contains(entry.workload, prefix);
            if (!kept) {
                stop_serving({false, name}, prefix);
            }
            if (!kept || (entry.in_force->mac && !entry.workload.mac)) {
                slow_path_.remove_neighbor({entry.port, prefix.address()}, now);
            }
        });
        for_each_floating(*entry.in_force, [&](const FloatingAddress& one) {
            if (!entry.workload.active || std::ranges::count(entry.workload.floating, one) == 0) {
                stop_serving({true, name}, host_prefix(one.external));
                translate_no_more(entry, one.external);
            }
        });
    }
    entry.in_force = entry.workload;
    for_each_prefix(entry.workload, [&](const auto& prefix) {
        if (entry.workload.mac) {
            slow_path_.add_permanent({entry.port, prefix.address()}, *entry.workload.mac, now);
        }
        if (!entry.away) {
            serve({false, name}, prefix);
        }
    });
    for_each_floating(entry.workload, [&](const FloatingAddress& one) {
        if (!entry.away) {
            serve({true, name}, host_prefix(one.external));
        }
    });
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
        entry.error.empty() ? shared_addresses(entry) : entry.error,
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

/// The addresses that another endpoint has too, or that it cannot have, in words.
std::string Workloads::shared_addresses(const Entry& entry) const {
    std::string text;
    if (!entry.in_force) {
        return text;
    }
    const auto add = [&](const std::string& problem) {
        text += (text.empty() ? "" : "; ") + problem;
    };
    const auto tell_others = [&](bool floating, const IpPrefix& prefix) {
        const auto found = servers_.find(prefix);
        if (found == servers_.end() || found->second.names.size() < 2) {
            return;
        }
        const Server& first = *found->second.names.begin();
        const bool is_first = first == Server{floating, entry.workload.name};
        add(fmt::format(
            "{} is an address of {} too{}",
            prefix,
            is_first ? std::next(found->second.names.begin())->name : first.name,
            is_first ? "" : ", which gets its packets"));
    };
    for_each_prefix(*entry.in_force, [&](const IpPrefix& prefix) { tell_others(false, prefix); });
    for_each_floating(*entry.in_force, [&](const FloatingAddress& one) {
        const IpPrefix prefix = host_prefix(one.external);
        if (const std::string reason = reserved_floating(prefix); !reason.empty()) {
            add("ipNATs: " + reason);
        }
        tell_others(true, prefix);
    });
    return text;
}

}  // namespace vr
