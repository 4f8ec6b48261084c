// SPDX-License-Identifier: Apache-2.0
#include "vrouter/daemon/config.h"

#include <algorithm>

#include <yaml-cpp/yaml.h>

#include "vrouter/yaml_section.h"

namespace vr::daemon {

namespace {

/// What the section `bgp` has to know of the others.  Whether they are right is not asked here.
BgpSurroundings around_bgp(YamlSection& root) {
    BgpSurroundings around;
    around.has_datastore = root.take("datastore").IsDefined();
    const YAML::Node dataplane = root.take("dataplane");
    if (!dataplane.IsDefined() || !dataplane.IsScalar() || dataplane.Scalar() != "none") {
        around.ports.emplace();
    }
    const YAML::Node ports = root.take("ports");
    for (std::size_t i = 0;
         around.ports && ports.IsDefined() && ports.IsSequence() && i < ports.size();
         ++i) {
        const YAML::Node port = ports[i];
        const YAML::Node name = port.IsMap() ? port["name"] : YAML::Node{};
        if (name.IsDefined() && name.IsScalar()) {
            around.ports->insert(name.Scalar());
        }
    }
    const YAML::Node host = root.take("host");
    around.has_host_path = host.IsDefined() && host.IsMap() && host["tap"].IsDefined();
    return around;
}

}  // namespace

bool names_route(const Config& config, const IpPrefix& prefix) {
    return std::ranges::find(config.routes, prefix, &StaticRoute::prefix) != config.routes.end();
}

Result<Config> parse_config(const std::string& text, const std::string& name) {
    std::optional<BgpConfig> bgp;
    auto machine = vr::parse_config(text, name, [&](YamlSection& root) {
        const BgpSurroundings around = around_bgp(root);
        root.section("bgp", [&](YamlSection& section) { bgp = read_bgp(section, around); });
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
    auto config = parse_config(*text, path);
    if (config) {
        config->path = path;
    }
    return config;
}

}  // namespace vr::daemon
