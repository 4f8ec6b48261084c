// Where Calico keeps what in etcd, DATASTORE 3.1.  Pure.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "policy/model.h"

namespace vr::policy::etcd {

/// The keys of one Calico cluster: all below `root`, as a rule "/calico".
class Keys {
  public:
    explicit Keys(std::string root) : root_(std::move(root)) {}

    /// What all resources' keys begin with.
    [[nodiscard]] std::string resources() const;
    [[nodiscard]] std::string of(const Key& key) const;
    [[nodiscard]] std::string cluster_information() const;
    /// FelixConfiguration `name`.
    [[nodiscard]] std::string felix_configuration(std::string_view name) const;

    /// The resource that a key is about; nothing for kinds that are not acted upon.
    [[nodiscard]] std::optional<Key> resource(std::string_view key) const;
    /// The kind among whose keys one is that names no object of it; nothing for all others.
    [[nodiscard]] std::optional<Kind> misnamed(std::string_view key) const;

    /// The agent status of `host`; `region` as in "no-region" or "region-NAME".
    [[nodiscard]] std::string status(std::string_view region, std::string_view host) const;
    [[nodiscard]] std::string last_status(std::string_view region, std::string_view host) const;
    /// What the status keys of all workload endpoints of `host` begin with, and of its host endpoints.
    [[nodiscard]] std::string endpoint_statuses(
        std::string_view region, std::string_view host) const;
    [[nodiscard]] std::string host_endpoint_statuses(std::string_view host) const;
    /// The status of an endpoint; nothing for a WorkloadEndpoint whose name does not say what it belongs to.
    [[nodiscard]] std::optional<std::string> endpoint_status(
        std::string_view region, std::string_view host, const Key& endpoint) const;

  private:
    [[nodiscard]] std::optional<KindRow> row_at(std::string_view& path) const;

    std::string root_;
};

/// The parts of a WorkloadEndpoint's name, which are joined by "-" with each "-" inside doubled.
struct EndpointName {
    std::string node;
    std::string orchestrator;
    std::string workload;
    std::string endpoint;

    friend bool operator==(const EndpointName&, const EndpointName&) = default;
};

[[nodiscard]] std::optional<EndpointName> parse_endpoint_name(std::string_view name);

}  // namespace vr::policy::etcd
