// SPDX-License-Identifier: Apache-2.0
#include "policy/json_document.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>

#include <boost/json/basic_parser_impl.hpp>

namespace vr::policy {

namespace {

namespace json = boost::json;
using json::error_code;
using json::string_view;

/// Builds the tree from the parser's events.  False ends the parse.
class TreeHandler {
  public:
    static constexpr std::size_t max_object_size = 1024;  // doubles are searched one by one
    static constexpr std::size_t max_array_size = 4U << 20U;
    static constexpr std::size_t max_key_size = 1U << 20U;
    static constexpr std::size_t max_string_size = 64U << 20U;

    [[nodiscard]] Node take() { return std::move(root_); }

    [[nodiscard]] const std::string& doubled() const { return doubled_; }

    // NOLINTBEGIN(readability-identifier-naming): the parser's names
    bool on_document_begin(error_code& /*error*/) { return true; }

    bool on_document_end(error_code& /*error*/) { return true; }

    bool on_object_begin(error_code& /*error*/) { return open(Node::Type::Map); }

    bool on_object_end(std::size_t /*size*/, error_code& error) { return close(error); }

    bool on_array_begin(error_code& /*error*/) { return open(Node::Type::List); }

    bool on_array_end(std::size_t /*size*/, error_code& error) { return close(error); }

    bool on_key_part(string_view part, std::size_t /*size*/, error_code& /*error*/) {
        text_ += part;
        return true;
    }

    bool on_key(string_view part, std::size_t /*size*/, error_code& error) {
        text_ += part;
        Level& level = levels_.back();
        level.key = std::exchange(text_, {});
        const auto same = [&](const Member& field) { return field.key == level.key; };
        if (std::ranges::any_of(level.node.fields, same)) {
            doubled_ = level.key;
            error = json::error::syntax;
            return false;
        }
        return true;
    }

    bool on_string_part(string_view part, std::size_t /*size*/, error_code& /*error*/) {
        text_ += part;
        return true;
    }

    bool on_string(string_view part, std::size_t /*size*/, error_code& /*error*/) {
        text_ += part;
        return scalar(std::exchange(text_, {}), true);
    }

    bool on_number_part(string_view part, error_code& /*error*/) {
        text_ += part;
        return true;
    }

    bool on_int64(std::int64_t /*value*/, string_view part, error_code& error) {
        return number(part, error);
    }

    bool on_uint64(std::uint64_t /*value*/, string_view part, error_code& error) {
        return number(part, error);
    }

    bool on_double(double /*value*/, string_view part, error_code& error) {
        return number(part, error);
    }

    bool on_bool(bool value, error_code& /*error*/) {
        return scalar(value ? "true" : "false", false);
    }

    bool on_null(error_code& /*error*/) {
        place(make(Node::Type::Null));
        return true;
    }

    bool on_comment_part(string_view /*part*/, error_code& /*error*/) { return true; }

    bool on_comment(string_view /*part*/, error_code& /*error*/) { return true; }

    // NOLINTEND(readability-identifier-naming)

  private:
    struct Level {
        Node node;
        std::string key = {};
    };

    static constexpr std::size_t kUsualFields = 4;  ///< more cost moving those that are there

    static Node make(Node::Type type) {
        Node node;
        node.type = type;
        node.line = 1;
        return node;
    }

    bool number(string_view part, error_code& /*error*/) {
        text_ += part;
        return scalar(std::exchange(text_, {}), false);
    }

    bool scalar(std::string text, bool quoted) {
        Node node = make(Node::Type::Scalar);
        node.text = std::move(text);
        node.quoted = quoted;
        place(std::move(node));
        return true;
    }

    bool open(Node::Type type) {
        Level& level = levels_.emplace_back(make(type));
        level.node.fields.reserve(type == Node::Type::Map ? kUsualFields : 0);
        return true;
    }

    bool close(error_code& /*error*/) {
        Level level = std::move(levels_.back());
        levels_.pop_back();
        place(std::move(level.node));
        return true;
    }

    void place(Node node) {
        if (levels_.empty()) {
            root_ = std::move(node);
            return;
        }
        Level& level = levels_.back();
        if (level.node.type == Node::Type::List) {
            level.node.items.push_back(std::move(node));
        } else {
            level.node.fields.push_back({std::move(level.key), std::move(node)});
        }
    }

    Node root_;
    std::vector<Level> levels_;
    std::string text_;  ///< of the string, key or number that is being read
    std::string doubled_;
};

}  // namespace

Result<Node> parse_json(std::string_view file, std::string_view text) {
    json::parse_options options;
    options.max_depth = kMaxDepth;
    json::basic_parser<TreeHandler> parser(options);
    error_code error;
    const std::size_t read = parser.write_some(false, text.data(), text.size(), error);
    if (!parser.handler().doubled().empty()) {
        return fail(fmt::format("{}: '{}' is given twice", file, parser.handler().doubled()));
    }
    if (error) {
        return fail(fmt::format("{}: not readable as JSON: {}", file, error.message()));
    }
    const std::string_view rest = text.substr(read);
    if (rest.find_first_not_of(" \t\r\n") != std::string_view::npos) {
        return fail(fmt::format("{}: not readable as JSON: more than one value", file));
    }
    return parser.handler().take();
}

}  // namespace vr::policy
