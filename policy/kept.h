// Kept: which objects of a source count in their last valid version, and what has changed of that.  Pure.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>
#include <utility>

#include "policy/model.h"

namespace vr::policy {

class Kept {
  public:
    /// Why the present version of `key` does not count; empty: it does, or there is none.
    void set(const Key& key, std::string reason) {
        const auto known = reasons_.find(key);
        if (reason == (known == reasons_.end() ? std::string() : known->second)) {
            return;
        }
        changes_[key] = reason;
        if (reason.empty()) {
            reasons_.erase(known);
        } else {
            reasons_[key] = std::move(reason);
        }
    }

    /// Whether no object does.
    [[nodiscard]] bool is_empty() const { return reasons_.empty(); }

    /// Since the last time that this was asked; as Batch::kept.
    [[nodiscard]] std::map<Key, std::string> take_changes() { return std::exchange(changes_, {}); }

  private:
    std::map<Key, std::string> reasons_;
    std::map<Key, std::string> changes_;
};

}  // namespace vr::policy
