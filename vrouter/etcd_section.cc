// SPDX-License-Identifier: Apache-2.0
#include "vrouter/etcd_section.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

namespace vr {

namespace {

template <typename Value>
void assign(Value& to, std::optional<Value> from) {
    if (from) {
        to = std::move(*from);
    }
}

}  // namespace

EtcdConfig read_etcd(YamlSection& yaml, EtcdConfig config) {
    yaml.require("endpoints");
    config.endpoints =
        yaml.list("endpoints", "a URL like https://192.0.2.1:2379", [](const std::string& s) {
            return EtcdEndpoint::parse(s);
        });
    if (config.endpoints.empty()) {
        yaml.refuse("endpoints", "at least one endpoint is needed");
    }
    assign(config.ca, yaml.text("ca"));
    assign(config.certificate, yaml.text("certificate"));
    assign(config.key, yaml.text("key"));
    assign(config.username, yaml.text("username"));
    assign(config.password_file, yaml.text("password_file"));
    assign(config.prefix, yaml.value("prefix", "a path like /calico", absolute_path));
    assign(config.state_file, yaml.value("state_file", "the path of a file", absolute_path));
    assign(config.region, yaml.value("region", "a name", [](const std::string& s) {
        return s.empty() ? std::nullopt : std::optional{"region-" + s};
    }));
    assign(config.write_node, yaml.boolean("write_node"));
    if (config.certificate.empty() != config.key.empty()) {
        yaml.refuse("certificate", "certificate and key belong together");
    }
    if (config.username.empty() != config.password_file.empty()) {
        yaml.refuse("username", "username and password_file belong together");
    }
    const bool secret = !config.ca.empty() || !config.certificate.empty();
    if (secret && !std::ranges::all_of(config.endpoints, &EtcdEndpoint::tls)) {
        yaml.refuse("endpoints", "with ca or certificate every endpoint must be https://");
    }
    return config;
}

}  // namespace vr
