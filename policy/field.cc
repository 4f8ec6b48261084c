// SPDX-License-Identifier: Apache-2.0
#include "policy/field.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <numeric>

namespace vr::policy {

namespace {

/// Levenshtein's distance.
std::size_t edits(std::string_view a, std::string_view b) {
    std::vector<std::size_t> row(b.size() + 1);
    std::iota(row.begin(), row.end(), std::size_t{0});
    for (std::size_t i = 1; i <= a.size(); ++i) {
        std::size_t diagonal = row[0];
        row[0] = i;
        for (std::size_t j = 1; j <= b.size(); ++j) {
            const std::size_t above = row[j];
            row[j] =
                std::min({above + 1, row[j - 1] + 1, diagonal + (a[i - 1] == b[j - 1] ? 0U : 1U)});
            diagonal = above;
        }
    }
    return row.back();
}

bool has_tag(const Node& node) {
    return node.type == Node::Type::Tagged || std::ranges::any_of(node.items, has_tag) ||
           std::ranges::any_of(node.fields, has_tag, &Member::value);
}

}  // namespace

std::optional<Field> Field::child(std::string_view key) const {
    for (const auto& [name, value] : node_->fields) {
        if (name == key && value.type != Node::Type::Null) {
            return child(name, value);
        }
    }
    return std::nullopt;
}

Field Field::child(std::string_view key, const Node& node) const {
    Field field(file_, node, *warnings_, mistakes_);
    field.parent_ = this;
    field.key_ = key;
    return field;
}

Field Field::item(std::size_t index) const {
    Field field(file_, node_->items[index], *warnings_, mistakes_);
    field.parent_ = this;
    field.index_ = index;
    return field;
}

std::string Field::path() const {
    if (parent_ == nullptr) {
        return {};
    }
    const std::string above = parent_->path();
    if (key_.empty()) {
        return fmt::format("{}[{}]", above, index_);
    }
    return above.empty() ? std::string(key_) : fmt::format("{}.{}", above, key_);
}

std::unexpected<Error> Field::error(std::string_view what) const {
    const std::string where = path();
    return fail(
        where.empty() ? fmt::format("{}:{}: {}", file_, node_->line, what)
                      : fmt::format("{}:{}: {}: {}", file_, node_->line, where, what));
}

void Field::warn(std::string_view what) const {
    warnings_->push_back(error(what).error().text);
}

bool Field::goes_on(const Result<void>& parsed, Result<void>& first) const {
    if (parsed) {
        return true;
    }
    if (first) {
        first = parsed;
    }
    if (mistakes_ == nullptr) {
        return false;
    }
    if (std::ranges::count(*mistakes_, parsed.error().text) ==
        0) {  // told of a field within already
        mistakes_->push_back(parsed.error().text);
    }
    return true;
}

Result<void> Field::expect_map() const {
    if (node_->type != Node::Type::Map) {
        return error("expected fields (key: value)");
    }
    return {};
}

Result<void> Field::expect_list(std::size_t max) const {
    if (node_->type != Node::Type::List) {
        return error("expected a list");
    }
    if (node_->items.size() > max) {
        return error(fmt::format("{} entries, at most {} allowed", node_->items.size(), max));
    }
    return {};
}

Result<std::string> Field::text() const {
    if (node_->type != Node::Type::Scalar) {
        return node_->type == Node::Type::Null && node_->quoted ? Result<std::string>(std::string())
                                                                : error("expected a text");
    }
    return node_->text;
}

Result<int> Field::seconds() const {
    const std::string& text = node_->text;
    const char* at = text.data();
    const char* const end = at + text.size();
    int total = 0;
    while (at != end) {
        int value = 0;
        const auto [stop, error] = std::from_chars(at, end, value);
        if (error != std::errc{} || value < 0 || value > 100'000 || stop == end) {
            break;
        }
        const int unit = *stop == 'h' ? 3600 : *stop == 'm' ? 60 : *stop == 's' ? 1 : 0;
        if (unit == 0 || total > 1'000'000) {
            break;
        }
        total += value * unit;
        at = stop + 1;
    }
    if (text.empty() || at != end) {
        return this->error(fmt::format("'{}' is not a duration such as 120s", text));
    }
    return total;
}

Result<std::int64_t> Field::integer(std::int64_t min, std::int64_t max) const {
    const std::string& text = node_->text;
    std::int64_t value = 0;
    const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (node_->type != Node::Type::Scalar || failed != std::errc{} ||
        end != text.data() + text.size() || value < min || value > max) {
        return error(fmt::format("'{}' is not a whole number from {} to {}", text, min, max));
    }
    return value;
}

Result<double> Field::number() const {
    const std::string& text = node_->text;
    double value = 0;
    const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (node_->type != Node::Type::Scalar || failed != std::errc{} ||
        end != text.data() + text.size() || !std::isfinite(value)) {
        return error(fmt::format("'{}' is not a number", text));
    }
    return value;
}

Result<bool> Field::boolean() const {
    if (node_->type != Node::Type::Scalar || (node_->text != "true" && node_->text != "false")) {
        return error(fmt::format("'{}' is neither true nor false", node_->text));
    }
    return node_->text == "true";
}

Result<std::vector<std::string>> Field::texts() const {
    std::vector<std::string> all;
    auto read = each(
        [&](const Field& item) -> Result<void> { return store(item.text(), all.emplace_back()); });
    if (!read) {
        return std::unexpected(std::move(read).error());
    }
    return all;
}

std::string_view similar(std::string_view key, std::span<const std::string_view> known) {
    for (const auto name : known) {
        if (edits(key, name) <= 2) {
            return name;
        }
    }
    return {};
}

Result<void> unknown_key(
    const Field& field,
    std::string_view key,
    std::span<const std::string_view> known,
    Unknown unknown) {
    const std::string_view meant = similar(key, known);
    const std::string what = meant.empty() ? std::string("unknown field")
                                           : fmt::format("unknown field, is it '{}'?", meant);
    if (unknown == Unknown::Refuse || (unknown == Unknown::RefuseSimilar && !meant.empty())) {
        return field.error(what);
    }
    field.warn(what + ", ignored");
    return {};
}

Result<void> refuse_tags(const Field& field) {
    const Node& node = field.node();
    if (node.type == Node::Type::Tagged) {
        return field.error(what_is_wrong_with_tag(node.text));
    }
    Result<void> refused;
    if (!has_tag(node)) {
        return refused;  // as a rule: to be found soon
    }
    for (std::size_t i = 0; refused && i < node.items.size(); ++i) {
        refused = refuse_tags(field.item(i));
    }
    for (auto at = node.fields.begin(); refused && at != node.fields.end(); ++at) {
        refused = refuse_tags(field.child(at->key, at->value));
    }
    return refused;
}

}  // namespace vr::policy
