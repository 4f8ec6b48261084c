// Secrets in files: passwords of BGP sessions.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "vrouter/net/result.h"

namespace vr::daemon {

/// The content of the file at `path` without the end of its last line.  Refused are files that others
/// than owner and group may read or write, that are no plain files, and that are empty or too long for
/// a password (80 octets).
[[nodiscard]] Result<std::string> read_secret(const std::string& path);

/// Where NAME/KEY of a secret reference is below `directory`; refused when a part could lead out of it.
[[nodiscard]] Result<std::string> secret_path(
    const std::string& directory, const std::string& name, const std::string& key);

}  // namespace vr::daemon
