// show policy.
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
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
    std::string hook = {};  ///< of a host endpoint; whether it is only counted
    // What executes it, if anything; it goes when the endpoint changes, whatever a listing still shows.
    std::weak_ptr<const acl::Classifier<V4>> v4 = {};
    std::weak_ptr<const acl::Classifier<V6>> v6 = {};
};

/// How often rule number `index` matched; nothing when its program is not in force.
std::optional<std::uint64_t> hits_of(const Guard& guard, std::size_t index) {
    const auto v4 = guard.v4.lock();
    const auto v6 = guard.v6.lock();
    if (!v4 || !v6 || &v4->program() != guard.program.get()) {
        return std::nullopt;
    }
    return v4->hits().sum(index) + v6->hits().sum(index);
}

constexpr std::string_view kStaged = "staged";

/// Each hook of a host endpoint where a policy acts, and what would be in force there with the staged ones.
void add_guards(const HostGuardView& view, std::deque<Guard>& guards) {
    const HostGuard& host = view.guard;
    const auto add = [&](HostHook hook, const auto& programs, auto v4, auto v6, std::string text) {
        const auto i = static_cast<std::size_t>(hook);
        if (!programs[i]) {
            return;
        }
        guards.push_back(
            {.endpoint = host.name,
             .direction = is_ingress(hook) ? pb::DIRECTION_INGRESS : pb::DIRECTION_EGRESS,
             .program = programs[i],
             .hook = std::move(text)});
        if (view.policy) {
            guards.back().v4 = (*view.policy.*v4)[i];
            guards.back().v6 = (*view.policy.*v6)[i];
        }
    };
    for (const HostHook hook : kAllHostHooks) {
        add(hook, host.programs, &HostPolicy::v4, &HostPolicy::v6, std::string{name(hook)});
        add(hook,
            host.staged,
            &HostPolicy::staged4,
            &HostPolicy::staged6,
            fmt::format("{} {}", kStaged, name(hook)));
    }
}

/// Both directions of a workload, and what would be in force with the staged policies.
void add_guards(const WorkloadView& view, std::deque<Guard>& guards) {
    const Workload& workload = view.workload;
    const auto add = [&](pb::Direction direction, const auto& program, auto member, auto hook) {
        if (!program) {
            return;
        }
        guards.push_back(
            {.endpoint = workload.name,
             .direction = direction,
             .program = program,
             .hook = std::string{hook}});
        if (view.endpoint) {
            guards.back().v4 = member(view.endpoint->v4);
            guards.back().v6 = member(view.endpoint->v6);
        }
    };
    constexpr std::string_view kEnforced;
    constexpr auto kIngress = pb::DIRECTION_INGRESS;
    constexpr auto kEgress = pb::DIRECTION_EGRESS;
    add(kIngress, workload.ingress, [](const auto& f) { return f.ingress; }, kEnforced);
    add(kIngress, workload.staged_ingress, [](const auto& f) { return f.staged_ingress; }, kStaged);
    add(kEgress, workload.egress, [](const auto& f) { return f.egress; }, kEnforced);
    add(kEgress, workload.staged_egress, [](const auto& f) { return f.staged_egress; }, kStaged);
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
    row.set_hook(guard.hook);
    if (const auto hits = hits_of(guard, index)) {
        row.set_hits(*hits);
    }
}

/// The rules of endpoints one after the other: of `guards`, of `hosts`, then of what `search` finds, if anything.
class Rules {
  public:
    Rules(
        std::deque<Guard> guards,
        std::vector<HostGuardView> hosts,
        Endpoints::Search search,
        decltype(Endpoints::find) find,
        GroupText group_text)
        : guards_(std::move(guards)),
          hosts_(std::move(hosts)),
          search_(std::move(search)),
          find_(std::move(find)),
          group_text_(std::move(group_text)) {}

    bool operator()(pb::Response& frame) {
        auto& list = *frame.mutable_policy();
        if (search_ && !search_(names_)) {
            search_ = nullptr;
        }
        for (std::size_t n = 0; !search_ && n < kRowsPerFrame && !at_end(); ++n) {
            if (guards_.empty() && next_host_ < hosts_.size()) {
                add_guards(hosts_[next_host_++], guards_);
            } else if (guards_.empty()) {
                if (const auto view = find_(*names_.begin())) {
                    add_guards(*view, guards_);
                }
                names_.erase(names_.begin());
            } else if (index_ < guards_.front().program->rules.size()) {
                fill(guards_.front(), index_++, group_text_, *list.add_rows());
            } else {
                guards_.pop_front();
                index_ = 0;
            }
        }
        return !at_end();
    }

  private:
    [[nodiscard]] bool at_end() const {
        return !search_ && guards_.empty() && next_host_ == hosts_.size() && names_.empty();
    }

    std::deque<Guard> guards_;
    std::vector<HostGuardView> hosts_;
    std::size_t next_host_ = 0;
    Endpoints::Search search_;
    decltype(Endpoints::find) find_;
    GroupText group_text_;
    std::set<std::string> names_;
    std::size_t index_ = 0;  ///< of the next rule of the first guard
};

}  // namespace

void serve_policy(
    Dispatch& dispatch, Endpoints endpoints, HostEndpoints hosts, GroupText group_text) {
    dispatch.on(
        pb::Request::kShowPolicy,
        [endpoints = std::move(endpoints),
         hosts = std::move(hosts),
         group_text = std::move(group_text)](const pb::Request& request) -> Answer {
            const std::string& wanted = request.show_policy().endpoint();
            auto views = hosts.all();
            if (wanted.empty()) {
                return Rules{{}, std::move(views), endpoints.search(), endpoints.find, group_text};
            }
            std::deque<Guard> guards;
            for (const HostGuardView& view : views) {
                if (wanted == view.guard.name) {
                    add_guards(view, guards);
                }
            }
            if (const auto view = endpoints.find(wanted)) {
                add_guards(*view, guards);
            }
            if (guards.empty()) {
                return no_endpoint(wanted);
            }
            return Rules{std::move(guards), {}, nullptr, nullptr, group_text};
        });
}

}  // namespace vr::ctl
