// Inheritance: the labels of endpoints and network sets, with those that their profiles bestow.
// POLICY 2.2: own labels first, then labelsToApply of the profiles in order; the first one counts.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "policy/model.h"

namespace vr::policy {

class Inheritance {
  public:
    /// Returns the labels of `item`.
    Labels set_item(const Key& item, Labels own, std::vector<std::string> profiles);
    void remove_item(const Key& item);

    /// Profile `name` bestows its labels now, null: it is gone.  True: something changes for those that have it.
    bool set_profile(const std::string& name, const Profile* profile);

    /// The first from `from` on of the items that have profile `name`; null: there is none.
    [[nodiscard]] const Key* next_follower(const std::string& name, const Key& from) const;

    [[nodiscard]] Labels labels(const Key& item) const;

    /// True: it has a profile whose labels nobody can read (Profile::labels_unread), so nobody knows which policies
    /// were to guard it.
    [[nodiscard]] bool is_closed(const Key& item) const;

  private:
    struct Item {
        Labels own;
        std::vector<std::string> profiles;
    };

    std::map<Key, Item> items_;
    std::map<std::string, Labels> bestowed_;
    std::set<std::string> unread_;  ///< profiles
    std::map<std::string, std::set<Key>> followers_;
};

}  // namespace vr::policy
