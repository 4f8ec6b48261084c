// SPDX-License-Identifier: Apache-2.0
#include "policy/etcd/keys.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace vr::policy::etcd {

namespace {

/// A part of a path; what would end it is written as %25 and %2f.
std::string escape(std::string_view part) {
    std::string text;
    for (const char c : part) {
        if (c == '%') {
            text += "%25";
        } else if (c == '/') {
            text += "%2f";
        } else {
            text += c;
        }
    }
    return text;
}

/// Whether `part` can be shown and sent as text; what names may be made of is checked with the object.
bool is_word(std::string_view part) {
    return !part.empty() &&
           std::ranges::all_of(part, [](char c) { return c > ' ' && c <= '~' && c != '/'; });
}

/// Cuts the part before the next "/" off `path`.
std::string_view cut(std::string_view& path) {
    const std::size_t end = std::min(path.find('/'), path.size());
    const std::string_view part = path.substr(0, end);
    path.remove_prefix(std::min(end + 1, path.size()));
    return part;
}

}  // namespace

std::string Keys::resources() const {
    return root_ + "/resources/v3/projectcalico.org/";
}

std::string Keys::of(const Key& key) const {
    std::string path = resources() + std::string(row_of(key.kind).plural) + "/";
    if (!key.ns.empty()) {
        path += key.ns + "/";
    }
    return path + key.name;
}

std::string Keys::cluster_information() const {
    return resources() + "clusterinformations/default";
}

std::string Keys::felix_configuration(std::string_view name) const {
    return resources() + "felixconfigurations/" + std::string(name);
}

std::optional<Key> Keys::resource(std::string_view key) const {
    const auto row = row_at(key);
    if (!row) {
        return std::nullopt;
    }
    Key resource{row->kind, {}, {}};
    if (row->namespaced) {
        resource.ns = cut(key);
    }
    resource.name = key;
    const bool right = is_word(resource.name) && (!row->namespaced || is_word(resource.ns));
    return right ? std::optional(std::move(resource)) : std::nullopt;
}

std::optional<Kind> Keys::misnamed(std::string_view key) const {
    if (resource(key)) {
        return std::nullopt;
    }
    const auto row = row_at(key);
    return row ? std::optional(row->kind) : std::nullopt;
}

/// The kind whose keys begin as `path` does, which is cut off; nothing for what is no kind's.
std::optional<KindRow> Keys::row_at(std::string_view& path) const {
    const std::string prefix = resources();
    if (!path.starts_with(prefix)) {
        return std::nullopt;
    }
    path.remove_prefix(prefix.size());
    const std::string_view plural = cut(path);
    const auto rows = kinds();
    const auto row = std::ranges::find(rows, plural, &KindRow::plural);
    return row == rows.end() ? std::nullopt : std::optional(*row);
}

std::string Keys::status(std::string_view region, std::string_view host) const {
    return fmt::format("{}/felix/v2/{}/host/{}/status", root_, escape(region), escape(host));
}

std::string Keys::last_status(std::string_view region, std::string_view host) const {
    return fmt::format(
        "{}/felix/v2/{}/host/{}/last_reported_status", root_, escape(region), escape(host));
}

std::string Keys::endpoint_statuses(std::string_view region, std::string_view host) const {
    return fmt::format("{}/felix/v2/{}/host/{}/workload/", root_, escape(region), escape(host));
}

std::string Keys::host_endpoint_statuses(std::string_view host) const {
    return fmt::format("{}/felix/v1/host/{}/endpoint/", root_, escape(host));
}

std::optional<std::string> Keys::endpoint_status(
    std::string_view region, std::string_view host, const Key& endpoint) const {
    if (endpoint.kind == Kind::HostEndpoint) {
        return host_endpoint_statuses(host) + escape(endpoint.name);
    }
    const auto name = parse_endpoint_name(endpoint.name);
    if (!name) {
        return std::nullopt;
    }
    return fmt::format(
        "{}{}/{}/endpoint/{}",
        endpoint_statuses(region, host),
        escape(name->orchestrator),
        escape(endpoint.ns + "/" + name->workload),
        escape(name->endpoint));
}

std::optional<EndpointName> parse_endpoint_name(std::string_view name) {
    std::array<std::string, 4> parts;
    std::size_t part = 0;
    for (std::size_t i = 0; i < name.size(); ++i) {
        if (name[i] != '-') {
            parts[part] += name[i];
        } else if (i + 1 < name.size() && name[i + 1] == '-') {
            parts[part] += '-';
            ++i;
        } else if (++part == parts.size()) {
            return std::nullopt;
        }
    }
    if (std::ranges::any_of(parts, &std::string::empty)) {
        return std::nullopt;
    }
    return EndpointName{parts[0], parts[1], parts[2], parts[3]};
}

}  // namespace vr::policy::etcd
