// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "vrouter/dataplane/nat_outgoing.h"
#include "vrouter/net/format.h"
#include "vrouter/trace_walk.h"

namespace vr {

template <Family F>
bool TraceWalk<F>::come_back() {
    if (!tables_.maps_ports || accepted_ || in().kind != PortKind::Fabric ||
        hop_->kind != NextHopKind::Local || facts_.icmp_error || opens_connection(facts_)) {
        return true;
    }
    const FlowTable<F>& flows = machine_.shared().flows<F>();
    const FlowKey<F> key = flow_key();
    FlowHit<F> hit;
    flows.lookup_mappings(&key, &hit, 1);
    const FlowEntry<F>* flow = hit.entry != nullptr && hit.reply && may_belong(facts_, hit.reply)
                                   ? flows.twin(*hit.entry)
                                   : nullptr;
    if (flow == nullptr) {
        return true;
    }
    hop_ = &tables_.next_hops[machine_.shared().routes<F>().lookup(flow->key.source)];
    if (hop_->workload != flow->from || hop_->kind == NextHopKind::Floating) {
        return drop("translation", DropReason::FlowMoved, "the flow's sender is elsewhere now");
    }
    returned_ = true;
    destination_ = flow->key.source;
    facts_.destination_port = flow->key.source_port;
    return pass(
        "translation",
        fmt::format(
            "answers a flow in the host's name: the destination becomes {} port {}, at {}",
            destination_,
            facts_.destination_port,
            port_name(flow->from)));
}

template <Family F>
bool TraceWalk<F>::go_out() {
    if (meets_mapped_) {
        return drop(
            "flow", DropReason::FlowMoved, "the guest could not tell it from the known one");
    }
    const auto& nat = tables_.rules.nat_outgoing;
    if (!nat || in().kind != PortKind::Workload || hop_->workload != PortId{} ||
        hop_->kind == NextHopKind::Local ||
        !leaves_pools<F>(*nat, machine_.shared().groups<F>(), source_, destination_)) {
        return true;
    }
    if (is_stateless() || spoofed_) {
        return drop(
            "translation",
            DropReason::NotTranslated,
            "out in the host's name, but nothing would tell to whom an answer is");
    }
    if (covers_address(facts_.protocol)) {
        return drop(
            "translation",
            DropReason::NotTranslated,
            "out in the host's name, but would arrive broken");
    }
    const auto address = outgoing_address<F>(tables_, machine_.shared().routes<F>(), hop_->port);
    if (!address) {
        return drop(
            "translation",
            DropReason::NatNoAddress,
            std::string(meaning(DropReason::NatNoAddress)));
    }
    result_.source = *address;
    result_.source_ports = outside_ports(*nat, flow_key());
    if (*address == source_ &&
        result_.source_ports == acl::PortRange{facts_.source_port, facts_.source_port}) {
        return drop(
            "translation",
            DropReason::NatPortsExhausted,
            "goes by the host's address and its port already: an answer would be the host's");
    }
    if (!changes_ports(facts_.protocol)) {
        return has_outside(*address) &&
               pass("translation", fmt::format("the source becomes {}", *address));
    }
    return pass(
        "translation",
        fmt::format(
            "the source becomes {}, a port of {} to {}",
            *address,
            nat->first_port,
            nat->last_port));
}

template <Family F>
bool TraceWalk<F>::has_outside(const typename F::Addr& address) {
    FlowKey<F> outside = flow_key();
    outside.source = address;
    FlowHit<F> hit;
    machine_.shared().flows<F>().lookup_any(&outside, &hit, 1);
    return hit.entry == nullptr ||
           drop(
               "translation",
               DropReason::NatPortsExhausted,
               fmt::format("another flow goes out as {} to {}", address, destination_));
}

template <Family F>
bool TraceWalk<F>::followed() const {
    const HostPolicy* in_guard = guard_of(query_.in);
    const bool ends_here = hop_->kind == NextHopKind::Local;
    return (in_guard != nullptr && (ends_here || in_guard->follows_transit)) ||
           (exit_guard() != nullptr && (from_host() || exit_guard()->follows_transit));
}

template <Family F>
bool TraceWalk<F>::track() {
    if (accepted_) {
        flowless_ = true;
        note("flow", "none: allowed without one");
        return borrows_address() || cannot_be_answered();
    }
    if (spoofed_) {
        if (facts_.icmp_error && tables_.rules.drop_invalid) {
            return drop("flow", DropReason::FlowInvalid, "no flow is known that it could be about");
        }
        flowless_ = true;
        note("flow", "none: of a spoofed source, policy judges each packet");
        return cannot_be_answered();
    }
    const bool policed =
        in().kind == PortKind::Workload || out_kind() == PortKind::Workload || followed();
    if (!policed) {
        note("flow", "none needed: nobody polices both sides");
        return true;
    }
    const FlowKey<F> key = flow_key();
    FlowHit<F> hit;
    machine_.shared().flows<F>().lookup_bulk(&key, &hit, 1);
    if (hit.entry == nullptr || facts_.icmp_error || !may_belong(facts_, hit.reply) ||
        begins_anew(*hit.entry, facts_)) {
        return begins_flow();
    }
    const auto side = [&](PortKind kind, PortId port) {
        return kind == PortKind::Workload ? port : PortId{};
    };
    const FlowEntry<F>& flow = *hit.entry;
    const PortId sender = hit.reply ? flow.to : flow.from;
    const PortId receiver = hit.reply ? flow.from : flow.to;
    // The host's flows were not policed: nobody else may send on them in its name.
    const bool foreign = flow.from_host && !hit.reply && !from_host();
    if (foreign || sender != side(in().kind, query_.in) ||
        receiver != side(out_kind(), hop_->port)) {
        drop("flow", DropReason::FlowMoved, "was allowed between other endpoints");
        return true;
    }
    if (const auto* mapping = machine_.shared().flows<F>().twin(flow);
        mapping != nullptr || returned_) {
        return follow_mapping(hit, mapping);
    }
    const bool to_itself = flow.key.source == flow.key.destination;
    const TranslationId came_by = translation_ != nullptr ? translation_->id : TranslationId{};
    if (came_by != (hit.reply && !to_itself ? TranslationId{} : flow.translation)) {
        if (cannot_begin_flow(facts_)) {
            drop("flow", DropReason::FlowInvalid, "the known one came by another address");
            return true;
        }
        note("flow", "one between the same ends came by another address");
        return begins_flow();
    }
    const bool loose = flow.from == PortId{} && flow.to == PortId{};
    if (loose && hit.reply && borrows_address()) {
        return true;
    }
    if (translation_ == nullptr && flow.translation != TranslationId{}) {
        const auto* translation = find_translation<F>(tables_, flow.to, flow.translation);
        if (translation == nullptr) {
            drop("flow", DropReason::FlowMoved, "its floating address is no longer there");
            return true;
        }
        translate_source(*translation);
    }
    return pass("flow", hit.reply ? "reply of an allowed connection" : "of an allowed connection");
}

template <Family F>
bool TraceWalk<F>::follow_mapping(const FlowHit<F>& hit, const FlowEntry<F>* mapping) {
    if (hit.reply != returned_) {
        if (cannot_begin_flow(facts_)) {
            drop("flow", DropReason::FlowInvalid, "the known one goes by the host's address");
            return true;
        }
        note("flow", "one between the same ends goes by the host's address");
        meets_mapped_ = translation_ == nullptr;
        return begins_flow();
    }
    if (!returned_) {
        result_.source = mapping->key.source;
        result_.source_ports = {mapping->key.source_port, mapping->key.source_port};
        note(
            "translation",
            fmt::format(
                "the source becomes {} port {}", mapping->key.source, mapping->key.source_port));
    }
    return pass("flow", hit.reply ? "reply of an allowed connection" : "of an allowed connection");
}

template <Family F>
bool TraceWalk<F>::begins_flow() {
    if (returned_) {
        drop("flow", DropReason::FlowMoved, "that has ended");
        return true;
    }
    if (tables_.rules.drop_invalid && cannot_begin_flow(facts_)) {
        drop("flow", DropReason::FlowInvalid, "not known, and such a packet begins none");
        return true;
    }
    note("flow", "not known: policy judges");
    return borrows_address() || (is_stateless() && cannot_be_answered());
}

template <Family F>
bool TraceWalk<F>::is_stateless() const {
    const bool icmp = facts_.protocol == ipproto::kIcmp || facts_.protocol == ipproto::kIcmp6;
    return icmp &&
           (facts_.protocol != kIcmp || !is_echo_request(facts_.protocol, facts_.icmp_type));
}

template <Family F>
bool TraceWalk<F>::cannot_be_answered() {
    if (translation_ == nullptr) {
        return false;
    }
    drop(
        "translation",
        DropReason::NotTranslated,
        fmt::format("no flow would translate the answer to {}", sent_to_));
    return true;
}

template <Family F>
bool TraceWalk<F>::borrows_address() {
    const std::uint32_t back = machine_.shared().routes<F>().lookup(source_);
    const NextHop& hop = tables_.next_hops[back];
    const PortId owner = hop.port;
    if (in().kind != PortKind::Fabric ||
        (hop.kind != NextHopKind::Local &&
         tables_.ports[owner.value()].kind != PortKind::Workload)) {
        return false;
    }
    drop(
        "source check",
        DropReason::SpoofedAddress,
        fmt::format("{} belongs to {} of this host", source_, port_name(owner)));
    return true;
}

template <Family F>
bool TraceWalk<F>::has_room() {
    const auto workload = [](PortKind kind, PortId port) {
        return kind == PortKind::Workload ? port : PortId{};
    };
    const PortId owner =
        owner_of(workload(in().kind, query_.in), workload(out_kind(), hop_->port), from_host());
    const std::size_t held = machine_.shared().flows<F>().held_by(owner);
    if (flowless_ || is_stateless()) {
        return true;
    }
    if (owner != PortId{} && held >= tables_.flows_per_endpoint) {
        return drop(
            "flow",
            DropReason::FlowQuota,
            fmt::format("{} has {} flows already (flows.per_endpoint)", port_name(owner), held));
    }
    return facts_.protocol != ipproto::kTcp || from_host() ||
           (may_connect(query_.in, FlowSide::Sender) &&
            may_connect(hop_->workload, FlowSide::Receiver));
}

template <Family F>
bool TraceWalk<F>::may_connect(PortId port, FlowSide side) {
    const EndpointLimits* limits = limits_of(port);
    if (limits == nullptr) {
        return true;
    }
    const bool sends = side == FlowSide::Sender;
    const std::uint64_t most = (sends ? limits->egress : limits->ingress).connections;
    const std::size_t held = machine_.shared().connections(port, side);
    if (most == 0 || held < most) {
        return true;
    }
    return drop(
        "flow",
        DropReason::ConnectionLimit,
        fmt::format(
            "{} has {} connections already ({}MaxConnections)",
            port_name(port),
            held,
            sends ? "egress" : "ingress"));
}

template bool TraceWalk<V4>::come_back();
template bool TraceWalk<V6>::come_back();
template bool TraceWalk<V4>::track();
template bool TraceWalk<V6>::track();
template bool TraceWalk<V4>::has_room();
template bool TraceWalk<V6>::has_room();
template bool TraceWalk<V4>::go_out();
template bool TraceWalk<V6>::go_out();

}  // namespace vr
