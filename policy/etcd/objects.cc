// SPDX-License-Identifier: Apache-2.0
#include "policy/etcd/objects.h"

#include <utility>

#include "policy/json_document.h"
#include "policy/salvage.h"
#include "policy/stand_in.h"

namespace vr::policy::etcd {

namespace {

/// What its maker named the object beside its name, so that one made anew is another; empty: unknown.
std::string uid_of(std::string_view value) {
    const auto root = parse_json("object", value);
    const Node* metadata = root ? root->find("metadata") : nullptr;
    const Node* uid = metadata != nullptr ? metadata->find("uid") : nullptr;
    return uid != nullptr && uid->type == Node::Type::Scalar ? uid->text : std::string();
}

/// A store put back from a backup may have come beyond the revision that we know: revisions do not tell then.
bool is_another(std::string_view value, std::string_view before) {
    const std::string uid = uid_of(value);
    const std::string known = uid.empty() ? std::string() : uid_of(before);
    return !known.empty() && uid != known;
}

Result<ParsedObject> read(const Keys& keys, const Key& key, const Change& change) {
    return parse_stored(change.key.substr(keys.resources().size()), key, *change.value);
}

}  // namespace

Readings read(const Keys& keys, const std::vector<Change>& changes) {
    Readings readings;
    readings.reserve(changes.size());
    for (const Change& change : changes) {
        const auto key = keys.resource(change.key);
        readings.push_back(
            key && change.value ? std::optional(read(keys, *key, change)) : std::nullopt);
    }
    return readings;
}

Events Objects::apply(std::vector<Change> changes, Readings readings) {
    Events events;
    readings.resize(changes.size());
    auto reading = readings.begin();
    for (Change& change : changes) {
        auto read_before = std::move(*reading++);
        const auto key = keys_.resource(change.key);
        if (!key) {
            continue;
        }
        count(*key, &KindCount::remove);
        if (change.value) {
            take(*key, objects_[*key], std::move(change), std::move(read_before), events);
        } else if (const auto object = objects_.find(*key); object != objects_.end()) {
            if (object->second.in_force) {
                events.emplace_back(Delete{*key});
            }
            objects_.erase(object);
        }
        count(*key, &KindCount::add);
    }
    return events;
}

/// Adds an object that is there to what is counted of its kind, or takes it away.
void Objects::count(const Key& key, void (KindCount::*step)(bool is_invalid)) {
    KindCount& count = counts_[key.kind];
    if (const auto object = objects_.find(key); object != objects_.end()) {
        (count.*step)(!object->second.error.empty());
    }
    if (count.objects == 0) {
        counts_.erase(key.kind);
    }
}

void Objects::take(
    const Key& key,
    Object& object,
    Change change,
    std::optional<Result<ParsedObject>> reading,
    Events& events) {
    object.revision = change.revision;
    const bool same = object.value && *object.value == *change.value;
    if (same && (!change.anew || object.value == object.valid_value)) {
        return;
    }
    if (change.anew) {
        object.valid_value.reset();
    }
    auto parsed = reading ? *std::move(reading) : read(keys_, key, change);
    object.value = std::make_shared<const std::string>(*std::move(change.value));
    object.unknown = !parsed;
    if (!parsed) {
        ParsedObject nothing;
        nothing.error = std::move(parsed).error().text;
        nothing.stand_in = stand_in(key);
        parsed = std::move(nothing);
    }
    object.error = std::move(parsed->error);
    object.counts = std::move(parsed->counts);
    object.warnings = std::move(parsed->warnings);
    const ResourcePtr before = object.in_force;
    if (parsed->resource) {
        object.in_force = std::move(parsed->resource);
        object.valid_value = object.value;
    } else {
        recall(key, object, change);
    }
    if (!object.valid_value) {
        object.in_force = std::move(parsed->stand_in);
    }
    if (object.in_force && (!before || *before != *object.in_force)) {
        events.emplace_back(
            Upsert{object.in_force, object.valid_value ? object.valid_value : object.value});
    } else if (!object.in_force && before) {
        events.emplace_back(Delete{key});
    }
}

/// The last valid version of this very object, in place of its invalid value.
void Objects::recall(const Key& key, Object& object, Change& change) {
    if (object.valid_value && is_another(*object.value, *object.valid_value)) {
        object.valid_value.reset();
    }
    if (object.valid_value || !change.earlier || is_another(*object.value, *change.earlier)) {
        return;
    }
    auto recalled = parse_stored(change.key, key, *change.earlier);
    if (recalled && recalled->resource) {
        object.in_force = std::move(recalled->resource);
        object.valid_value = std::make_shared<const std::string>(*std::move(change.earlier));
    }
}

ObjectStatus Objects::status(const Key& key, const Object& object) const {
    ObjectStatus status;
    status.key = key;
    status.state = object.error.empty() ? ObjectState::Valid
                   : object.valid_value ? ObjectState::Kept
                                        : state_in_place(object.in_force);
    status.file = keys_.of(key);
    status.line = 1;
    status.reason = object.error;
    if (!object.valid_value && !object.counts.empty()) {
        status.reason += "; " + object.counts;
    }
    status.warnings = object.warnings;
    // What is no document cannot be shown as one.
    status.yaml = object.unknown ? "null" : *object.value;
    return status;
}

std::vector<ObjectStatus> Objects::list(const Key& from, std::size_t count) const {
    std::vector<ObjectStatus> all;
    for (auto at = objects_.lower_bound(from); at != objects_.end() && count > 0; ++at, --count) {
        all.push_back(status(at->first, at->second));
    }
    return all;
}

std::optional<ObjectStatus> Objects::find(const Key& key) const {
    const auto object = objects_.find(key);
    return object == objects_.end() ? std::nullopt : std::optional(status(key, object->second));
}

bool Objects::is_clean(const Key& key) const {
    const auto object = objects_.find(key);
    return object == objects_.end() ||
           (object->second.error.empty() && object->second.warnings.empty());
}

std::shared_ptr<const std::string> Objects::value(const Key& key) const {
    const auto object = objects_.find(key);
    return object == objects_.end() ? nullptr : object->second.value;
}

std::optional<Good> Objects::good(std::string_view key) const {
    const auto named = keys_.resource(key);
    const auto found = named ? objects_.find(*named) : objects_.end();
    if (found == objects_.end()) {
        return std::nullopt;
    }
    const Object& object = found->second;
    const bool present = !object.valid_value || object.valid_value == object.value;
    return Good{present ? object.value : object.valid_value, present ? object.revision : 0};
}

}  // namespace vr::policy::etcd
