// What vrouter-policyd is told at start, from one YAML file; mistakes are answered as vrouterd's are.
//
//   listen: ["[::]:5474"]               # address:port
//   ca: /etc/vrouter/ca.pem             # who may be a host
//   certificate: /etc/vrouter/policyd.pem   # for the names by which hosts call this server
//   key: /etc/vrouter/policyd.key
//   connections: 4096                   # at most
//   datastore: {file: {directory: /etc/vrouter/resources}}   # and state_file; or {etcd: {endpoints: [...], ...}}
//   control: {socket: /run/vrouter/policyd.sock}
//   log: {level: info}                  # debug info warning error
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "policy/policyd/server.h"
#include "vrouter/etcd_config.h"
#include "vrouter/net/log.h"
#include "vrouter/net/result.h"

namespace vr::policyd {

struct PolicydConfig {
    ServerSettings server;
    std::string resource_directory;  ///< empty: etcd
    std::string file_state;          ///< of the directory; empty: none
    std::optional<EtcdConfig> etcd;
    std::string control_socket = "/run/vrouter/policyd.sock";
    log::Level log_level = log::Level::Info;
};

[[nodiscard]] Result<PolicydConfig> load_config(const std::string& path);

/// The same for text; `name` stands in messages where the path would.
[[nodiscard]] Result<PolicydConfig> parse_config(const std::string& text, const std::string& name);

/// One sentence for each thing of a right config that is not so here: directory, certificates, keys.
[[nodiscard]] std::vector<std::string> machine_problems(const PolicydConfig& config);

}  // namespace vr::policyd
