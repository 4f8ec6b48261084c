// SPDX-License-Identifier: Apache-2.0
#include "policy/trial_run.h"

#include <cstdlib>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "policy/floating.h"
#include "policy/graph.h"
#include "policy/origin.h"
#include "policy/walk.h"
#include "vrouter/dataplane/classifier.h"
#include "vrouter/dataplane/groups.h"
#include "vrouter/dataplane/reclaim.h"
#include "vrouter/workload.h"

namespace vr::policy {

namespace {

/// What a router's workers would look packets up in, without workers and packets.
class Tables final : public WorkloadSink {
  public:
    void add_member(GroupId group, const IpPrefix& member) override {
        std::visit(
            [&]<Family F>(const Prefix<F>& prefix) { groups<F>().add(group, prefix); }, member);
    }

    void remove_member(GroupId group, const IpPrefix& member) override {
        std::visit(
            [&]<Family F>(const Prefix<F>& prefix) { groups<F>().remove(group, prefix); }, member);
    }

    bool refresh_members() override {
        constexpr std::size_t kMany = 65536;
        groups4_.refresh(kMany);
        groups6_.refresh(kMany);
        return !groups4_.is_settled() || !groups6_.is_settled();
    }

    void update_workload(const Workload& workload) override {
        workloads_.insert_or_assign(workload.name, workload);
    }

    void remove_workload(const std::string& name) override { workloads_.erase(name); }

    void replace_programs(const ReplacedPrograms& replaced) override {
        for (auto& [name, workload] : workloads_) {
            workload.replace_programs(replaced);
        }
    }

    void update_host(const HostGuard& guard) override {
        hosts_.insert_or_assign(guard.name, guard);
    }

    void remove_host(const std::string& name) override { hosts_.erase(name); }

    void set_workload_rules(const WorkloadRules& /*rules*/) override {}

    /// Null when no host endpoint is called so.
    [[nodiscard]] const HostGuard* find_host(const std::string& name) const {
        const auto found = hosts_.find(name);
        return found == hosts_.end() ? nullptr : &found->second;
    }

    /// Null when the endpoint forwards nothing.
    [[nodiscard]] const Workload* find(const std::string& name) const {
        const auto found = workloads_.find(name);
        return found == workloads_.end() ? nullptr : &found->second;
    }

    template <Family F>
    [[nodiscard]] GroupTable<F>& groups() {
        if constexpr (std::is_same_v<F, V4>) {
            return groups4_;
        } else {
            return groups6_;
        }
    }

  private:
    ImmediateReclaimer reclaimer_;
    GroupTable<V4> groups4_{reclaimer_};
    GroupTable<V6> groups6_{reclaimer_};
    std::map<std::string, Workload> workloads_;
    std::map<std::string, HostGuard> hosts_;
};

/// One host of the trial's cluster.
struct Host {
    explicit Host(const std::string& node, const Trial& trial) : graph(node, tables) {
        Batch batch;
        for (const auto& object : trial.objects) {
            batch.events.emplace_back(Upsert{object});
        }
        batch.events.emplace_back(InSync{});
        graph.on(batch);
    }

    Tables tables;
    Graph graph;
};

template <Family F>
acl::Packet<F> to_packet(const Sample& sample) {
    return {
        .source = std::get<typename F::Addr>(sample.source),
        .destination = std::get<typename F::Addr>(sample.destination),
        .source_port = sample.source_port,
        .destination_port = sample.destination_port,
        .protocol = sample.protocol,
        .icmp_type = sample.icmp_type,
        .icmp_code = sample.icmp_code,
        .has_ports = sample.has_ports};
}

class Court {
  public:
    explicit Court(const Trial& trial) : trial_(&trial) {}

    CaseResult judge(const TrialCase& c) {
        return c.packet.is_ip6() ? judge_family<V6>(c) : judge_family<V4>(c);
    }

  private:
    template <Family F>
    CaseResult judge_family(const TrialCase& c) {
        const auto packet = to_packet<F>(c.packet);
        if (c.key.kind == Kind::HostEndpoint) {
            return judge_host(c, packet);
        }
        const acl::Packet<F> translated = behind<F>(c, packet);
        const Decision wanted =
            policy::judge<F>(trial_->objects, c.key, c.direction, translated, c.flow);
        CaseResult result = compiled<F>(c, translated);
        result.reference = ruling(wanted.allow, wanted.reject);
        result.reference_by = wanted.by;
        return result;
    }

    template <Family F>
    CaseResult compiled(const TrialCase& c, const acl::Packet<F>& packet) {
        Tables& tables = host_of(c.key).tables;
        const Workload* workload = tables.find(c.key.ns + "/" + c.key.name);
        if (workload == nullptr || !workload->active) {
            return {.by = inactive_endpoint()};
        }
        if (c.flow == FlowState::Established) {
            return {.compiled = Ruling::Allow, .by = established_flow()};
        }
        const auto& program =
            c.direction == Direction::Ingress ? workload->ingress : workload->egress;
        const acl::Verdict verdict = classify(tables, program, packet);
        return {
            .compiled = ruling(verdict.allow, verdict.reject),
            .by = origin_of(*program, verdict).value_or(acl::Origin{})};
    }

