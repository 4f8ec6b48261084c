// The whole of vrouterd's config: the machine's (vrouter/config.h) and BGP's.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>

#include "vrouter/config.h"
#include "vrouter/daemon/bgp_config.h"

namespace vr::daemon {

struct Config : vr::Config {
    std::optional<BgpConfig> bgp;
    std::string path = {};  ///< the file that says so; empty: none
};

/// Whether a static route of the config has that prefix: what the config says of one counts.
[[nodiscard]] bool names_route(const Config& config, const IpPrefix& prefix);

/// Reads and checks `path`.
[[nodiscard]] Result<Config> load_config(const std::string& path);

/// The same for text; `name` stands in error messages where the path would.
[[nodiscard]] Result<Config> parse_config(const std::string& text, const std::string& name);

}  // namespace vr::daemon
