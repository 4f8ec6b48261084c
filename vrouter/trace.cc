// SPDX-License-Identifier: Apache-2.0
#include "vrouter/trace.h"

#include <fmt/format.h>

#include <algorithm>

#include "vrouter/dataplane/dscp.h"
#include "vrouter/dataplane/judge.h"
#include "vrouter/dataplane/link_local.h"
#include "vrouter/dataplane/nat_outgoing.h"
#include "vrouter/dataplane/parse.h"
#include "vrouter/net/format.h"
#include "vrouter/net/headers.h"
#include "vrouter/net/zone.h"

namespace vr {

namespace {

/// One walk.  Each stage returns false when the packet's way ends there.
template <Family F>
class Walk {
  public:
    Walk(Machine& machine, const TraceQuery& query)
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

    TraceResult run() {
        if (check_route_ends() && check_source() && limit_sender() && route() && untracked() &&
            come_back() && limit_receiver() &&
            (track() || (arrive() && egress() && ingress() && to_host() && depart() && has_room() &&
                         go_out())) &&
            result_.reason == DropReason::None) {
            leave();
        }
        result_.destination = destination_;
        return std::move(result_);
    }

  private:
    static constexpr std::uint8_t kIcmp = std::is_same_v<F, V4> ? ipproto::kIcmp : ipproto::kIcmp6;

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

    [[nodiscard]] const PortEntry& in() const { return tables_.ports[query_.in.value()]; }

    [[nodiscard]] bool from_host() const {
        return query_.in == PortId{} || in().kind == PortKind::Host;
    }

    [[nodiscard]] std::string port_name(PortId id) const {
        const PortRecord* record = machine_.port(id);
        return record == nullptr ? "the router itself" : record->name;
    }

    /// What parse() refuses whoever sends it.
    bool check_route_ends() {
        const DropReason reason = check_addresses(source_, destination_);
        return reason == DropReason::None ||
               drop("addresses", reason, std::string(meaning(reason)));
    }

    bool check_source() {
        if (from_host() || in().kind != PortKind::Workload) {
            return pass("source check", "none for " + port_name(query_.in));
        }
        const Endpoint* endpoint = in().endpoint.get();
        if (endpoint == nullptr || !endpoint->active) {
            return drop(
                "source check",
                DropReason::PortClosed,
                endpoint == nullptr ? "its policy is not in place yet" : "endpoint is down");
        }
        if (query_.source_mac && !endpoint->mac.is_zero() && *query_.source_mac != endpoint->mac) {
            return drop(
                "source check",
                DropReason::SpoofedMac,
                fmt::format(
                    "{} is not the MAC address of {}, {}",
                    *query_.source_mac,
                    endpoint->name,
                    endpoint->mac));
        }
        const auto& own = endpoint->family<F>().addresses;
        const auto match =
            std::ranges::find_if(own, [&](const auto& p) { return p.contains(source_); });
        if (match == own.end() && may_spoof(endpoint->family<F>())) {
            spoofed_ = true;
            return pass(
                "source check",
                fmt::format("{} may send from {}, of others", endpoint->name, source_));
        }
        if (match == own.end()) {
            return drop(
                "source check",
                DropReason::SpoofedAddress,
                fmt::format("{} is not an address of {}", source_, endpoint->name));
        }
        return pass("source check", fmt::format("{} belongs to {}", source_, endpoint->name));
    }

    /// As stage check_source says.
    [[nodiscard]] bool may_spoof(const EndpointFamily<F>& endpoint) const {
        const std::uint32_t back = machine_.shared().routes<F>().lookup(source_);
        return !source_.is_link_local() &&
               std::ranges::any_of(
                   endpoint.spoofable, [&](const auto& p) { return p.contains(source_); }) &&
               tables_.next_hops[back].kind != NextHopKind::Local;
    }

    /// The limits of the endpoint behind a port; null: none.
    [[nodiscard]] const EndpointLimits* limits_of(PortId port) const {
        const Endpoint* endpoint = tables_.ports[port.value()].endpoint.get();
        return endpoint == nullptr ? nullptr : endpoint->limits.get();
    }

