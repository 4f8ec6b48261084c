// SPDX-License-Identifier: Apache-2.0
#include "policy/etcd/status.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include "policy/document.h"
#include "policy/json_document.h"

namespace vr::policy::etcd {

namespace {

Node map() {
    Node node;
    node.type = Node::Type::Map;
    return node;
}

Node scalar(std::string text, bool quoted) {
    Node node;
    node.type = Node::Type::Scalar;
    node.text = std::move(text);
    node.quoted = quoted;
    return node;
}

Node& child(Node& parent, std::string_view key) {
    for (Member& member : parent.fields) {
        if (member.key == key) {
            return member.value;
        }
    }
    return parent.fields.emplace_back(std::string(key), Node{}).value;
}

/// The map at `key`; what is no map is replaced.
Node& child_map(Node& parent, std::string_view key) {
    Node& node = child(parent, key);
    if (node.type != Node::Type::Map) {
        node = map();
    }
    return node;
}

}  // namespace

std::string agent_status(
    std::chrono::system_clock::time_point now, std::chrono::milliseconds uptime, bool first) {
    return fmt::format(
        R"({{"time":"{:%Y-%m-%dT%H:%M:%SZ}","uptime":{:.3f},"first_update":{}}})",
        fmt::gmtime(std::chrono::system_clock::to_time_t(now)),
        std::chrono::duration<double>(uptime).count(),
        first);
}

std::string endpoint_status(std::string_view status) {
    return fmt::format(R"({{"status":"{}"}})", status);
}

std::optional<bool> wants_reports(const std::string& felix_configuration) {
    const auto root = parse_json("FelixConfiguration", felix_configuration);
    const Node* spec = root ? root->find("spec") : nullptr;
    const Node* enabled = spec != nullptr ? spec->find("endpointReportingEnabled") : nullptr;
    return enabled != nullptr ? std::optional(enabled->text == "true") : std::nullopt;
}

bool reports_endpoints(
    const std::map<std::string, std::optional<bool>>& said, const std::string& node) {
    for (const std::string& name : {"node." + node, std::string("default")}) {
        if (const auto found = said.find(name); found != said.end() && found->second) {
            return *found->second;
        }
    }
    return false;
}

std::optional<EndpointStatuses::Write> EndpointStatuses::next() const {
    for (const auto& [key, value] : wanted_) {
        const auto stored = stored_.find(key);
        if (value && (stored == stored_.end() || stored->second != *value)) {
            return Write{key, value};
        }
    }
    for (const auto& [key, value] : stored_) {
        if (!wanted_.contains(key)) {
            return Write{key, std::nullopt};
        }
    }
    return std::nullopt;
}

void EndpointStatuses::written(const Write& write) {
    if (write.value) {
        stored_[write.key] = *write.value;
    } else {
        stored_.erase(write.key);
    }
}

Result<std::optional<std::string>> node_resource(
    const std::string* before, const std::string& node, const NodeFacts& facts) {
    Node root = map();
    if (before != nullptr) {
        auto parsed = parse_json("Node " + node, *before);
        if (!parsed) {
            return std::unexpected(std::move(parsed).error());
        }
        if (parsed->type != Node::Type::Map) {
            return fail("Node " + node + ": is no object");
        }
        root = *std::move(parsed);
    }
    const std::string old = to_json(root);
    child(root, "kind") = scalar("Node", true);
    child(root, "apiVersion") = scalar("projectcalico.org/v3", true);
    child(child_map(root, "metadata"), "name") = scalar(node, true);
    Node& bgp = child_map(child_map(root, "spec"), "bgp");
    if (facts.as_number) {
        child(bgp, "asNumber") = scalar(fmt::format("{}", facts.as_number->value()), false);
    }
    if (!facts.address4.empty()) {
        child(bgp, "ipv4Address") = scalar(facts.address4, true);
    }
    if (!facts.address6.empty()) {
        child(bgp, "ipv6Address") = scalar(facts.address6, true);
    }
    std::string now = to_json(root);
    return now == old ? std::optional<std::string>{} : std::optional(std::move(now));
}

}  // namespace vr::policy::etcd
