// Objects: from keys and values to objects in force, as catalog.h does for files.  Pure.
//
// A key names one object, so there is no double.  The rest is the same (policy/README.md): an invalid
// object keeps its last valid version, also that of an earlier run, or is replaced by its stand-in; one that
// was deleted and made anew, or has another metadata.uid, never had the old one's.  Of a value that is not the
// object which its key says, the stand-in is what the key alone tells.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "policy/datastore.h"
#include "policy/etcd/keys.h"
#include "policy/etcd/sync.h"
#include "policy/resource.h"

namespace vr::policy::etcd {

/// What the values of changes say, one for each; nothing of what is gone or no object.
using Readings = std::vector<std::optional<Result<ParsedObject>>>;

/// On any thread.
[[nodiscard]] Readings read(const Keys& keys, const std::vector<Change>& changes);

/// What is kept on disk of a key.
struct Good {
    std::shared_ptr<const std::string> value;
    std::int64_t revision = 0;  ///< 0: not the present value
};

class Objects {
  public:
    explicit Objects(Keys keys) : keys_(std::move(keys)) {}

    /// Takes changes, in order; keys of other kinds are not looked at.  `readings` are what read() made of
    /// them, or none: then values are read here, as far as they are others than before.
    [[nodiscard]] Events apply(std::vector<Change> changes, Readings readings = {});

    /// As Datastore::list().
    [[nodiscard]] std::vector<ObjectStatus> list(
        const Key& from = {Kind{}, {}, {}}, std::size_t count = SIZE_MAX) const;

    [[nodiscard]] std::optional<ObjectStatus> find(const Key& key) const;
    /// False for an object that exists and is not as it should be.
    [[nodiscard]] bool is_clean(const Key& key) const;

    /// The value of an object, valid or not; null when there is none.
    [[nodiscard]] std::shared_ptr<const std::string> value(const Key& key) const;

    /// What is to be kept on disk of the object at `key` of etcd: the last valid version, or the present one where none
    /// ever was.  Nothing when there is no such object.
    [[nodiscard]] std::optional<Good> good(std::string_view key) const;

    [[nodiscard]] const std::map<Kind, KindCount>& counts() const { return counts_; }

    [[nodiscard]] std::size_t size() const { return objects_.size(); }

  private:
    struct Object {
        std::shared_ptr<const std::string> value;  ///< as etcd has it
        std::int64_t revision = 0;
        std::string error;     ///< why `value` is not valid
        std::string counts;    ///< what of it `in_force` holds, if no valid version does
        bool unknown = false;  ///< `value` is not this object at all
        std::vector<std::string> warnings;
        std::shared_ptr<const std::string> valid_value;  ///< the last valid one; null: never
        ResourcePtr in_force;
    };

    void take(
        const Key& key,
        Object& object,
        Change change,
        std::optional<Result<ParsedObject>> reading,
        Events& events);
    void count(const Key& key, void (KindCount::*step)(bool is_invalid));
    static void recall(const Key& key, Object& object, Change& change);
    [[nodiscard]] ObjectStatus status(const Key& key, const Object& object) const;

    Keys keys_;
    std::map<Key, Object> objects_;
    std::map<Kind, KindCount> counts_;
};

}  // namespace vr::policy::etcd
