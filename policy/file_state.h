// The last good state of a directory on disk, so that what is no longer valid when a router starts has its
// last valid version, as it would have had without the restart.
//
//   "vrouter files state 1\n"  directory  count  (file text)...  SHA-256 of all before
// Written and checked as sealed_file.h says.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "policy/catalog.h"
#include "vrouter/net/result.h"

namespace vr::policy {

/// By the names of files.
using GoodTexts = std::map<std::string, std::string>;

// Pure.
/// `files` by their names.
[[nodiscard]] std::string encode_files(
    std::string_view directory, const std::map<std::string, Catalog::Good>& files);
/// Nothing is good of the state of another directory.
[[nodiscard]] Result<GoodTexts> decode_files(std::string_view directory, std::string_view bytes);

/// Reads the file at `path`; an absent one is an empty state.
[[nodiscard]] Result<GoodTexts> read_good_texts(
    const std::string& path, std::string_view directory);

}  // namespace vr::policy
