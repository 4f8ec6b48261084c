// What a datastore's section of a config names and this machine does not have.  Touches nothing.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "vrouter/etcd_config.h"
#include "vrouter/tls_files.h"

namespace vr {

/// Why resources cannot be read from the directory `path`.
[[nodiscard]] std::optional<std::string> directory_problem(const std::string& path);

/// tls_file_problems(), each behind `section` and a dot: "datastore.policyd.key: ...".
[[nodiscard]] std::vector<std::string> tls_file_problems(
    std::string_view section, const TlsFiles& files);

/// The same for etcd, with its password file.
[[nodiscard]] std::vector<std::string> etcd_file_problems(const EtcdConfig& config);

}  // namespace vr
