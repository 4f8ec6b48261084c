// SPDX-License-Identifier: Apache-2.0
#include "policy/client_form.h"

#include <algorithm>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "policy/document.h"
#include "policy/resource.h"

namespace vr::policy {

namespace {

Node list_of(const std::vector<std::string_view>& words) {
    Node list;
    list.type = Node::Type::List;
    for (const std::string_view word : words) {
        Node item;
        item.type = Node::Type::Scalar;
        item.text = word;
        list.items.push_back(std::move(item));
    }
    return list;
}

}  // namespace

std::string client_form(const ParsedObject& object) {
    const auto* policy = object.resource ? std::get_if<Policy>(&object.resource->spec) : nullptr;
    auto documents = parse_documents("object", *object.text);
    if (policy == nullptr || !documents || object.key.kind == Kind::StagedKubernetesNetworkPolicy) {
        return *object.text;
    }
    Node& root = documents->front().root;
    const auto spec = std::ranges::find(root.fields, "spec", &Member::key);
    if (spec == root.fields.end() || spec->value.type != Node::Type::Map) {
        return *object.text;
    }
    if (const Node* types = spec->value.find("types"); types != nullptr && !types->items.empty()) {
        return *object.text;
    }
    std::vector<std::string_view> types;
    if (!policy->ingress.empty() || policy->egress.empty()) {
        types.push_back("Ingress");
    }
    if (!policy->egress.empty()) {
        types.push_back("Egress");
    }
    std::erase_if(spec->value.fields, [](const Member& field) { return field.key == "types"; });
    spec->value.fields.push_back({"types", list_of(types)});
    return to_yaml(root);
}

}  // namespace vr::policy
