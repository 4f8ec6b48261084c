// How etcd is reached: the config file's `datastore.etcd`.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace vr {

/// "https://etcd-1.example:2379"
struct EtcdEndpoint {
    bool tls = false;
    std::string host;  ///< a name or an address, without brackets
    std::uint16_t port = 2379;

    /// "http://" or "https://", a host, and perhaps ":PORT".
    [[nodiscard]] static std::optional<EtcdEndpoint> parse(std::string_view url);

    friend bool operator==(const EtcdEndpoint&, const EtcdEndpoint&) = default;
};

[[nodiscard]] std::string to_string(const EtcdEndpoint& endpoint);

struct EtcdConfig {
    std::vector<EtcdEndpoint> endpoints;  ///< one is used at a time
    std::string ca;  ///< file of the authorities that may vouch for etcd; empty: the system's
    std::string certificate;  ///< file of ours, with its chain; empty: none
    std::string key;          ///< file of its private key
    std::string username;     ///< empty: no authentication
    std::string password_file;
    std::string prefix = "/calico";
    std::string region = "no-region";  ///< part of the keys of status
    std::string state_file = "/var/lib/vrouter/etcd.state";
    bool write_node = true;  ///< keep the addresses of BGP in our Node resource
};

}  // namespace vr
