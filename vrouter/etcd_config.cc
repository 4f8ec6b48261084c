// SPDX-License-Identifier: Apache-2.0
#include "vrouter/etcd_config.h"

#include <algorithm>
#include <charconv>

namespace vr {

namespace {

bool is_host(std::string_view text) {
    return !text.empty() && text.size() < 256 &&
           std::ranges::all_of(
               text,
               [](char c) {
                   return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                          (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '_' || c == ':';
               });
}

}  // namespace

std::optional<EtcdEndpoint> EtcdEndpoint::parse(std::string_view url) {
    EtcdEndpoint endpoint;
    constexpr std::string_view kPlain = "http://";
    constexpr std::string_view kTls = "https://";
    endpoint.tls = url.starts_with(kTls);
    if (!endpoint.tls && !url.starts_with(kPlain)) {
        return std::nullopt;
    }
    url.remove_prefix(endpoint.tls ? kTls.size() : kPlain.size());
    if (url.ends_with('/')) {
        url.remove_suffix(1);
    }
    std::string_view port;
    if (url.starts_with('[')) {
        const std::size_t end = url.find(']');
        if (end == std::string_view::npos) {
            return std::nullopt;
        }
        endpoint.host = url.substr(1, end - 1);
        port = url.substr(end + 1);
    } else {
        const std::size_t colon = std::min(url.find(':'), url.size());
        endpoint.host = url.substr(0, colon);
        port = url.substr(colon);
    }
    if (!is_host(endpoint.host)) {
        return std::nullopt;
    }
    if (port.empty()) {
        return endpoint;
    }
    port.remove_prefix(1);
    const char* const end = port.data() + port.size();
    const auto [stop, error] = std::from_chars(port.data(), end, endpoint.port);
    const bool right =
        error == std::errc{} && stop == end && endpoint.port != 0 && *(port.data() - 1) == ':';
    return right ? std::optional(std::move(endpoint)) : std::nullopt;
}

std::string to_string(const EtcdEndpoint& endpoint) {
    const bool bare = endpoint.host.find(':') == std::string::npos;
    return std::string(endpoint.tls ? "https://" : "http://") +
           (bare ? endpoint.host : "[" + endpoint.host + "]") + ":" + std::to_string(endpoint.port);
}

}  // namespace vr
