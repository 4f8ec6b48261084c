// FileWrites: which files of a directory are to hold what a user gives, one object each.  Pure.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "policy/catalog.h"

namespace vr::policy {

struct FileWrite {
    Key key;
    std::string file;
    std::string text;
};

/// What is to be written for the objects of `yaml`, all of which must be valid; `file` is what its mistakes
/// are told of.
[[nodiscard]] Result<std::vector<FileWrite>> plan_writes(
    const Catalog& catalog, std::string_view file, std::string_view yaml);

/// The file to which an object is to be written: the one that holds it, and it alone, or else a new one,
/// "networkpolicy.prod.web.yaml".
[[nodiscard]] Result<std::string> file_for(const Catalog& catalog, const Key& key);

}  // namespace vr::policy
