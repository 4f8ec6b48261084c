// SPDX-License-Identifier: Apache-2.0
#include "policy/policyd/config.h"

#include <algorithm>
#include <iterator>
#include <memory>
#include <optional>
#include <utility>

#include <yaml-cpp/yaml.h>

#include "policy/policyd/wire.h"
#include "vrouter/etcd_section.h"
#include "vrouter/net/addr.h"
#include "vrouter/net/host_port.h"
#include "vrouter/source_files.h"
#include "vrouter/yaml_section.h"

namespace vr::policyd {

namespace {

std::optional<std::string> parse_listen(const std::string& text) {
    const auto address = HostPort::parse(text, kPolicydPort);
    return address && parse_ip(address->host) ? std::optional(text) : std::nullopt;
}

void read_text(YamlSection& yaml, const char* key, std::string& into) {
    if (auto text = yaml.text(key)) {
        into = std::move(*text);
    }
}

void read_required(YamlSection& yaml, const char* key, std::string& into) {
    yaml.require(key);
    read_text(yaml, key, into);
}

void read_root(YamlSection& yaml, PolicydConfig& config) {
    ServerSettings& server = config.server;
    yaml.require("listen");
    server.listen = yaml.list("listen", "an address and port like 192.0.2.1:5474", parse_listen);
    read_required(yaml, "ca", server.credentials.ca);
    read_required(yaml, "certificate", server.credentials.certificate);
    read_required(yaml, "key", server.credentials.key);
    if (const auto most = yaml.number("connections", 1, 100000)) {
        server.most_connections = *most;
    }
    yaml.require("datastore");
    yaml.section("datastore", [&](YamlSection& datastore) {
        datastore.section("file", [&](YamlSection& file) {
            read_required(file, "directory", config.resource_directory);
            config.file_state =
                file.value("state_file", "the path of a file", absolute_path).value_or("");
        });
        datastore.section("etcd", [&](YamlSection& etcd) {
            EtcdConfig defaults;
            defaults.state_file = "/var/lib/vrouter/policyd.state";
            config.etcd = read_etcd(etcd, std::move(defaults));
        });
        if (datastore.ok() && config.resource_directory.empty() != config.etcd.has_value()) {
            datastore.refuse("file", "there is one datastore: file or etcd");
        }
    });
    yaml.section("control", [&](YamlSection& c) { read_text(c, "socket", config.control_socket); });
    yaml.section("log", [&](YamlSection& log) {
        config.log_level = read_log_level(log).value_or(config.log_level);
    });
    if (yaml.ok() && server.listen.empty()) {
        yaml.refuse("listen", "at least one address is needed");
    }
    yaml.finish();
}

}  // namespace

Result<PolicydConfig> parse_config(const std::string& text, const std::string& name) {
    const auto file = std::make_shared<YamlSection::File>(YamlSection::File{name, std::nullopt});
    PolicydConfig config;
    try {
        YamlSection root{file, YAML::Load(text), ""};
        if (root.ok()) {
            read_root(root, config);
        }
    } catch (const YAML::Exception& e) {
        return fail(name + ":" + std::to_string(e.mark.line + 1) + ": " + e.msg);
    }
    if (file->error) {
        return std::unexpected(*file->error);
    }
    return config;
}

Result<PolicydConfig> load_config(const std::string& path) {
    const auto text = read_config_file(path);
    return text ? parse_config(*text, path) : std::unexpected(text.error());
}

std::vector<std::string> machine_problems(const PolicydConfig& config) {
    const Credentials& own = config.server.credentials;
    auto problems = tls_file_problems({own.ca, own.certificate, own.key});
    if (config.etcd) {
        std::ranges::copy(etcd_file_problems(*config.etcd), std::back_inserter(problems));
    } else if (const auto problem = directory_problem(config.resource_directory)) {
        problems.push_back("datastore.file.directory: " + *problem);
    }
    return problems;
}

}  // namespace vr::policyd
