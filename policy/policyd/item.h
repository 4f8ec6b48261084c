// Item: one thing that hosts are told of, an object, a set or the blocks of one of them, encoded once for
// all that need it.
//
// A host is told the whole item, or of a set only what changed since the version that it has; the
// changes that are kept for that are smaller than the set.  So a slow host costs no memory here: it gets
// the present state in place of the history.
// A whole set is written in parts, one when a host is to be told it, while changes go on: what they tell
// is told behind it and makes it right.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "policy/model.h"
#include "policy/policyd/wire.h"
#include "policy/selector.h"
#include "policy/set_update.h"

namespace vr::policyd {

struct Host;

struct Item {
    struct Delta {
        std::uint64_t to = 0;  ///< the version that it leads to
        Chunk chunk;
    };

    /// A set as it was at a version, but that later parts have members as they were later.
    struct Whole {
        std::uint64_t version = 0;  ///< 0: not begun
        std::vector<Chunk> parts;   ///< the first replaces what a host has
        std::optional<policy::PortMember> last;
        bool complete = false;
    };

    std::uint64_t id = 0;  ///< in the order in which items came to be known
    policy::Key key;       ///< of an object
    policy::SetName set;   ///< of a set
    bool is_set = false;
    std::uint64_t version = 0;  ///< of the content, unique in the cluster; 0: does not exist
    Chunk content;              ///< of an object
    Chunk removal;
    Whole whole;             ///< of a set
    std::uint64_t base = 0;  ///< the version from which deltas lead to the present one
    std::deque<Delta> deltas;
    std::size_t delta_bytes = 0;
    std::map<policy::SetName, policy::Selector> names;  ///< the sets that its rules name
    std::set<std::shared_ptr<Item>> stages;  ///< of a policy: the staged ones that would replace it
    std::map<Host*, unsigned> users;         ///< who needs it, for how many reasons

    void add_delta(std::uint64_t to, Chunk chunk, std::size_t most_bytes) {
        delta_bytes += chunk->size();
        deltas.push_back({to, std::move(chunk)});
        version = to;
        while (delta_bytes > most_bytes) {
            base = deltas.front().to;
            delta_bytes -= deltas.front().chunk->size();
            deltas.pop_front();
        }
        if (whole.version < base) {
            whole = {};
        }
    }

    /// What leads on from `told`, a version from the first that is kept on and before the present one.
    [[nodiscard]] const Delta& after(std::uint64_t told) const {
        return *std::ranges::upper_bound(deltas, told, {}, &Delta::to);
    }
};

/// What a host has been told of an item.
struct Known {
    std::uint64_t version = 0;  ///< 0: none, or some, which one is not known
    std::uint64_t whole = 0;    ///< of a set: the Whole that it is being told; 0: none
    std::size_t parts = 0;      ///< of it
};

using ItemPtr = std::shared_ptr<Item>;

}  // namespace vr::policyd
