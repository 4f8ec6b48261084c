// SPDX-License-Identifier: Apache-2.0
#include "vrouter/daemon/endpoint_problems.h"

#include <algorithm>
#include <string>
#include <utility>

namespace vr::daemon {

namespace {

using policy::Kind;
using policy::ObjectState;

void add(std::string& problems, const std::string& problem) {
    problems += (problems.empty() ? "" : "; ") + problem;
}

/// A profile that is named but unknown denies: POLICY 2.5 step 7.
void add_missing_profiles(
    WorkloadView& view, const policy::Resource& endpoint, const FindResource& find) {
    for (const std::string& profile : endpoint.as<policy::WorkloadEndpoint>().profiles) {
        const policy::Key key{.kind = Kind::Profile, .ns = {}, .name = profile};
        if (profile != policy::kDefaultAllowProfile && !find(key)) {
            add(view.error, "profile '" + profile + "' does not exist, so it denies");
        }
    }
}

}  // namespace

std::vector<WorkloadView> with_problems(
    std::vector<WorkloadView> views,
    const std::vector<policy::ObjectStatus>& objects,
    const FindResource& find) {
    for (WorkloadView& view : views) {
        const std::string& name = view.workload.name;
        const auto slash = name.find('/');
        const policy::Key key{
            .kind = Kind::WorkloadEndpoint,
            .ns = name.substr(0, slash),
            .name = name.substr(slash + 1)};
        if (const auto endpoint = find(key)) {
            add_missing_profiles(view, *endpoint, find);
        }
    }
    for (const policy::ObjectStatus& object : objects) {
        if (object.state == ObjectState::Valid || object.state == ObjectState::Shadowed) {
            continue;
        }
        const std::string name = object.key.ns + "/" + object.key.name;
        const auto known = std::ranges::find(
            views, name, [](const WorkloadView& view) { return view.workload.name; });
        if (known != views.end()) {
            add(known->error, "its last valid version is in force: " + object.reason);
        } else if (object.state != ObjectState::Kept) {
            WorkloadView view;
            view.workload.name = name;
            view.state = WorkloadView::State::Invalid;
            view.error = object.reason;
            views.push_back(std::move(view));
        }
    }
    std::ranges::sort(views, {}, [](const WorkloadView& view) { return view.workload.name; });
    return views;
}

}  // namespace vr::daemon
