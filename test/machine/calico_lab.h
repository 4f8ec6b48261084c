// What the tests of Calico's BGP resources have in common: a cluster, and how it is read.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "policy/resource.h"
#include "vrouter/daemon/calico_bgp.h"

namespace vr::daemon::calico_lab {

using policy::Kind;

inline constexpr const char* kConfig = R"(
node: host1
ports: [{name: eth0, device: d, addresses: [192.0.2.1/24, "fd00::1/64"]}]
datastore: {file: {directory: /d}}
bgp: {}
)";

inline constexpr const char* kReflectorConfig =
    "node: reflector\ndataplane: none\ndatastore: {file: {directory: /d}}\nbgp: {}";

inline constexpr const char* kNodes = R"(
apiVersion: projectcalico.org/v3
kind: Node
metadata: {name: host1, labels: {rack: a}}
spec: {bgp: {ipv4Address: 192.0.2.1/24}}
---
apiVersion: projectcalico.org/v3
kind: Node
metadata: {name: host2, labels: {rack: a}}
spec: {bgp: {ipv4Address: 192.0.2.2/24, asNumber: 64999}}
---
apiVersion: projectcalico.org/v3
kind: Node
metadata: {name: host3, labels: {rack: b}}
spec: {bgp: {ipv4Address: 192.0.2.3/24}}
---
apiVersion: projectcalico.org/v3
kind: Node
metadata: {name: reflector, labels: {reflector: "yes"}}
spec: {bgp: {ipv4Address: 192.0.2.9/24, routeReflectorClusterID: 224.0.0.1}}
---
apiVersion: projectcalico.org/v3
kind: Node
metadata: {name: unaddressed}
spec: {}
)";

inline BgpResources resources(const std::string& documents) {
    const auto file = policy::parse_file("f", documents);
    BgpResources found;
    if (!file) {
        ADD_FAILURE() << file.error().text;
        return found;
    }
    for (const policy::ParsedObject& object : file->objects) {
        auto& list = object.key.kind == Kind::BGPConfiguration ? found.configurations
                     : object.key.kind == Kind::BGPFilter      ? found.filters
                     : object.key.kind == Kind::IPPool         ? found.pools
                     : object.key.kind == Kind::Node           ? found.nodes
                                                               : found.peers;
        if (const auto& in_force = object.resource ? object.resource : object.stand_in) {
            list.push_back(in_force);
        }
    }
    return found;
}

inline Result<std::string> open_sesame(const policy::SecretRef& reference) {
    return reference.name == "bgp" ? Result<std::string>{"sesame " + reference.key}
                                   : fail("secret '" + reference.name + "': No such file");
}

inline CalicoBgp read(
    const std::string& documents, const std::string& nodes = kNodes, const char* config = kConfig) {
    auto parsed = parse_config(config, "f");
    if (!parsed) {
        ADD_FAILURE() << parsed.error().text;
        return {};
    }
    return calico_bgp(*parsed, resources(nodes + "---\n" + documents), open_sesame);
}

inline std::string bgp_peer(const std::string& spec, const std::string& name = "p") {
    return "---\napiVersion: projectcalico.org/v3\nkind: BGPPeer\nmetadata: {name: " + name +
           "}\nspec: " + spec + "\n";
}

inline std::string configuration(const std::string& spec, const std::string& name = "default") {
    return "---\napiVersion: projectcalico.org/v3\nkind: BGPConfiguration\nmetadata: {name: " +
           name + "}\nspec: " + spec + "\n";
}

inline std::string filter(const std::string& spec) {
    return "---\napiVersion: projectcalico.org/v3\nkind: BGPFilter\nmetadata: {name: f}\nspec: " +
           spec + "\n";
}

inline const std::string kNoMesh = configuration("{nodeToNodeMeshEnabled: false}");

inline std::vector<std::string> addresses(const CalicoBgp& calico) {
    std::vector<std::string> all;
    for (const auto& [address, peer] : calico.peers) {
        all.push_back(to_string(address));
    }
    return all;
}

using Addresses = std::vector<std::string>;

inline std::vector<std::string> problems(
    const CalicoBgp& calico, Kind kind, const std::string& name) {
    const auto found = calico.problems.find({kind, "", name});
    return found == calico.problems.end() ? std::vector<std::string>{} : found->second;
}

}  // namespace vr::daemon::calico_lab