    /// As policy of workloads sees it: floating addresses of the endpoint's host are translated before.
    template <Family F>
    acl::Packet<F> behind(const TrialCase& c, acl::Packet<F> packet) {
        const auto internal =
            behind_floating(trial_->objects, node_of(object_of(c.key)), IpAddr{packet.destination});
        if (internal) {
            packet.destination = std::get<typename F::Addr>(*internal);
        }
        return packet;
    }

    /// POLICY 2.6: what comes in meets untracked policy, then the flow table, then preDNAT policy, then
    /// what is normal or, passed on, what is for that; the first that is not silent decides.  What the
    /// host itself sends meets the first, second and fourth, what it passes on, going out, the second and
    /// fourth.
    template <Family F>
    CaseResult judge_host(const TrialCase& c, const acl::Packet<F>& packet) {
        const acl::Packet<F> translated =
            c.path == HostPath::Forwarded ? behind<F>(c, packet) : packet;
        const auto as_seen = [&](HostHook hook) -> const acl::Packet<F>& {
            return may_be_silent(hook) ? packet : translated;
        };
        const auto wanted = first_word(c, [&](HostHook hook) {
            return policy::judge<F>(trial_->objects, c.key, hook, as_seen(hook));
        });
        const auto said =
            first_word(c, [&](HostHook hook) { return compiled_host(c, hook, as_seen(hook)); });
        return {
            .compiled = ruling(said.allow, said.reject),
            .reference = ruling(wanted.allow, wanted.reject),
            .by = said.by,
            .reference_by = wanted.by};
    }

    template <typename Ask>
    static Decision first_word(const TrialCase& c, Ask ask) {
        const bool in = c.direction == Direction::Ingress;
        const bool passed_on = c.path == HostPath::Forwarded;
        if (in || !passed_on) {
            const Decision untracked =
                ask(in ? HostHook::UntrackedIngress : HostHook::UntrackedEgress);
            if (!untracked.silent) {
                return untracked;
            }
        }
        if (c.flow == FlowState::Established) {
            return {.allow = true, .by = established_flow()};
        }
        if (in) {
            const Decision before_dnat = ask(HostHook::PreDnatIngress);
            if (!before_dnat.silent) {
                return before_dnat;
            }
        }
        if (passed_on) {
            return ask(in ? HostHook::ForwardIngress : HostHook::ForwardEgress);
        }
        return ask(in ? HostHook::NormalIngress : HostHook::NormalEgress);
    }

    template <Family F>
    Decision compiled_host(const TrialCase& c, HostHook hook, const acl::Packet<F>& packet) {
        Tables& tables = host_of(c.key).tables;
        const HostGuard* guard = tables.find_host(c.key.name);
        const auto program = guard == nullptr ? nullptr : guard->program(hook);
        if (!program) {
            return is_forward(hook) ? Decision{.allow = true, .by = end_of_forward_tiers()}
                                    : Decision{.silent = may_be_silent(hook)};
        }
        const acl::Verdict verdict = classify(tables, program, packet);
        if (verdict.rule == acl::Verdict::kFellOff && may_be_silent(hook)) {
            return {.silent = true};
        }
        return {
            .allow = verdict.allow,
            .reject = verdict.reject,
            .by = origin_of(*program, verdict).value_or(acl::Origin{})};
    }

    template <Family F>
    acl::Verdict classify(
        Tables& tables,
        const std::shared_ptr<const acl::Program>& program,
        const acl::Packet<F>& packet) {
        const GroupSet* source = tables.groups<F>().lookup(packet.source);
        const GroupSet* destination = tables.groups<F>().lookup(packet.destination);
        acl::Verdict verdict;
        classifier<F>(program).classify(&packet, &source, &destination, &verdict, 1);
        return verdict;
    }

    static const std::string& node_of(const Resource& endpoint) {
        const auto* host = std::get_if<HostEndpoint>(&endpoint.spec);
        return host != nullptr ? host->node : endpoint.as<WorkloadEndpoint>().node;
    }

    [[nodiscard]] const Resource& object_of(const Key& endpoint) const {
        for (const auto& object : trial_->objects) {
            if (object->key == endpoint) {
                return *object;
            }
        }
        std::abort();  // run_trial: every case names one of the objects
    }

    Host& host_of(const Key& endpoint) {
        const std::string& node = node_of(object_of(endpoint));
        auto& host = hosts_[node];
        if (!host) {
            host = std::make_unique<Host>(node, *trial_);
        }
        return *host;
    }

    template <Family F>
    const acl::Classifier<F>& classifier(const std::shared_ptr<const acl::Program>& program) {
        auto& known = [&]() -> auto& {
            if constexpr (std::is_same_v<F, V4>) {
                return classifiers4_[program];
            } else {
                return classifiers6_[program];
            }
        }();
        if (!known) {
            known = acl::Classifier<F>::build(program);
        }
        return *known;
    }

    template <Family F>
    using Classifiers =
        std::map<std::shared_ptr<const acl::Program>, std::shared_ptr<const acl::Classifier<F>>>;

    const Trial* trial_;
    std::map<std::string, std::unique_ptr<Host>> hosts_;
    Classifiers<V4> classifiers4_;
    Classifiers<V6> classifiers6_;
};

}  // namespace

std::vector<CaseResult> run_trial(const Trial& trial) {
    Court court(trial);
    std::vector<CaseResult> results;
    for (const auto& c : trial.cases) {
        results.push_back(court.judge(c));
    }
    return results;
}

}  // namespace vr::policy
