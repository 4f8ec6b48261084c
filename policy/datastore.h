// Datastore: where desired state comes from, seen from the calculation graph (events) and from the
// control socket (objects to list, write and delete).
//
// A source delivers upserts and deletes in any order, then InSync once when everything that it knew
// at its start has been delivered.  No order may be relied upon, an object may come twice, a delete
// may name what was never there: only the resulting state counts.  DATASTORE 3.3, 3.4.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "policy/model.h"
#include "policy/set_update.h"
#include "policy/source_status.h"
#include "vrouter/net/prefix.h"
#include "vrouter/net/result.h"

namespace vr::policy {

struct Upsert {
    ResourcePtr resource;
    /// What it was read from, for who passes it on; null where nobody does.
    std::shared_ptr<const std::string> text;
};

struct Delete {
    Key key;
};

struct InSync {};

using Event = std::variant<Upsert, Delete, InSync>;
/// May be of all objects: no vector, which moves what it has when it grows.
using Events = std::deque<Event>;

/// Events that belong together: the receiver flushes once behind them.
struct Batch {
    std::uint64_t revision = 0;  ///< counts up with every batch of one source
    Events events;
    std::vector<SetUpdate> sets;  ///< from sources with MembersFrom::Stream only
    /// Of each host whose confirmed claims to blocks of addresses are not what they were: all blocks that
    /// it owns now, DATASTORE 3.1.  From sources that know of any, and not before in-sync.
    std::map<std::string, std::set<IpPrefix>> blocks = {};
    /// The source has told, by the end of this, what it had at its start, and there was a moment when it
    /// understood all of that.
    bool understood = true;
    /// Of each object for which that is not what it was: why its last valid version counts in place of the
    /// present one; empty: the present one does.
    std::map<Key, std::string> kept = {};
};

using Listener = std::function<void(Batch)>;

/// What is enforced for an object.
enum class ObjectState {
    Valid,     ///< the object as written
    Kept,      ///< invalid as written: its last valid version stays in force
    StandIn,   ///< invalid and never valid before: a stand-in denies what it may select
    Partial,   ///< invalid and never valid before: the addresses and ports that can be read count
    Missing,   ///< invalid and never valid before: as if it were not there
    Shadowed,  ///< the same object is defined earlier
};

[[nodiscard]] std::string_view to_string(ObjectState state);

/// One definition of an object, as `vrouterctl get` shows it.
struct ObjectStatus {
    Key key;
    ObjectState state = ObjectState::Valid;
    std::string file;
    int line = 0;
    std::string reason;                 ///< why it is not Valid
    std::vector<std::string> warnings;  ///< accepted, but not understood in full
    std::string yaml;                   ///< as written
};

/// Objects of a kind, by what became of them.
struct KindCount {
    std::size_t objects = 0;  ///< in force or not
    std::size_t invalid = 0;  ///< of them: not as written

    void add(bool is_invalid) {
        ++objects;
        invalid += is_invalid ? 1 : 0;
    }

    void remove(bool is_invalid) {
        --objects;
        invalid -= is_invalid ? 1 : 0;
    }
};

class Datastore {
  public:
    Datastore() = default;
    Datastore(const Datastore&) = delete;
    Datastore& operator=(const Datastore&) = delete;
    Datastore(Datastore&&) = delete;
    Datastore& operator=(Datastore&&) = delete;
    virtual ~Datastore() = default;

    /// All definitions of the next `count` objects, of any kind, from `from` on; sorted by key, then by file.
    [[nodiscard]] virtual std::vector<ObjectStatus> list(
        const Key& from, std::size_t count) const = 0;
    /// Files and objects outside the model: "FILE:LINE: reason".
    [[nodiscard]] virtual std::vector<std::string> problems() const = 0;

    /// How the source is; cheap.
    [[nodiscard]] virtual SourceStatus status() const = 0;
    /// The objects of each kind of which there are any.
    [[nodiscard]] virtual std::map<Kind, KindCount> counts() const = 0;

    using PutDone = std::move_only_function<void(Result<std::vector<Key>>)>;
    using RemoveDone = std::move_only_function<void(Result<void>)>;

    /// Stores every object of `yaml`, all or none when any is invalid, and tells their keys.  `done` is
    /// called once, before this returns or later; not at all when the store is destroyed before.  Errors
    /// name `file` and the line, "FILE:LINE: reason".
    virtual void put(std::string_view file, std::string_view yaml, PutDone done) = 0;
    virtual void remove(const Key& key, RemoveDone done) = 0;
};

/// The first key behind `key`, where the next slice of a listing begins.
[[nodiscard]] inline Key behind(Key key) {
    key.name.push_back('\0');
    return key;
}

/// The object as one line of JSON.
[[nodiscard]] Result<std::string> yaml_to_json(std::string_view yaml);

}  // namespace vr::policy
