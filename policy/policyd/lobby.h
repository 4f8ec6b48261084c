// Lobby: how many callers may be on their way in at once.  Pure.
//
// Who has not shown a certificate yet costs memory and work and may be anybody.  One address cannot keep
// others out, neither those elsewhere nor those behind the same one: the oldest caller makes room for the
// next.  All of them together cannot take the connections of hosts, which are counted elsewhere.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>

namespace vr::policyd {

class Lobby {
  public:
    using Caller = std::uint64_t;  ///< counts up: the least is the oldest

    /// There is room for one at least.
    Lobby(std::size_t most_from_one, std::size_t most)
        : most_from_one_(most_from_one), most_(most) {}

    /// Who must go before another comes from `address`: the oldest from there if it has as many as it may
    /// have, else the oldest of all if the lobby is full.
    [[nodiscard]] std::optional<Caller> in_the_way(const std::string& address) const {
        const auto found = by_address_.find(address);
        if (found != by_address_.end() && found->second.size() >= most_from_one_) {
            return *found->second.begin();
        }
        return !all_.empty() && all_.size() >= most_ ? std::optional(*all_.begin()) : std::nullopt;
    }

    void enter(const std::string& address, Caller caller) {
        by_address_[address].insert(caller);
        all_.insert(caller);
    }

    /// Who is not here leaves nothing.
    void leave(const std::string& address, Caller caller) {
        const auto found = by_address_.find(address);
        if (all_.erase(caller) != 0 && found != by_address_.end()) {
            found->second.erase(caller);
            if (found->second.empty()) {
                by_address_.erase(found);
            }
        }
    }

    [[nodiscard]] std::size_t size() const { return all_.size(); }

  private:
    std::size_t most_from_one_;
    std::size_t most_;
    std::set<Caller> all_;
    std::map<std::string, std::set<Caller>> by_address_;
};

}  // namespace vr::policyd
