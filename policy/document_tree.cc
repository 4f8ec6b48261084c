// SPDX-License-Identifier: Apache-2.0
#include "policy/document_tree.h"

#include <algorithm>
#include <array>
#include <utility>

namespace vr::policy {

namespace {

/// Of a map: more cost moving those that are there.
constexpr std::size_t kUsualFields = 4;

constexpr std::string_view kCore = "tag:yaml.org,2002:";

/// A core tag that says what `node` is anyway.
bool is_redundant(std::string_view tag, const Node& node) {
    if (!tag.starts_with(kCore)) {
        return false;
    }
    tag.remove_prefix(kCore.size());
    switch (node.type) {
        case Node::Type::Map:
            return tag == "map";
        case Node::Type::List:
            return tag == "seq";
        case Node::Type::Scalar:
            return tag == "str" ||
                   (!node.quoted && (tag == "int" || tag == "float" || tag == "bool"));
        case Node::Type::Null:
        case Node::Type::Tagged:
            break;
    }
    return false;
}

void apply_tag(std::string_view tag, Node& node) {
    if (!tag.empty() && !is_redundant(tag, node)) {
        Node tagged;
        tagged.type = Node::Type::Tagged;
        tagged.line = node.line;
        tagged.text = tag;
        node = std::move(tagged);
    }
}

/// YAML 1.2 10.3.2.
bool is_null(std::string_view text) {
    constexpr std::array<std::string_view, 5> kNull{"", "~", "null", "Null", "NULL"};
    return std::ranges::count(kNull, text) != 0;
}

}  // namespace

TreeBuilder::Wrong TreeBuilder::begin_document(std::size_t line) {
    if (std::exchange(begun_, true)) {
        return Mistake{line_in_file(line), "expected one document"};
    }
    return std::nullopt;
}

TreeBuilder::Wrong TreeBuilder::alias(std::size_t line) const {
    return Mistake{line_in_file(line), "aliases (*name) are not supported"};
}

TreeBuilder::Wrong TreeBuilder::scalar(
    std::size_t line, std::string_view text, Style style, std::string_view tag) {
    const bool quoted =
        style == Style::Quoted || (tag.starts_with(kCore) && tag.substr(kCore.size()) == "str");
    Node node = make(!quoted && is_null(text) ? Node::Type::Null : Node::Type::Scalar, line);
    node.quoted = quoted;
    node.text = text;
    apply_tag(tag, node);
    return place(std::move(node));
}

TreeBuilder::Wrong TreeBuilder::open(Node::Type type, std::size_t line, std::string_view tag) {
    if (levels_.size() >= kMaxDepth) {
        return Mistake{line_in_file(line), "nested too deep"};
    }
    Level& level = levels_.emplace_back(make(type, line), std::string(tag));
    level.node.fields.reserve(type == Node::Type::Map ? kUsualFields : 0);
    return std::nullopt;
}

TreeBuilder::Wrong TreeBuilder::close() {
    Level level = std::move(levels_.back());
    levels_.pop_back();
    apply_tag(level.tag, level.node);
    return place(std::move(level.node));
}

Node TreeBuilder::make(Node::Type type, std::size_t line) const {
    Node node;
    node.type = type;
    node.line = line_in_file(line);
    return node;
}

TreeBuilder::Wrong TreeBuilder::place(Node&& node) {
    if (levels_.empty()) {
        root_ = std::move(node);
        return std::nullopt;
    }
    Level& level = levels_.back();
    if (level.node.type == Node::Type::List) {
        level.node.items.push_back(std::move(node));
        return std::nullopt;
    }
    if (level.has_key) {
        level.node.fields.push_back({std::move(level.key), std::move(node)});
        level.has_key = false;
        return std::nullopt;
    }
    return take_key(level, std::move(node));
}

TreeBuilder::Wrong TreeBuilder::take_key(Level& level, Node&& node) {
    if (node.type == Node::Type::Tagged) {
        return Mistake{node.line, what_is_wrong_with_tag(node.text)};
    }
    if (node.type == Node::Type::List || node.type == Node::Type::Map) {
        return Mistake{node.line, "a key must be a text"};
    }
    const auto same = [&](const auto& field) { return field.key == node.text; };
    if (std::ranges::any_of(level.node.fields, same)) {
        return Mistake{node.line, "'" + node.text + "' is given twice"};
    }
    level.key = std::move(node.text);
    level.has_key = true;
    return std::nullopt;
}

}  // namespace vr::policy
