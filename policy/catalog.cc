// SPDX-License-Identifier: Apache-2.0
#include "policy/catalog.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "policy/document.h"
#include "policy/field.h"
#include "policy/salvage.h"
#include "policy/stand_in.h"

namespace vr::policy {

std::string_view to_string(ObjectState state) {
    switch (state) {
        case ObjectState::Valid:
            return "valid";
        case ObjectState::Kept:
            return "invalid, last valid version in force";
        case ObjectState::StandIn:
            return "invalid, denying in its place";
        case ObjectState::Partial:
            return "invalid, what can be read of it counts";
        case ObjectState::Missing:
            return "invalid, without effect";
        case ObjectState::Shadowed:
            break;
    }
    return "shadowed";
}

Result<std::string> yaml_to_json(std::string_view yaml) {
    auto documents = parse_documents("object", yaml);
    if (!documents) {
        return std::unexpected(std::move(documents).error());
    }
    if (documents->size() != 1) {
        return fail("expected one document");
    }
    return to_json(documents->front().root);
}

bool is_resource_file(std::string_view name) {
    return !name.starts_with('.') &&
           (name.ends_with(".yaml") || name.ends_with(".yml") || name.ends_with(".json"));
}

Events Catalog::set_file(const std::string& name, const std::string& text) {
    return is_current(name, text)
               ? Events()
               : set_file(name, std::make_shared<const std::string>(text), parse_file(name, text));
}

Events Catalog::set_file(
    const std::string& name, std::shared_ptr<const std::string> text, Result<ParsedFile> parsed) {
    File& file = files_[name];
    file.text = std::move(text);
    file.readable = true;
    Events events;
    if (!parsed) {
        file.error = std::move(parsed).error().text;
        faulty_.insert(name);
    } else {
        file.error.clear();
        events = replace(file, name, *std::move(parsed));
    }
    tell_good(name);
    return events;
}

Events Catalog::set_stand_in(
    const std::string& name,
    const std::string& text,
    const Key& key,
    const std::string& node,
    std::string reason) {
    Events events = remove_file(name);
    const auto map = [](std::string field, Node value) {
        Node made;
        made.type = Node::Type::Map;
        made.fields.push_back({std::move(field), std::move(value)});
        return made;
    };
    Node host;
    host.type = Node::Type::Scalar;
    host.text = node;
    const Node object = map("spec", map("node", std::move(host)));
    ParsedFile parsed;
    ParsedObject& only = parsed.objects.emplace_back();
    only.key = key;
    only.line = 1;
    only.text = std::make_shared<const std::string>(text);
    only.error = std::move(reason);
    only.stand_in = key.kind == Kind::HostEndpoint
                        ? stand_in(Field(name, object, only.warnings), key)
                        : stand_in(key);
    File& file = files_[name];
    file.text = std::make_shared<const std::string>(text);
    file.readable = true;
    for (auto& event : replace(file, name, std::move(parsed))) {
        events.push_back(std::move(event));
    }
    tell_good(name);
    return events;
}

void Catalog::set_unreadable(const std::string& name, std::string reason) {
    File& file = files_[name];
    file.error = name + ": " + std::move(reason);
    file.readable = false;
    faulty_.insert(name);
    tell_good(name);
}

Events Catalog::remove_file(const std::string& name) {
    const auto file = files_.find(name);
    if (file == files_.end()) {
        return {};
    }
    auto events = replace(file->second, name, {});
    files_.erase(file);
    faulty_.erase(name);
    tell_good(name);
    return events;
}

/// Looks each object up once: a file may hold thousands.
Events Catalog::replace(File& file, const std::string& name, ParsedFile parsed) {
    std::vector<Touched> touched;
    const auto touch = [&](const Key& key) {
        const auto at = objects_.try_emplace(key).first;
        if (!std::exchange(at->second.touched, true)) {
            touched.push_back({at, first(at->second)});
        }
        return at;
    };
    for (std::size_t i = 0; i < file.parsed.objects.size(); ++i) {
        touch(file.parsed.objects[i].key)->second.definitions.erase({name, i});
    }
    for (std::size_t i = 0; i < parsed.objects.size(); ++i) {
        touch(parsed.objects[i].key)->second.definitions.insert({name, i});
    }
    const ParsedFile old = std::exchange(file.parsed, std::move(parsed));
    if (file.parsed.ignored.empty()) {
        faulty_.erase(name);
    } else {
        faulty_.insert(name);
    }
    Events events;
    for (const Touched& each : touched) {
        for (const Definition& definition : each.at->second.definitions) {
            if (definition.file != name) {
                shared_.insert(definition.file);
            }
        }
        settle(each, events);
    }
    return events;
}

/// Of a file that was set or removed, and of those that it shares objects with.
void Catalog::tell_good(const std::string& name) {
    shared_.insert(name);
    for (const std::string& file : std::exchange(shared_, {})) {
        on_good_(file);
    }
}

/// The definition that counts; null when there is none.
const ParsedObject* Catalog::first(const Object& object) const {
    return object.definitions.empty() ? nullptr : &parsed(*object.definitions.begin());
}

/// Decides what is in force of an object now.
void Catalog::settle(const Touched& touched, Events& events) {
    const Key& key = touched.at->first;
    Object& object = touched.at->second;
    object.touched = false;
    const ParsedObject* now = first(object);
    count(key.kind, touched.counted, now);
    const ResourcePtr before = object.in_force;
    if (now == nullptr) {
        if (before) {
            events.emplace_back(Delete{key});
        }
        objects_.erase(touched.at);
        return;
    }
    if (now->resource) {
        object.in_force = now->resource;
        object.was_valid = true;
        object.kept.reset();
    } else if (!object.was_valid) {
        object.in_force = now->stand_in;
    } else if (touched.counted != nullptr && touched.counted->resource) {
        object.kept = touched.counted->text;
    }
    if (object.in_force && (!before || *before != *object.in_force)) {
        events.emplace_back(Upsert{object.in_force, now->text});
    } else if (!object.in_force && before) {
        events.emplace_back(Delete{key});
    }
}

/// What counts of an object was `before` and is `now`; null: nothing.
void Catalog::count(Kind kind, const ParsedObject* before, const ParsedObject* now) {
    KindCount& count = counts_[kind];
    if (now != nullptr) {
        count.add(!now->resource);
    }
    if (before != nullptr) {
        count.remove(!before->resource);
    }
    if (count.objects == 0) {
        counts_.erase(kind);
    }
}

const ParsedObject& Catalog::parsed(const Definition& definition) const {
    return files_.at(definition.file).parsed.objects[definition.index];
}

std::set<std::string> Catalog::files() const {
    std::set<std::string> names;
    for (const auto& [name, file] : files_) {
        names.insert(name);
    }
    return names;
}

std::string Catalog::file_error(const std::string& name) const {
    const auto file = files_.find(name);
    return file == files_.end() ? std::string() : file->second.error;
}

std::string Catalog::first_error() const {
    for (const auto& name : faulty_) {
        if (const std::string& error = files_.at(name).error; !error.empty()) {
            return error;
        }
    }
    return {};
}

ObjectStatus Catalog::status(
    const Key& key, const Object& object, const Definition& definition) const {
    const ParsedObject& written = parsed(definition);
    ObjectStatus status;
    status.key = key;
    status.file = definition.file;
    status.line = written.line;
    status.reason = written.error;
    status.warnings = written.warnings;
    const Definition& first = *object.definitions.begin();
    if (definition != first) {
        status.state = ObjectState::Shadowed;
        status.reason =
            fmt::format("defined before in {}:{}, which counts", first.file, parsed(first).line);
    } else if (!written.resource) {
        status.state = object.was_valid ? ObjectState::Kept : state_in_place(object.in_force);
        if (!object.was_valid && !written.counts.empty()) {
            status.reason += "; " + written.counts;
        }
    } else if (const File& file = files_.at(definition.file); !file.error.empty()) {
        status.state = ObjectState::Kept;
        status.reason = file.error;
    }
    return status;
}

std::vector<ObjectStatus> Catalog::list(const Key& from, std::size_t count) const {
    std::vector<ObjectStatus> all;
    for (auto at = objects_.lower_bound(from); at != objects_.end() && count > 0; ++at, --count) {
        for (const auto& definition : at->second.definitions) {
            all.push_back(status(at->first, at->second, definition));
            all.back().yaml = *parsed(definition).text;
        }
    }
    return all;
}

std::vector<ObjectStatus> Catalog::list_file(const std::string& name) const {
    std::vector<ObjectStatus> all;
    if (const auto file = files_.find(name); file != files_.end()) {
        for (std::size_t i = 0; i < file->second.parsed.objects.size(); ++i) {
            const Key& key = file->second.parsed.objects[i].key;
            all.push_back(status(key, objects_.at(key), {name, i}));
        }
    }
    return all;
}

std::vector<ObjectStatus> Catalog::faults(const std::string& name) const {
    std::vector<ObjectStatus> all;
    if (const auto file = files_.find(name); file != files_.end()) {
        for (std::size_t i = 0; i < file->second.parsed.objects.size(); ++i) {
            const ParsedObject& written = file->second.parsed.objects[i];
            const Object& object = objects_.at(written.key);
            const bool counts = *object.definitions.begin() == Definition{name, i};
            const bool as_written = written.resource && counts && file->second.error.empty();
            if (!as_written || !written.warnings.empty()) {
                all.push_back(status(written.key, object, {name, i}));
            }
        }
    }
    return all;
}

bool Catalog::is_current(const std::string& name, const std::string& text) const {
    const auto known = shared_text(name);
    return known && *known == text;
}

std::shared_ptr<const std::string> Catalog::shared_text(const std::string& name) const {
    const auto file = files_.find(name);
    return file == files_.end() || !file->second.readable ? nullptr : file->second.text;
}

std::string_view Catalog::text(const std::string& name) const {
    const auto file = files_.find(name);
    return file == files_.end() || file->second.text == nullptr ? std::string_view{}
                                                                : *file->second.text;
}

/// Of a file that is not valid throughout: its objects' last valid versions, or what never had one.
std::optional<Catalog::Good> Catalog::good(const std::string& name) const {
    const auto found = files_.find(name);
    if (found == files_.end()) {
        return std::nullopt;
    }
    const File& file = found->second;
    const auto& objects = file.parsed.objects;
    const bool as_written =
        file.error.empty() && std::ranges::none_of(objects, [](const auto& object) {
            return object.resource == nullptr;
        });
    if (as_written) {
        return Good{file.text};
    }
    Good texts;
    for (std::size_t i = 0; i < objects.size(); ++i) {
        const ParsedObject& written = objects[i];
        const Object& object = objects_.at(written.key);
        const bool counts = *object.definitions.begin() == Definition{name, i};
        const bool kept = !written.resource && counts && object.was_valid;
        texts.push_back(kept ? object.kept : written.text);
    }
    return texts;
}

std::vector<std::string> Catalog::problems() const {
    std::vector<std::string> all;
    for (const auto& name : faulty_) {
        const File& file = files_.at(name);
        if (!file.error.empty()) {
            all.push_back(file.error);
        }
        all.insert(all.end(), file.parsed.ignored.begin(), file.parsed.ignored.end());
    }
    return all;
}

std::optional<Catalog::Place> Catalog::find(const Key& key) const {
    const auto object = objects_.find(key);
    if (object == objects_.end()) {
        return std::nullopt;
    }
    const Definition& first = *object->second.definitions.begin();
    return Place{first.file, parsed(first).line, files_.at(first.file).parsed.objects.size()};
}

}  // namespace vr::policy
