// A packet's way for `trace`: the stages of the pipeline in their order, each of which tells what it finds.
//
// trace.cc has the order, and where the packet goes; trace_flow.cc what known flows say, and
// translation in the host's name; trace_policy.cc what policy says.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>

#include "vrouter/dataplane/judge.h"
#include "vrouter/dataplane/parse.h"
#include "vrouter/machine.h"
#include "vrouter/net/headers.h"
#include "vrouter/trace.h"

namespace vr {

/// One walk.  Each stage returns false when the packet's way ends there.
template <Family F>
class TraceWalk {
  public:
    TraceWalk(Machine& machine, const TraceQuery& query)
        : machine_(machine),
          tables_(machine.tables()),
          query_(query),
          source_(std::get<typename F::Addr>(query.source)),
          destination_(std::get<typename F::Addr>(query.destination)),
          sent_to_(destination_) {
        facts_.protocol = query.protocol;
        facts_.has_ports = has_l4_ports(query.protocol);
        facts_.source_port = query.source_port;
        facts_.destination_port = query.destination_port;
        facts_.icmp_type = query.icmp_type;
        facts_.icmp_code = query.icmp_code;
        facts_.tcp_flags = query.protocol == ipproto::kTcp ? query.tcp_flags : std::uint8_t{0};
        facts_.icmp_error = query.protocol == kIcmp &&
                            is_icmp_error<F>(query.icmp_type);  // what it quotes is unknown
        facts_.length = query.length;
        result_.source = source_;
        result_.source_ports = {query.source_port, query.source_port};
    }

    TraceResult run();

  private:
    static constexpr std::uint8_t kIcmp = std::is_same_v<F, V4> ? ipproto::kIcmp : ipproto::kIcmp6;

    // trace.cc

    /// What parse() refuses whoever sends it.
    bool check_route_ends();
    bool check_source();

    /// As stage check_source says.
    [[nodiscard]] bool may_spoof(const EndpointFamily<F>& endpoint) const;

    /// Rates depend on what else comes: where they are asked is told, not what they say.
    bool limit_sender();
    bool limit_receiver();
    bool route();

    /// Goes on behind a floating address.
    bool enter();
    void translate_source(const Translation<F>& translation);
    void leave();

    /// As stage mark does.  Frames of the router itself come by no worker.
    void note_mark();
    void deliver_local();

    // trace_flow.cc

    /// natOutgoing: goes on to who began the flow that the packet answers.  Of SCTP it tells of what does not
    /// open an association.
    bool come_back();

    /// True when a known flow has decided already.
    bool track();

    /// track() for a flow that goes out in the host's name.
    bool follow_mapping(const FlowHit<F>& hit, const FlowEntry<F>* mapping);

    /// False when policy must judge; true, and dropped, when the packet cannot begin a flow.
    bool begins_flow();

    /// True, and dropped, when it was sent to a floating address and leaves no flow.
    bool cannot_be_answered();

    /// True, and dropped, when an address of this host or of its workloads comes from the fabric.
    bool borrows_address();

    /// A new flow counts against the sender, or the receiver when it comes from outside.
    bool has_room();

    /// Whether the endpoint behind a port, if any, may have one connection more.
    bool may_connect(PortId port, FlowSide side);

    /// natOutgoing: a new flow that leaves the pools goes out in the host's name.
    bool go_out();

    /// Whether the one place that a flow with its own ports may have for the world is free.
    bool has_outside(const typename F::Addr& address);

    /// Whether a host endpoint must know the flow.
    [[nodiscard]] bool followed() const;

    [[nodiscard]] bool is_stateless() const;

    // trace_policy.cc

    bool untracked();

    /// Host endpoints: may it come in by this port, and reach the host?
    bool arrive();
    bool egress();
    bool ingress();
    bool to_host();

    /// Host endpoints: may it leave by this port?
    bool depart();

    /// Of a workload to the host, before policy.
    [[nodiscard]] bool always_reaches() const;

    bool judge(
        const char* stage,
        const std::string& endpoint,
        const acl::Classifier<F>* classifier,
        DropReason denied);

    /// Asks a host endpoint; what it says nothing about goes on.
    bool ask(const HostPolicy* guard, HostHook hook);

    [[nodiscard]] acl::Verdict ask_classifier(
        const acl::Classifier<F>& classifier, typename F::Addr destination);

    /// Writes down a verdict and what decided it.
    bool tell(
        const std::string& stage,
        const std::string& endpoint,
        const acl::Classifier<F>& classifier,
        const acl::Verdict& verdict,
        DropReason denied);

    // What the stages ask and say

    [[nodiscard]] const PortEntry& in() const { return tables_.ports[query_.in.value()]; }

    [[nodiscard]] bool from_host() const {
        return query_.in == PortId{} || in().kind == PortKind::Host;
    }

    [[nodiscard]] std::string port_name(PortId id) const {
        const PortRecord* record = machine_.port(id);
        return record == nullptr ? "the router itself" : record->name;
    }

    [[nodiscard]] PortKind out_kind() const { return tables_.ports[hop_->port.value()].kind; }

    /// The limits of the endpoint behind a port; null: none.
    [[nodiscard]] const EndpointLimits* limits_of(PortId port) const {
        const Endpoint* endpoint = tables_.ports[port.value()].endpoint.get();
        return endpoint == nullptr ? nullptr : endpoint->limits.get();
    }

    [[nodiscard]] FlowKey<F> flow_key() const {
        return {
            source_, destination_, facts_.source_port, facts_.destination_port, facts_.protocol};
    }

    /// What guards a port towards the fabric, or null.
    [[nodiscard]] const HostPolicy* guard_of(PortId port) const {
        const PortEntry& entry = tables_.ports[port.value()];
        return entry.kind == PortKind::Fabric ? entry.guard.get() : nullptr;
    }

    /// What guards the port that it leaves by.
    [[nodiscard]] const HostPolicy* exit_guard() const { return guard_of(hop_->port); }

    void note(std::string stage, std::string detail) {
        result_.steps.push_back(
            {std::move(stage), TraceStep::Outcome::Note, std::move(detail), {}});
    }

    bool pass(std::string stage, std::string detail) {
        result_.steps.push_back(
            {std::move(stage), TraceStep::Outcome::Pass, std::move(detail), {}});
        return true;
    }

    bool drop(std::string stage, DropReason reason, std::string detail) {
        result_.steps.push_back(
            {std::move(stage), TraceStep::Outcome::Drop, std::move(detail), {}});
        result_.reason = reason;
        return false;
    }

    Machine& machine_;
    const Tables& tables_;
    const TraceQuery& query_;
    typename F::Addr source_;
    typename F::Addr destination_;
    typename F::Addr sent_to_;  ///< a floating address where `destination_` is what is behind it
    PacketFacts facts_;
    const Translation<F>* translation_ = nullptr;  ///< of `sent_to_`
    const NextHop* hop_ = nullptr;
    bool returned_ = false;      ///< to the host's address, in answer to a flow in its name
    bool meets_mapped_ = false;  ///< its flow would be that of one in the host's name
    bool accepted_ = false;      ///< by untracked or preDNAT policy: not asked again on that side
    bool flowless_ = false;      ///< untracked policy allowed it, or it is spoofed
    bool spoofed_ = false;       ///< from an address of others that the sender may use
    TraceResult result_;
};

}  // namespace vr
