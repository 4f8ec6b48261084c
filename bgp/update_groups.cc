// All update groups: who joins which, and whose turn it is.
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <memory>

#include "bgp/update_group.h"

namespace vr::bgp {
namespace {

/// Routes looked at, and rows told, per slice: a fraction of a millisecond.
constexpr std::size_t kGroupSlice = 500;
constexpr std::size_t kPackSlice = 1024;

}  // namespace

template <Family F>
std::shared_ptr<UpdateGroup<F>> UpdateGroups<F>::obtain(const ExportTerms& terms) {
    for (const auto& group : groups_) {
        if (group->has_members() && group->terms() == terms) {
            return group;
        }
    }
    return groups_.emplace_back(std::make_shared<UpdateGroup<F>>(tables_, terms));
}

template <Family F>
bool UpdateGroups<F>::work() {
    if (groups_.empty()) {
        return false;
    }
    turn_ = (turn_ + 1) % groups_.size();
    bool more = false;
    std::size_t packed = 0;
    const std::size_t walk = std::max<std::size_t>(1, kGroupSlice / groups_.size());
    for (std::size_t i = 0; i < groups_.size(); ++i) {
        UpdateGroup<F>& group = *groups_[(turn_ + i) % groups_.size()];
        more = group.work(walk) || more;
        if (packed < kPackSlice) {
            packed += group.pack(kPackSlice - packed);
        }
        more = more || group.has_output();
    }
    std::erase_if(groups_, [](const auto& group) { return group->spent(); });
    return more;
}

template <Family F>
bool UpdateGroups<F>::dismantle() {
    return std::ranges::any_of(groups_, [](const auto& group) { return group->dismantle(); });
}

template class UpdateGroups<V4>;
template class UpdateGroups<V6>;

}  // namespace vr::bgp
