// SPDX-License-Identifier: Apache-2.0
#include "policy/policyd/rule_sets.h"

#include <string>

#include "policy/compiler.h"

namespace vr::policyd {

namespace {

using policy::Selector;
using policy::SetName;

class NotingSource : public policy::GroupSource {
  public:
    GroupId group(const Selector& selector) override {
        return note({selector.text(), {}, 0}, selector);
    }

    /// Some port: a rule that names a port which nobody has is left out, with the sets that it names.
    std::map<L4Port, GroupId> port_groups(
        const Selector& selector, const std::string& name, std::uint8_t protocol) override {
        return {{L4Port{1}, note({selector.text(), name, protocol}, selector)}};
    }

    std::map<SetName, Selector> noted;

  private:
    GroupId note(SetName name, const Selector& selector) {
        noted.emplace(std::move(name), selector);
        return GroupId{1};
    }
};

}  // namespace

std::map<SetName, Selector> sets_of(const policy::ResourcePtr& resource) {
    NotingSource source;
    for (const auto direction : {policy::Direction::Ingress, policy::Direction::Egress}) {
        policy::CompilerInput input;
        input.direction = direction;
        if (std::holds_alternative<policy::Policy>(resource->spec)) {
            input.tiers.emplace_back().policies = {resource};
        } else if (std::holds_alternative<policy::Profile>(resource->spec)) {
            input.profiles.emplace_back(resource->key.name, resource);
        }
        (void)policy::compile(input, source);
    }
    return std::move(source.noted);
}

}  // namespace vr::policyd
