// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "vrouter/dataplane/judge.h"
#include "vrouter/trace_walk.h"

namespace vr {

template <Family F>
bool TraceWalk<F>::untracked() {
    if (in().kind == PortKind::Fabric) {
        return ask(guard_of(query_.in), HostHook::UntrackedIngress);
    }
    return !from_host() || ask(exit_guard(), HostHook::UntrackedEgress);
}

template <Family F>
bool TraceWalk<F>::judge(
    const char* stage,
    const std::string& endpoint,
    const acl::Classifier<F>* classifier,
    DropReason denied) {
    if (classifier == nullptr) {
        return drop(stage, DropReason::PortClosed, "policy of " + endpoint + " is not in place");
    }
    return tell(stage, endpoint, *classifier, ask_classifier(*classifier, destination_), denied);
}

template <Family F>
acl::Verdict TraceWalk<F>::ask_classifier(
    const acl::Classifier<F>& classifier, typename F::Addr destination) {
    return classify_one<F>(
        classifier, acl_packet<F>(source_, destination, facts_), machine_.shared().groups<F>());
}

template <Family F>
bool TraceWalk<F>::tell(
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

template <Family F>
bool TraceWalk<F>::ask(const HostPolicy* guard, HostHook hook) {
    const acl::Classifier<F>* classifier = guard == nullptr ? nullptr : guard->at<F>(hook);
    if (classifier == nullptr) {
        return true;
    }
    const bool in = is_ingress(hook);
    const std::string stage = fmt::format("{} {} policy", name(hook), in ? "ingress" : "egress");
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

template <Family F>
bool TraceWalk<F>::arrive() {
    const HostPolicy* guard = guard_of(query_.in);
    const bool ends_here = hop_->kind == NextHopKind::Local;
    return accepted_ ||
           (ask(guard, HostHook::PreDnatIngress) &&
            (accepted_ ||
             ask(guard, ends_here ? HostHook::NormalIngress : HostHook::ForwardIngress)));
}

template <Family F>
bool TraceWalk<F>::depart() {
    if (from_host() && accepted_) {
        return true;
    }
    return ask(exit_guard(), from_host() ? HostHook::NormalEgress : HostHook::ForwardEgress);
}

template <Family F>
bool TraceWalk<F>::always_reaches() const {
    return in().kind == PortKind::Workload && hop_->kind == NextHopKind::Local &&
           always_reaches_host(acl_packet<F>(source_, destination_, facts_), tables_.rules);
}

template <Family F>
bool TraceWalk<F>::egress() {
    if (in().kind != PortKind::Workload || always_reaches()) {
        return true;
    }
    if (is_denied_tunnel(facts_.protocol, facts_.destination_port, tables_.rules)) {
        return drop("egress policy", DropReason::TunnelDenied, "VXLAN and IP-in-IP from workloads");
    }
    const Endpoint& endpoint = *in().endpoint;
    return judge(
        "egress policy",
        endpoint.name,
        endpoint.family<F>().egress.get(),
        DropReason::EgressDenied);
}

template <Family F>
bool TraceWalk<F>::ingress() {
    if (out_kind() != PortKind::Workload) {
        return true;
    }
    if (from_host()) {
        return pass("ingress policy", "not asked: the host may reach its workloads");
    }
    const Endpoint* endpoint = tables_.ports[hop_->port.value()].endpoint.get();
    if (endpoint == nullptr || !endpoint->active) {
        return drop("ingress policy", DropReason::PortClosed, port_name(hop_->port) + " is closed");
    }
    return judge(
        "ingress policy",
        endpoint->name,
        endpoint->family<F>().ingress.get(),
        DropReason::IngressDenied);
}

template <Family F>
bool TraceWalk<F>::to_host() {
    if (hop_->kind != NextHopKind::Local || in().kind != PortKind::Workload || always_reaches()) {
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

template bool TraceWalk<V4>::untracked();
template bool TraceWalk<V6>::untracked();
template bool TraceWalk<V4>::arrive();
template bool TraceWalk<V6>::arrive();
template bool TraceWalk<V4>::egress();
template bool TraceWalk<V6>::egress();
template bool TraceWalk<V4>::ingress();
template bool TraceWalk<V6>::ingress();
template bool TraceWalk<V4>::to_host();
template bool TraceWalk<V6>::to_host();
template bool TraceWalk<V4>::depart();
template bool TraceWalk<V6>::depart();

}  // namespace vr