    /// Rates depend on what else comes: where they are asked is told, not what they say.
    bool limit_sender() {
        if (const EndpointLimits* limits = limits_of(query_.in);
            limits != nullptr && limits->egress.limits_rates()) {
            note("rate limit", "egress of " + port_name(query_.in) + ": what is over it ends here");
        }
        return true;
    }

    bool limit_receiver() {
        if (const EndpointLimits* limits = limits_of(hop_->workload);
            limits != nullptr && limits->ingress.limits_rates()) {
            note(
                "rate limit",
                "ingress of " + port_name(hop_->workload) + ": what is over it ends here");
        }
        return true;
    }

    bool route() {
        const auto to = routed_destination(
            tables_, from_host() ? tables_.host_port : query_.in, source_, destination_);
        const auto view = machine_.routes().lookup(to);
        if (!view) {
            return drop(
                "route", DropReason::NoRoute, fmt::format("nothing covers {}", destination_));
        }
        NextHopId id{machine_.shared().routes<F>().lookup(to)};
        hop_ = &tables_.next_hops[id.value()];
        if (hop_->kind == NextHopKind::Group) {
            note(
                "route",
                fmt::format(
                    "{} next hops share the flows",
                    machine_.routes().next_hops().members(id).size()));
            id = tables_.groups[hop_->group].front();
            hop_ = &tables_.next_hops[id.value()];
        }
        const std::string text = fmt::format(
            "{} ({}), {}",
            without_zone(IpPrefix{view->prefix}),
            to_string(view->source),
            to_string(view->target));
        const bool link_local = source_.is_link_local() || destination_.is_link_local();
        const bool forged = is_forged_link_local(source_) || is_forged_link_local(destination_);
        if (forged || (link_local && hop_->kind != NextHopKind::Local && !from_host())) {
            return drop(
                "route", DropReason::MartianAddress, "link-local traffic is not routed: " + text);
        }
        if (hop_->kind == NextHopKind::Discard) {
            return drop("route", DropReason::Discarded, text);
        }
        pass(
            "route",
            hop_->port == PortId{} ? text : text + ", out of port " + port_name(hop_->port));
        return hop_->kind != NextHopKind::Floating || enter();
    }

    /// Goes on behind a floating address.
    bool enter() {
        translation_ = find_translation<F>(tables_, hop_->workload, hop_->translation);
        if (translation_ == nullptr) {
            return drop(
                "translation", DropReason::PortClosed, port_name(hop_->workload) + " is closed");
        }
        const bool by_owner = query_.in == hop_->workload;
        if (by_owner && source_ != translation_->internal) {
            return drop(
                "translation",
                DropReason::NotTranslated,
                fmt::format("{} is another address of the same endpoint", source_));
        }
        destination_ = translation_->internal;
        hop_ = &tables_.next_hops[hop_->group];
        if (by_owner) {
            translate_source(*translation_);
        }
        return pass(
            "translation",
            fmt::format("the destination {} becomes {}", sent_to_, translation_->internal));
    }

    void translate_source(const Translation<F>& translation) {
        result_.source = translation.external;
        note(
            "translation",
            fmt::format("the source {} becomes {}", translation.internal, translation.external));
    }

    [[nodiscard]] FlowKey<F> flow_key() const {
        return {
            source_, destination_, facts_.source_port, facts_.destination_port, facts_.protocol};
    }

