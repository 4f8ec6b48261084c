// Field: a node of a document together with the way to it, so that an error can say where.
//
//   web.yaml:12: spec.ingress[0].protocol: unknown protocol 'tpc', expected TCP, UDP, ...
//
// A Field points to its parent, which must outlive it: pass fields down, never store them.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "policy/document.h"
#include "vrouter/net/result.h"

namespace vr::policy {

class Field {
  public:
    /// The root of a document; warnings of all fields below go to `warnings`.  Where `mistakes` is given, reading
    /// goes on behind a mistake among several fields: all of them go there, and the first is the error.
    Field(
        std::string_view file,
        const Node& node,
        std::vector<std::string>& warnings,
        std::vector<std::string>* mistakes = nullptr)
        : file_(file), node_(&node), warnings_(&warnings), mistakes_(mistakes) {}

    [[nodiscard]] const Node& node() const { return *node_; }

    /// The field `key` of this map; nothing when absent or null.
    [[nodiscard]] std::optional<Field> child(std::string_view key) const;
    [[nodiscard]] Field child(std::string_view key, const Node& node) const;
    [[nodiscard]] Field item(std::size_t index) const;

    [[nodiscard]] std::string path() const;
    [[nodiscard]] std::unexpected<Error> error(std::string_view what) const;
    void warn(std::string_view what) const;

    [[nodiscard]] Result<void> expect_map() const;
    [[nodiscard]] Result<std::string> text() const;
    [[nodiscard]] Result<std::int64_t> integer(std::int64_t min, std::int64_t max) const;
    /// A duration such as "120s", "1m30s" or "1h".
    [[nodiscard]] Result<int> seconds() const;
    [[nodiscard]] Result<double> number() const;
    [[nodiscard]] Result<bool> boolean() const;
    [[nodiscard]] Result<std::vector<std::string>> texts() const;

    /// Calls `parse(item)` for each item of this list; more than `max` items is an error.
    template <typename Parse>
    [[nodiscard]] Result<void> each(Parse parse, std::size_t max = kNoLimit) const {
        if (auto list = expect_list(max); !list) {
            return list;
        }
        Result<void> first;
        for (std::size_t i = 0; i < node_->items.size(); ++i) {
            if (Result<void> parsed = parse(item(i)); !goes_on(parsed, first)) {
                break;
            }
        }
        return first;
    }

    /// Whether further fields are to be read behind one of which `parsed` came; the first mistake is put in `first`.
    [[nodiscard]] bool goes_on(const Result<void>& parsed, Result<void>& first) const;

    static constexpr std::size_t kNoLimit = std::numeric_limits<std::size_t>::max();

  private:
    [[nodiscard]] Result<void> expect_list(std::size_t max) const;

    std::string_view file_;
    const Node* node_;
    std::vector<std::string>* warnings_;
    std::vector<std::string>* mistakes_;
    const Field* parent_ = nullptr;
    std::string_view key_;
    std::size_t index_ = 0;
};

/// One key of a map and how to read it into a T.
template <typename T>
struct FieldRow {
    std::string_view key;
    Result<void> (*parse)(const Field& field, T& into);  ///< nullptr: known, but not acted upon
};

/// What to do with a key that no row knows.
enum class Unknown {
    Warn,           ///< tolerate, with a warning
    RefuseSimilar,  ///< refuse what looks like a misspelling, tolerate the rest
    Refuse,
};

/// The key of `known` that `key` is probably meant to be, or empty.
[[nodiscard]] std::string_view similar(
    std::string_view key, std::span<const std::string_view> known);

/// Judges an unknown key.
[[nodiscard]] Result<void> unknown_key(
    const Field& field,
    std::string_view key,
    std::span<const std::string_view> known,
    Unknown unknown);

/// An error when there is a tag in `field`: `source: {selector: !has(a)}` is not all sources.
[[nodiscard]] Result<void> refuse_tags(const Field& field);

/// Reads the map `field` by `rows`.
template <typename T>
[[nodiscard]] Result<void> parse_fields(
    const Field& field, std::span<const FieldRow<T>> rows, T& into, Unknown unknown) {
    if (auto map = field.expect_map(); !map) {
        return map;
    }
    Result<void> first;
    for (const auto& [key, value] : field.node().fields) {
        const auto found = std::ranges::find(rows, key, &FieldRow<T>::key);
        Result<void> done;
        if (found == rows.end()) {
            std::vector<std::string_view> known;
            for (const auto& row : rows) {
                known.push_back(row.key);
            }
            done = unknown_key(field.child(key, value), key, known, unknown);
        } else if (found->parse != nullptr && value.type != Node::Type::Null) {
            done = found->parse(field.child(key, value), into);
        }
        if (!field.goes_on(done, first)) {
            break;
        }
    }
    return first;
}

/// Stores `value`, or passes its error on.
template <typename From, typename To>
[[nodiscard]] Result<void> store(Result<From> value, To& into) {
    if (!value) {
        return std::unexpected(std::move(value).error());
    }
    into = static_cast<To>(*std::move(value));
    return {};
}

/// Stores the text of `field` in a member of `into`.
template <auto Member, typename T>
[[nodiscard]] Result<void> text_into(const Field& field, T& into) {
    return store(field.text(), into.*Member);
}

}  // namespace vr::policy
