// SPDX-License-Identifier: Apache-2.0
#include "policy/etcd/claims.h"

#include <utility>

namespace vr::policy::etcd {

bool Claims::apply(const std::vector<Change>& changes) {
    bool changed = false;
    const std::string prefix = keys_.claims();
    for (const Change& change : changes) {
        if (!change.key.starts_with(prefix)) {
            continue;
        }
        const auto id = keys_.record(change.key);
        const auto* claim = std::get_if<ipam::AffinityId>(&id);
        if (claim == nullptr) {
            continue;
        }
        const bool was_confirmed = is_confirmed(*claim);
        if (!change.value) {
            changed = claims_.erase(*claim) > 0 || changed;
        } else if (const auto state = ipam::decode_affinity(*change.value)) {
            claims_[*claim] = {
                std::make_shared<const std::string>(*change.value),
                change.revision,
                state == ipam::AffinityState::Confirmed};
            changed = true;
        } else if (change.anew) {
            changed = claims_.erase(*claim) > 0 || changed;
        }
        if (is_confirmed(*claim) != was_confirmed) {
            changed_.insert(claim->host);
        }
    }
    return changed;
}

std::map<std::string, std::set<IpPrefix>> Claims::take_confirmed() {
    std::map<std::string, std::set<IpPrefix>> all;
    for (const std::string& host : std::exchange(changed_, {})) {
        std::set<IpPrefix> blocks = confirmed(host);
        std::set<IpPrefix>& told = told_[host];
        if (told != blocks) {
            told = blocks;
            all.emplace(host, std::move(blocks));
        }
        if (told.empty()) {
            told_.erase(host);
        }
    }
    return all;
}

bool Claims::is_confirmed(const ipam::AffinityId& id) const {
    const auto known = claims_.find(id);
    return known != claims_.end() && known->second.confirmed;
}

std::set<IpPrefix> Claims::confirmed(const std::string& host) const {
    std::set<IpPrefix> blocks;
    for (auto at = claims_.lower_bound(ipam::AffinityId{host, {}});
         at != claims_.end() && at->first.host == host;
         ++at) {
        if (at->second.confirmed) {
            blocks.insert(at->first.cidr);
        }
    }
    return blocks;
}

std::optional<Good> Claims::good(std::string_view key) const {
    const auto id = keys_.record(key);
    const auto* claim = std::get_if<ipam::AffinityId>(&id);
    const auto found = claim != nullptr ? claims_.find(*claim) : claims_.end();
    return found == claims_.end()
               ? std::nullopt
               : std::optional(Good{found->second.value, found->second.revision});
}

}  // namespace vr::policy::etcd
