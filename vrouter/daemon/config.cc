// SPDX-License-Identifier: Apache-2.0
#include "vrouter/daemon/config.h"

#include "vrouter/yaml_section.h"

namespace vr::daemon {

Result<Config> parse_config(const std::string& text, const std::string& name) {
    std::optional<BgpConfig> bgp;
    auto machine = vr::parse_config(text, name, [&](YamlSection& root) {
        const bool has_datastore = root.take("datastore").IsDefined();
        root.section("bgp", [&](YamlSection& section) { bgp = read_bgp(section, has_datastore); });
    });
    if (!machine) {
        return std::unexpected(std::move(machine).error());
    }
    if (machine->dataplane && bgp) {
        // Who just started has forwarded nothing so far; `bgp restart` is another matter.
        bgp->speaker.selection_deferral.reset();
    }
    return Config{*std::move(machine), std::move(bgp)};
}

Result<Config> load_config(const std::string& path) {
    const auto text = read_config_file(path);
    if (!text) {
        return std::unexpected(text.error());
    }
    return parse_config(*text, path);
}

}  // namespace vr::daemon
