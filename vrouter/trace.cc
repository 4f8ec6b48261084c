// SPDX-License-Identifier: Apache-2.0
#include "vrouter/trace.h"

#include <fmt/format.h>

#include <algorithm>

#include "vrouter/dataplane/dscp.h"
#include "vrouter/dataplane/link_local.h"
#include "vrouter/dataplane/parse.h"
#include "vrouter/net/format.h"
#include "vrouter/net/headers.h"
#include "vrouter/net/zone.h"
#include "vrouter/trace_walk.h"

namespace vr {

template <Family F>
TraceResult TraceWalk<F>::run() {
    if (check_route_ends() && check_source() && limit_sender() && route() && untracked() &&
        come_back() && limit_receiver() &&
        (track() ||
         (arrive() && egress() && ingress() && to_host() && depart() && has_room() && go_out())) &&
        result_.reason == DropReason::None) {
        leave();
    }
    result_.destination = destination_;
    return std::move(result_);
}

template <Family F>
bool TraceWalk<F>::check_route_ends() {
    const DropReason reason = check_addresses(source_, destination_);
    return reason == DropReason::None || drop("addresses", reason, std::string(meaning(reason)));
}

template <Family F>
bool TraceWalk<F>::check_source() {
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
            "source check", fmt::format("{} may send from {}, of others", endpoint->name, source_));
    }
    if (match == own.end()) {
        return drop(
            "source check",
            DropReason::SpoofedAddress,
            fmt::format("{} is not an address of {}", source_, endpoint->name));
    }
    return pass("source check", fmt::format("{} belongs to {}", source_, endpoint->name));
}

template <Family F>
bool TraceWalk<F>::may_spoof(const EndpointFamily<F>& endpoint) const {
    const std::uint32_t back = machine_.shared().routes<F>().lookup(source_);
    return !source_.is_link_local() && std::ranges::any_of(endpoint.spoofable, [&](const auto& p) {
        return p.contains(source_);
    }) && tables_.next_hops[back].kind != NextHopKind::Local;
}

template <Family F>
bool TraceWalk<F>::limit_sender() {
    if (const EndpointLimits* limits = limits_of(query_.in);
        limits != nullptr && limits->egress.limits_rates()) {
        note("rate limit", "egress of " + port_name(query_.in) + ": what is over it ends here");
    }
    return true;
}

template <Family F>
bool TraceWalk<F>::limit_receiver() {
    if (const EndpointLimits* limits = limits_of(hop_->workload);
        limits != nullptr && limits->ingress.limits_rates()) {
        note(
            "rate limit",
            "ingress of " + port_name(hop_->workload) + ": what is over it ends here");
    }
    return true;
}

template <Family F>
bool TraceWalk<F>::route() {
    const auto to = routed_destination(
        tables_, from_host() ? tables_.host_port : query_.in, source_, destination_);
    const auto view = machine_.routes().lookup(to);
    if (!view) {
        return drop("route", DropReason::NoRoute, fmt::format("nothing covers {}", destination_));
    }
    NextHopId id{machine_.shared().routes<F>().lookup(to)};
    hop_ = &tables_.next_hops[id.value()];
    if (hop_->kind == NextHopKind::Group) {
        note(
            "route",
            fmt::format(
                "{} next hops share the flows", machine_.routes().next_hops().members(id).size()));
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
    pass("route", hop_->port == PortId{} ? text : text + ", out of port " + port_name(hop_->port));
    return hop_->kind != NextHopKind::Floating || enter();
}

template <Family F>
bool TraceWalk<F>::enter() {
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

template <Family F>
void TraceWalk<F>::translate_source(const Translation<F>& translation) {
    result_.source = translation.external;
    note(
        "translation",
        fmt::format("the source {} becomes {}", translation.internal, translation.external));
}

template <Family F>
void TraceWalk<F>::leave() {
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
                "sent to {} out of port {}", Mac::load(hop_->link.data()), port_name(hop_->port)));
    } else {
        pass(
            "next hop", "held until its link address is resolved on port " + port_name(hop_->port));
    }
}

template <Family F>
void TraceWalk<F>::note_mark() {
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

template <Family F>
void TraceWalk<F>::deliver_local() {
    if (is_echo_request(facts_.protocol, facts_.icmp_type) && !from_host()) {
        pass("local", "an address of the router, which answers echo requests");
    } else if (hop_->port == PortId{}) {
        drop("local", DropReason::NoHostPath, "no host TAP is configured");
    } else {
        result_.out = hop_->port;
        pass("local", "an address of the router: to the host by " + port_name(hop_->port));
    }
}

template void TraceWalk<V4>::translate_source(const Translation<V4>& translation);
template void TraceWalk<V6>::translate_source(const Translation<V6>& translation);

TraceResult trace(Machine& machine, const TraceQuery& query) {
    return std::holds_alternative<Ip4>(query.source) ? TraceWalk<V4>{machine, query}.run()
                                                     : TraceWalk<V6>{machine, query}.run();
}

}  // namespace vr
