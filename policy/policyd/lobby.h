// Lobby: how many callers may be on their way in at once.  Pure.
//
// Who has not shown a certificate yet costs memory and work and may be anybody.  One address cannot keep
// others out, and all of them together cannot take the connections of hosts, which are counted elsewhere.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <map>
#include <string>

namespace vr::policyd {

class Lobby {
  public:
    Lobby(std::size_t most_from_one, std::size_t most)
        : most_from_one_(most_from_one), most_(most) {}

    /// Whether `address` has fewer callers here than it may have.
    [[nodiscard]] bool admits(const std::string& address) const {
        const auto found = by_address_.find(address);
        return (found == by_address_.end() ? 0 : found->second) < most_from_one_;
    }

    /// Whether another caller must go before the next comes.
    [[nodiscard]] bool is_full() const { return callers_ >= most_; }

    void enter(const std::string& address) {
        ++by_address_[address];
        ++callers_;
    }

    void leave(const std::string& address) {
        const auto found = by_address_.find(address);
        if (found != by_address_.end()) {
            --callers_;
            if (--found->second == 0) {
                by_address_.erase(found);
            }
        }
    }

  private:
    std::size_t most_from_one_;
    std::size_t most_;
    std::size_t callers_ = 0;
    std::map<std::string, std::size_t> by_address_;
};

}  // namespace vr::policyd
