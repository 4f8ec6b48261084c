// RefusedSizes: how many entries programs had that rte_acl could not build, so that an edit of such a
// program does not cost the same seconds again.  Sizes within an eighth of each other are one.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <bit>
#include <cstddef>
#include <set>
#include <utility>

namespace vr::acl {

class RefusedSizes {
  public:
    /// `family` is F::kVersion.
    void add(int family, std::size_t entries) { refused_.insert({family, size_class(entries)}); }

    [[nodiscard]] bool contains(int family, std::size_t entries) const {
        return refused_.contains({family, size_class(entries)});
    }

  private:
    /// The first four binary digits and how many follow.
    [[nodiscard]] static std::size_t size_class(std::size_t entries) {
        const int rest = static_cast<int>(std::bit_width(entries)) - 4;
        return rest <= 0 ? entries : static_cast<std::size_t>(rest) * 16 + (entries >> rest);
    }

    std::set<std::pair<int, std::size_t>> refused_;
};

}  // namespace vr::acl