    /// natOutgoing: goes on to who began the flow that the packet answers.  Of SCTP it tells of what does not
    /// open an association.
    bool come_back() {
        if (!tables_.maps_ports || accepted_ || in().kind != PortKind::Fabric ||
            hop_->kind != NextHopKind::Local || facts_.icmp_error || opens_connection(facts_)) {
            return true;
        }
        const FlowTable<F>& flows = machine_.shared().flows<F>();
        const FlowKey<F> key = flow_key();
        FlowHit<F> hit;
        flows.lookup_mappings(&key, &hit, 1);
        const FlowEntry<F>* flow =
            hit.entry != nullptr && hit.reply && may_belong(facts_, hit.reply)
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

    /// natOutgoing: a new flow that leaves the pools goes out in the host's name.
    bool go_out() {
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
        const auto address =
            outgoing_address<F>(tables_, machine_.shared().routes<F>(), hop_->port);
        if (!address) {
            return drop(
                "translation",
                DropReason::NatNoAddress,
                std::string(meaning(DropReason::NatNoAddress)));
        }
        result_.source = *address;
        result_.source_ports = outside_ports(*nat, flow_key());
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

    /// Whether the one place that a flow with its own ports may have for the world is free.
    bool has_outside(const typename F::Addr& address) {
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

    /// What guards a port towards the fabric, or null.
    [[nodiscard]] const HostPolicy* guard_of(PortId port) const {
        const PortEntry& entry = tables_.ports[port.value()];
        return entry.kind == PortKind::Fabric ? entry.guard.get() : nullptr;
    }

    /// What guards the port that it leaves by.
    [[nodiscard]] const HostPolicy* exit_guard() const { return guard_of(hop_->port); }

    bool untracked() {
        if (in().kind == PortKind::Fabric) {
            return ask(guard_of(query_.in), HostHook::UntrackedIngress);
        }
        return !from_host() || ask(exit_guard(), HostHook::UntrackedEgress);
    }

    /// Whether a host endpoint must know the flow.
    [[nodiscard]] bool followed() const {
        const HostPolicy* in_guard = guard_of(query_.in);
        const bool ends_here = hop_->kind == NextHopKind::Local;
        return (in_guard != nullptr && (ends_here || in_guard->follows_transit)) ||
               (exit_guard() != nullptr && (from_host() || exit_guard()->follows_transit));
    }

    /// True when a known flow has decided already.
    bool track() {
        if (accepted_) {
            flowless_ = true;
            note("flow", "none: allowed without one");
            return borrows_address() || cannot_be_answered();
        }
        if (spoofed_) {
            if (facts_.icmp_error && tables_.rules.drop_invalid) {
                return drop(
                    "flow", DropReason::FlowInvalid, "no flow is known that it could be about");
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
        return pass(
            "flow", hit.reply ? "reply of an allowed connection" : "of an allowed connection");
    }

    /// track() for a flow that goes out in the host's name.
    bool follow_mapping(const FlowHit<F>& hit, const FlowEntry<F>* mapping) {
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
                    "the source becomes {} port {}",
                    mapping->key.source,
                    mapping->key.source_port));
        }
        return pass(
            "flow", hit.reply ? "reply of an allowed connection" : "of an allowed connection");
    }

    /// False when policy must judge; true, and dropped, when the packet cannot begin a flow.
    bool begins_flow() {
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

    [[nodiscard]] bool is_stateless() const {
        const bool icmp = facts_.protocol == ipproto::kIcmp || facts_.protocol == ipproto::kIcmp6;
        return icmp &&
               (facts_.protocol != kIcmp || !is_echo_request(facts_.protocol, facts_.icmp_type));
    }

    /// True, and dropped, when it was sent to a floating address and leaves no flow.
    bool cannot_be_answered() {
        if (translation_ == nullptr) {
            return false;
        }
        drop(
            "translation",
            DropReason::NotTranslated,
            fmt::format("no flow would translate the answer to {}", sent_to_));
        return true;
    }

    /// True, and dropped, when an address of this host or of its workloads comes from the fabric.
    bool borrows_address() {
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

    [[nodiscard]] PortKind out_kind() const { return tables_.ports[hop_->port.value()].kind; }

    bool judge(
        const char* stage,
        const std::string& endpoint,
        const acl::Classifier<F>* classifier,
        DropReason denied) {
        if (classifier == nullptr) {
            return drop(
                stage, DropReason::PortClosed, "policy of " + endpoint + " is not in place");
        }
        return tell(
            stage, endpoint, *classifier, ask_classifier(*classifier, destination_), denied);
    }

    [[nodiscard]] acl::Verdict ask_classifier(
        const acl::Classifier<F>& classifier, typename F::Addr destination) {
        return classify_one<F>(
            classifier, acl_packet<F>(source_, destination, facts_), machine_.shared().groups<F>());
    }

    /// Writes down a verdict and what decided it.
    bool tell(
        const std::string& stage,
        const std::string& endpoint,
        const acl::Classifier<F>& classifier,
        const acl::Verdict& verdict,
        DropReason denied) {
        TraceStep step{
            stage, verdict.allow ? TraceStep::Outcome::Pass : TraceStep::Outcome::Drop, "", {}};
        if (verdict.rule == acl::Verdict::kFellOff) {
            step.detail = endpoint + ": no rule allows it";
        } else {
            const acl::Program& program = classifier.program();
            step.origin = program.origins[program.rules[verdict.rule].origin];
            step.detail = fmt::format(
                "{}: {} by {}{}",
                endpoint,
                verdict.allow                            ? "allowed"
                : verdict.reject || tables_.rules.reject ? "rejected"
                                                         : "denied",
                step.origin->policy,
                step.origin->rule < 0 ? "" : fmt::format(" rule {}", step.origin->rule));
        }
        result_.steps.push_back(std::move(step));
        if (!verdict.allow) {
            result_.reason = denied;
        }
        return verdict.allow;
    }

    /// Asks a host endpoint; what it says nothing about goes on.
    bool ask(const HostPolicy* guard, HostHook hook) {
        const acl::Classifier<F>* classifier = guard == nullptr ? nullptr : guard->at<F>(hook);
        if (classifier == nullptr) {
            return true;
        }
        const bool in = is_ingress(hook);
        const std::string stage =
            fmt::format("{} {} policy", name(hook), in ? "ingress" : "egress");
        const acl::Verdict verdict =
            ask_classifier(*classifier, may_be_silent(hook) ? sent_to_ : destination_);
        if (may_be_silent(hook) && !verdict.allow && verdict.rule == acl::Verdict::kFellOff) {
            note(stage, guard->name + ": says nothing");
            return true;
        }
        if (may_be_silent(hook)) {
            accepted_ = verdict.allow;
        }
        return tell(
            stage,
            guard->name,
            *classifier,
            verdict,
            in ? DropReason::HostIngressDenied : DropReason::HostEgressDenied);
    }

    /// Host endpoints: may it come in by this port, and reach the host?
    bool arrive() {
        const HostPolicy* guard = guard_of(query_.in);
        const bool ends_here = hop_->kind == NextHopKind::Local;
        return accepted_ ||
               (ask(guard, HostHook::PreDnatIngress) &&
                (accepted_ ||
                 ask(guard, ends_here ? HostHook::NormalIngress : HostHook::ForwardIngress)));
    }

    /// Host endpoints: may it leave by this port?
    bool depart() {
        if (from_host() && accepted_) {
            return true;
        }
        return ask(exit_guard(), from_host() ? HostHook::NormalEgress : HostHook::ForwardEgress);
    }

    /// Of a workload to the host, before policy.
    [[nodiscard]] bool always_reaches() const {
        return in().kind == PortKind::Workload && hop_->kind == NextHopKind::Local &&
               always_reaches_host(acl_packet<F>(source_, destination_, facts_), tables_.rules);
    }

    bool egress() {
        if (in().kind != PortKind::Workload || always_reaches()) {
            return true;
        }
        if (is_denied_tunnel(facts_.protocol, facts_.destination_port, tables_.rules)) {
            return drop(
                "egress policy", DropReason::TunnelDenied, "VXLAN and IP-in-IP from workloads");
        }
        const Endpoint& endpoint = *in().endpoint;
        return judge(
            "egress policy",
            endpoint.name,
            endpoint.family<F>().egress.get(),
            DropReason::EgressDenied);
    }

    bool ingress() {
        if (out_kind() != PortKind::Workload) {
            return true;
        }
        if (from_host()) {
            return pass("ingress policy", "not asked: the host may reach its workloads");
        }
        const Endpoint* endpoint = tables_.ports[hop_->port.value()].endpoint.get();
        if (endpoint == nullptr || !endpoint->active) {
            return drop(
                "ingress policy", DropReason::PortClosed, port_name(hop_->port) + " is closed");
        }
        return judge(
            "ingress policy",
            endpoint->name,
            endpoint->family<F>().ingress.get(),
            DropReason::IngressDenied);
    }

    bool to_host() {
        if (hop_->kind != NextHopKind::Local || in().kind != PortKind::Workload ||
            always_reaches()) {
            return true;
        }
        switch (tables_.rules.to_host) {
            case EndpointToHost::Drop:
                return drop(
                    "endpoint to host",
                    DropReason::HostDenied,
                    "the action is drop: workloads do not reach the host itself");
            case EndpointToHost::Return:
                return ask(tables_.any_interface.get(), HostHook::NormalIngress);
            case EndpointToHost::Accept:
                break;
        }
        return true;
    }

    /// A new flow counts against the sender, or the receiver when it comes from outside.
    bool has_room() {
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
                fmt::format(
                    "{} has {} flows already (flows.per_endpoint)", port_name(owner), held));
        }
        return facts_.protocol != ipproto::kTcp || from_host() ||
               (may_connect(query_.in, FlowSide::Sender) &&
                may_connect(hop_->workload, FlowSide::Receiver));
    }

    /// Whether the endpoint behind a port, if any, may have one connection more.
    bool may_connect(PortId port, FlowSide side) {
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

    void leave() {
        if (hop_->kind == NextHopKind::Local) {
            deliver_local();
            return;
        }
        if (facts_.length > hop_->mtu) {
            drop(
                "mtu",
                DropReason::TooBig,
                fmt::format("{} bytes do not fit {}", facts_.length, hop_->mtu));
            return;
        }
        note_mark();
        result_.out = hop_->port;
        if (hop_->kind == NextHopKind::Forward) {
            pass(
                "next hop",
                fmt::format(
                    "sent to {} out of port {}",
                    Mac::load(hop_->link.data()),
                    port_name(hop_->port)));
        } else {
            pass(
                "next hop",
                "held until its link address is resolved on port " + port_name(hop_->port));
        }
    }

    /// As stage mark does.  Frames of the router itself come by no worker.
    void note_mark() {
        if (query_.in == PortId{}) {
            return;
        }
        const Endpoint* endpoint = in().endpoint.get();
        const HostPolicy* guard = from_host() ? exit_guard() : nullptr;
        const auto dscp = guard != nullptr      ? guard->dscp
                          : endpoint != nullptr ? endpoint->dscp
                                                : std::nullopt;
        if (!dscp || hop_->workload != PortId{}) {
            return;
        }
        const bool stays = is_in_cluster(*machine_.shared().groups<F>().lookup(destination_));
        result_.dscp = stays ? std::nullopt : dscp;
        note(
            "DSCP",
            stays ? fmt::format("{} is in the cluster: stays as it is", destination_)
                  : fmt::format("becomes {}: leaves the cluster", *dscp));
    }

    void deliver_local() {
        if (is_echo_request(facts_.protocol, facts_.icmp_type) && !from_host()) {
            pass("local", "an address of the router, which answers echo requests");
        } else if (hop_->port == PortId{}) {
            drop("local", DropReason::NoHostPath, "no host TAP is configured");
        } else {
            result_.out = hop_->port;
            pass("local", "an address of the router: to the host by " + port_name(hop_->port));
        }
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

}  // namespace

TraceResult trace(Machine& machine, const TraceQuery& query) {
    return std::holds_alternative<Ip4>(query.source) ? Walk<V4>{machine, query}.run()
                                                     : Walk<V6>{machine, query}.run();
}

}  // namespace vr
