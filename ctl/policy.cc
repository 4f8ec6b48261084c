// show policy.
// SPDX-License-Identifier: Apache-2.0
#include <memory>
#include <utility>
#include <vector>

#include "ctl/handlers.h"
#include "ctl/rule_text.h"

namespace vr::ctl {

namespace {

/// One program of one endpoint.  Held by the listing: a change of policy meanwhile makes new ones.
struct Guard {
    std::string endpoint;
    pb::Direction direction;
    std::shared_ptr<const acl::Program> program;
    std::string_view hook = {};  ///< of a host endpoint
};

/// Each hook of a host endpoint where a policy acts.
void add_guards(const HostGuard& host, std::vector<Guard>& guards) {
    for (const HostHook hook : kAllHostHooks) {
        if (const auto& program = host.program(hook)) {
            guards.push_back(
                {.endpoint = host.name,
                 .direction = is_ingress(hook) ? pb::DIRECTION_INGRESS : pb::DIRECTION_EGRESS,
                 .program = program,
                 .hook = name(hook)});
        }
    }
}

/// Both directions of a workload, and what would be in force with the staged policies.
void add_guards(const Workload& workload, std::vector<Guard>& guards) {
    const auto add = [&](pb::Direction direction, const auto& enforced, const auto& staged) {
        guards.push_back({.endpoint = workload.name, .direction = direction, .program = enforced});
        if (staged) {
            guards.push_back(
                {.endpoint = workload.name,
                 .direction = direction,
                 .program = staged,
                 .hook = "staged"});
        }
    };
    add(pb::DIRECTION_INGRESS, workload.ingress, workload.staged_ingress);
    add(pb::DIRECTION_EGRESS, workload.egress, workload.staged_egress);
}

void fill(const Guard& guard, std::size_t index, const GroupText& group_text, pb::PolicyRule& row) {
    const acl::Rule& rule = guard.program->rules[index];
    const acl::Origin& origin = guard.program->origins[rule.origin];
    row.set_endpoint(guard.endpoint);
    row.set_direction(guard.direction);
    row.set_index(static_cast<std::uint32_t>(index));
    row.set_action(action_text(rule));
    row.set_match(match_text(rule.match, group_text));
    row.set_tier(origin.tier);
    row.set_policy(origin.policy);
    row.set_rule(origin.rule);
    row.set_hook(std::string(guard.hook));
}

/// The rules of all `guards`, one after the other.
Slices rules_of(std::vector<Guard> guards, GroupText group_text) {
    return [guards = std::move(guards),
            group_text = std::move(group_text),
            guard = std::size_t{0},
            index = std::size_t{0}](pb::Response& frame) mutable {
        auto& list = *frame.mutable_policy();
        for (std::size_t n = 0; n < kRowsPerFrame && guard < guards.size();) {
            if (index < guards[guard].program->rules.size()) {
                fill(guards[guard], index++, group_text, *list.add_rows());
                ++n;
            } else {
                ++guard;
                index = 0;
            }
        }
        return guard < guards.size();
    };
}

}  // namespace

void serve_policy(
    Dispatch& dispatch, Endpoints endpoints, HostEndpoints hosts, GroupText group_text) {
    dispatch.on(
        pb::Request::kShowPolicy,
        [endpoints = std::move(endpoints),
         hosts = std::move(hosts),
         group_text = std::move(group_text)](const pb::Request& request) -> Answer {
            const std::string& wanted = request.show_policy().endpoint();
            std::vector<Guard> guards;
            for (const HostGuardView& view : hosts()) {
                if (wanted.empty() || wanted == view.guard.name) {
                    add_guards(view.guard, guards);
                }
            }
            for (const auto& [workload, port, state, error] : endpoints()) {
                if (wanted.empty() || wanted == workload.name) {
                    add_guards(workload, guards);
                }
            }
            if (guards.empty() && !wanted.empty()) {
                return no_endpoint(wanted);
            }
            return rules_of(std::move(guards), group_text);
        });
}

}  // namespace vr::ctl
