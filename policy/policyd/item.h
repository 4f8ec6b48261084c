// Item: one thing that hosts are told of, an object, a set or the blocks of one of them, encoded once for
// all that need it.
//
// A host is told the whole item, or of a set only what changed since the version that it has; the
// changes that are kept for that are bounded (kMostDeltas, and smaller than the set).  So a slow host
// costs no memory here: it gets the present state in place of the history.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>

#include "policy/model.h"
#include "policy/policyd/wire.h"
#include "policy/selector.h"
#include "policy/set_update.h"

namespace vr::policyd {

struct Host;

struct Item {
    static constexpr std::size_t kMostDeltas = 64;

    struct Delta {
        std::uint64_t to = 0;  ///< the version that it leads to
        Chunk chunk;
    };

    std::uint64_t id = 0;  ///< in the order in which items came to be known
    policy::Key key;       ///< of an object
    policy::SetName set;   ///< of a set
    bool is_set = false;
    std::uint64_t version = 0;  ///< of the content, unique in the cluster; 0: does not exist
    Chunk whole;                ///< null: encoded when somebody asks (sets)
    Chunk removal;
    std::uint64_t base = 0;  ///< the version from which the first delta leads on
    std::deque<Delta> deltas;
    std::size_t delta_bytes = 0;
    std::map<policy::SetName, policy::Selector> names;  ///< the sets that its rules name
    std::set<std::shared_ptr<Item>> stages;  ///< of a policy: the staged ones that would replace it
    std::map<Host*, unsigned> users;         ///< who needs it, for how many reasons

    void add_delta(std::uint64_t to, Chunk chunk, std::size_t most_bytes) {
        if (deltas.empty()) {
            base = version;
        }
        delta_bytes += chunk->size();
        deltas.push_back({to, std::move(chunk)});
        version = to;
        whole = nullptr;
        while (!deltas.empty() && (deltas.size() > kMostDeltas || delta_bytes > most_bytes)) {
            base = deltas.front().to;
            delta_bytes -= deltas.front().chunk->size();
            deltas.pop_front();
        }
    }
};

using ItemPtr = std::shared_ptr<Item>;

}  // namespace vr::policyd
