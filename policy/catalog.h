// Catalog: the objects of a directory of files, and which of them are in force.  Pure: it is given
// names and texts and returns events.
//
//   - A file that cannot be understood keeps the objects it had; one that never could has none.
//   - Of two definitions of one object the first by file name, then by line, counts.
//   - An object that becomes invalid keeps its last valid version; one that never was valid is
//     replaced by its stand-in, if its kind has one (resource.h).
//   - What is in force depends on the files, and for invalid ones on their last valid state; never on
//     the order of changes.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "policy/datastore.h"
#include "policy/resource.h"

namespace vr::policy {

/// True for the files of a directory that hold objects, by name.
[[nodiscard]] bool is_resource_file(std::string_view name);

class Catalog {
  public:
    /// A file appeared or changed.  An unchanged text costs nothing and yields nothing.
    [[nodiscard]] Events set_file(const std::string& name, const std::string& text);
    /// The same for a text that was read before, by parse_file().
    [[nodiscard]] Events set_file(
        const std::string& name,
        std::shared_ptr<const std::string> text,
        Result<ParsedFile> parsed);
    /// A file is there of which only is known that it should define `key`, for `node` if that is a host
    /// endpoint: its stand-in takes its place, whatever the file held before.
    [[nodiscard]] Events set_stand_in(
        const std::string& name,
        const std::string& text,
        const Key& key,
        const std::string& node,
        std::string reason);
    /// A file is there but cannot be read.
    void set_unreadable(const std::string& name, std::string reason);
    [[nodiscard]] Events remove_file(const std::string& name);

    [[nodiscard]] std::set<std::string> files() const;

    /// In order.
    template <typename Visit>
    void each_file(Visit visit) const {
        for (const auto& [name, file] : files_) {
            visit(name);
        }
    }

    /// Those with errors, or objects outside the model.
    [[nodiscard]] const std::set<std::string>& faulty() const { return faulty_; }

    /// Why `name` cannot be understood; empty when it can.
    [[nodiscard]] std::string file_error(const std::string& name) const;

    /// That of the first file that cannot be understood; empty: all are.
    [[nodiscard]] std::string first_error() const;

    /// As Datastore::list().
    [[nodiscard]] std::vector<ObjectStatus> list(
        const Key& from = {Kind{}, {}, {}}, std::size_t count = SIZE_MAX) const;
    [[nodiscard]] std::vector<std::string> problems() const;

    [[nodiscard]] const std::map<Kind, KindCount>& counts() const { return counts_; }

    /// The definitions in one file, in their order there, without their texts.
    [[nodiscard]] std::vector<ObjectStatus> list_file(const std::string& name) const;

    /// Of them, those that do not count as written, or with warnings.
    [[nodiscard]] std::vector<ObjectStatus> faults(const std::string& name) const;

    /// What set_file() is to be told of a file before its text, for what is in force now to be so again: the file as a
    /// whole, or documents one after the other.
    using Good = std::vector<std::shared_ptr<const std::string>>;

    /// Nothing when there is no such file.
    [[nodiscard]] std::optional<Good> good(const std::string& name) const;

    /// `told` is called with each file of which good() may be another, which a change elsewhere may make it.
    void on_good(std::function<void(const std::string& name)> told) { on_good_ = std::move(told); }

    /// True when `text` is what the file is known to hold.
    [[nodiscard]] bool is_current(const std::string& name, const std::string& text) const;
    /// What the file is known to hold; empty, or null, when it is not known.
    [[nodiscard]] std::string_view text(const std::string& name) const;
    [[nodiscard]] std::shared_ptr<const std::string> shared_text(const std::string& name) const;

    /// Where an object is defined: file, line, and how many objects that file holds.
    struct Place {
        std::string file;
        int line = 0;
        std::size_t objects_in_file = 0;
    };

    [[nodiscard]] std::optional<Place> find(const Key& key) const;

  private:
    struct File {
        std::shared_ptr<const std::string> text;
        ParsedFile parsed;  ///< of the last text that could be understood
        std::string error;  ///< of the present text
        bool readable = false;
    };

    struct Definition {
        std::string file;
        std::size_t index = 0;  ///< in File::parsed.objects

        friend auto operator<=>(const Definition&, const Definition&) = default;
    };

    struct Object {
        std::set<Definition> definitions;
        ResourcePtr in_force;    ///< null: missing
        bool was_valid = false;  ///< in_force is a valid version, not a stand-in
        /// That version as it was written, when it no longer is; else null.
        std::shared_ptr<const std::string> kept;
        bool touched = false;  ///< by the replace() that runs
    };

    /// An object, and what counted of it before.
    struct Touched {
        std::map<Key, Object>::iterator at;
        const ParsedObject* counted = nullptr;
    };

    [[nodiscard]] const ParsedObject& parsed(const Definition& definition) const;
    [[nodiscard]] Events replace(File& file, const std::string& name, ParsedFile parsed);
    [[nodiscard]] const ParsedObject* first(const Object& object) const;
    void settle(const Touched& touched, Events& events);
    void count(Kind kind, const ParsedObject* before, const ParsedObject* now);
    void tell_good(const std::string& name);
    [[nodiscard]] ObjectStatus status(
        const Key& key, const Object& object, const Definition& definition) const;

    std::map<std::string, File> files_;
    std::set<std::string> faulty_;
    std::map<Key, Object> objects_;
    std::map<Kind, KindCount> counts_;
    std::function<void(const std::string& name)> on_good_ = [](const std::string& /*name*/) {};
    std::set<std::string> shared_;  ///< files that define what the last replace() was about, too
};

}  // namespace vr::policy
