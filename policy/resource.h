// Resources: from the text of a file to checked objects of the model.
//
// Three grades of trouble, because what is not understood must never open anything (README):
//   - the file cannot be understood as a whole (no YAML, an object without kind or name): error;
//   - an object is invalid: it is listed with the reason, without a resource; where ignoring it could
//     open something it comes with a stand-in that denies, or that holds what can be read (salvage.h);
//   - a field is unknown: a warning, unless it may be a misspelt match criterion.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "policy/document.h"
#include "policy/model.h"
#include "vrouter/net/result.h"

namespace vr::policy {

struct ParsedObject {
    Key key;
    int line = 0;                             ///< where it begins in the file
    std::shared_ptr<const std::string> text;  ///< as written (items of a List: rewritten), YAML
    ResourcePtr resource;                     ///< null: invalid, see error
    std::string error;                        ///< "FILE:LINE: path: reason"
    /// Invalid only: what to enforce if no valid version is known; may be null.
    ResourcePtr stand_in;
    std::string counts;  ///< what of the object `stand_in` holds (salvage.h); may be empty
    std::vector<std::string> warnings;
};

struct ParsedFile {
    std::vector<ParsedObject> objects;
    /// Objects that are none of ours ("FILE:LINE: ..."): they have no effect.
    std::vector<std::string> ignored;
};

[[nodiscard]] Result<ParsedFile> parse_file(std::string_view file, std::string_view text);

/// The same for one object, or one List of them, that is part of another document of `file`.
[[nodiscard]] Result<ParsedFile> parse_root(std::string_view file, const Node& root);

/// Every mistake in the object `root`, which is that of `key`, as ParsedObject::error: one is told where others
/// depend on it.
[[nodiscard]] std::vector<std::string> mistakes(
    std::string_view file, const Key& key, const Node& root);

/// Reads the JSON that a datastore keeps for `key`; `file` names the place in messages.  An error means
/// that the text as a whole is not that object: no JSON, another kind, name or namespace.  ParsedObject's
/// `text` stays null.
[[nodiscard]] Result<ParsedObject> parse_stored(
    std::string_view file, const Key& key, std::string_view json);

}  // namespace vr::policy
