// SPDX-License-Identifier: Apache-2.0
#include "policy/document.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <sstream>

#include <boost/json.hpp>
#include <boost/locale/utf.hpp>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

namespace vr::policy {

namespace {

constexpr std::size_t kMaxDepth = 64;

/// Builds the tree from the YAML parser's events.
class TreeBuilder : public YAML::EventHandler {
  public:
    explicit TreeBuilder(int first_line) : first_line_(first_line) {}

    [[nodiscard]] Node take() { return std::move(root_); }

    void OnDocumentStart(const YAML::Mark& /*mark*/) override {}

    void OnDocumentEnd() override {}

    void OnNull(const YAML::Mark& mark, YAML::anchor_t /*anchor*/) override {
        place(make(mark, Node::Type::Null), mark);
    }

    void OnAlias(const YAML::Mark& mark, YAML::anchor_t /*anchor*/) override {
        throw YAML::ParserException(mark, "aliases (*name) are not supported");
    }

    void OnScalar(
        const YAML::Mark& mark,
        const std::string& tag,
        YAML::anchor_t /*anchor*/,
        const std::string& value) override {
        // The library tells a quoted scalar by its tag "!".
        const bool quoted = tag == "!";
        const bool null = !quoted && (value == "~" || value == "null" || value.empty());
        Node node = make(mark, null ? Node::Type::Null : Node::Type::Scalar);
        node.quoted = quoted;
        node.text = value;
        place(std::move(node), mark);
    }

    void OnSequenceStart(
        const YAML::Mark& mark,
        const std::string& /*tag*/,
        YAML::anchor_t /*anchor*/,
        YAML::EmitterStyle::value /*style*/) override {
        open(make(mark, Node::Type::List), mark);
    }

    void OnSequenceEnd() override { close(); }

    void OnMapStart(
        const YAML::Mark& mark,
        const std::string& /*tag*/,
        YAML::anchor_t /*anchor*/,
        YAML::EmitterStyle::value /*style*/) override {
        open(make(mark, Node::Type::Map), mark);
    }

    void OnMapEnd() override { close(); }

  private:
    struct Level {
        Node node;
        std::string key;
        YAML::Mark mark;
        bool has_key = false;
    };

    [[nodiscard]] Node make(const YAML::Mark& mark, Node::Type type) const {
        Node node;
        node.type = type;
        node.line = mark.line + first_line_;
        return node;
    }

    void open(Node node, const YAML::Mark& mark) {
        if (levels_.size() >= kMaxDepth) {
            throw YAML::ParserException(mark, "nested too deep");
        }
        levels_.push_back({std::move(node), {}, mark, false});
    }

    void close() {
        Level level = std::move(levels_.back());
        levels_.pop_back();
        place(std::move(level.node), level.mark);
    }

    void place(Node node, const YAML::Mark& mark) {
        if (levels_.empty()) {
            root_ = std::move(node);
            return;
        }
        Level& level = levels_.back();
        if (level.node.type == Node::Type::List) {
            level.node.items.push_back(std::move(node));
        } else if (level.has_key) {
            level.node.fields.push_back({std::move(level.key), std::move(node)});
            level.has_key = false;
        } else {
            take_key(level, std::move(node), mark);
        }
    }

    static void take_key(Level& level, Node node, const YAML::Mark& mark) {
        if (node.type == Node::Type::List || node.type == Node::Type::Map) {
            throw YAML::ParserException(mark, "a key must be a text");
        }
        const auto same = [&](const auto& field) { return field.key == node.text; };
        if (std::ranges::any_of(level.node.fields, same)) {
            throw YAML::ParserException(mark, "'" + node.text + "' is given twice");
        }
        level.key = std::move(node.text);
        level.has_key = true;
    }

    int first_line_;
    Node root_;
    std::vector<Level> levels_;
};

struct Part {
    std::string text;
    int first_line = 1;
};

/// A line that begins with "---" begins a document; YAML allows such a line nowhere else.
std::vector<Part> split(std::string_view text) {
    std::vector<Part> parts(1);
    int line = 1;
    while (!text.empty()) {
        const std::size_t end = std::min(text.find('\n'), text.size() - 1) + 1;
        const std::string_view row = text.substr(0, end);
        if (row.starts_with("---") && (row.size() == 3 || std::isspace(row[3]) != 0)) {
            // What follows on the same line belongs to the document; blanks keep its columns.
            parts.push_back({"   " + std::string(row.substr(3)), line});
        } else {
            parts.back().text += row;
        }
        text.remove_prefix(end);
        ++line;
    }
    return parts;
}

/// Line of the first byte that is not part of a UTF-8 text, or 0; YAML 1.2 5.2.
int line_of_no_text(std::string_view text) {
    using Utf8 = boost::locale::utf::utf_traits<char>;
    int line = 1;
    for (const char* at = text.begin(); at != text.end();) {
        line += *at == '\n' ? 1 : 0;
        const auto point = Utf8::decode(at, text.end());
        if (point == boost::locale::utf::illegal || point == boost::locale::utf::incomplete) {
            return line;
        }
    }
    return 0;
}

/// Without the blank lines in front; the columns of the first line stay.
std::string without_blank_lines(std::string text) {
    const std::size_t first = std::min(text.find_first_not_of("\n\r "), text.size());
    return text.erase(0, text.rfind('\n', first) + 1);
}

Result<Node> parse_part(std::string_view file, const Part& part) {
    TreeBuilder builder(part.first_line);
    try {
        std::istringstream stream(part.text);
        YAML::Parser parser(stream);
        parser.HandleNextDocument(builder);
        if (parser.HandleNextDocument(builder)) {
            return fail(fmt::format("{}:{}: expected one document", file, part.first_line));
        }
        return builder.take();
    } catch (const YAML::Exception& error) {
        const int line = error.mark.is_null() ? part.first_line : error.mark.line + part.first_line;
        return fail(fmt::format("{}:{}: not readable as YAML: {}", file, line, error.msg));
    }
}

boost::json::value scalar_value(const Node& node) {
    const std::string& text = node.text;
    if (node.quoted) {
        return boost::json::string(text);
    }
    if (text == "true" || text == "false") {
        return text == "true";
    }
    const char* const end = text.data() + text.size();
    std::int64_t integer = 0;
    if (const auto [stop, error] = std::from_chars(text.data(), end, integer);
        error == std::errc{} && stop == end) {
        return integer;
    }
    double number = 0;
    if (const auto [stop, error] = std::from_chars(text.data(), end, number);
        error == std::errc{} && stop == end && std::isfinite(number)) {
        return number;
    }
    return boost::json::string(text);
}

boost::json::value json_value(const Node& node) {
    switch (node.type) {
        case Node::Type::Scalar:
            return scalar_value(node);
        case Node::Type::List: {
            boost::json::array array;
            for (const auto& item : node.items) {
                array.push_back(json_value(item));
            }
            return array;
        }
        case Node::Type::Map: {
            boost::json::object object;
            for (const auto& [key, value] : node.fields) {
                object[key] = json_value(value);
            }
            return object;
        }
        case Node::Type::Null:
            break;
    }
    return nullptr;
}

void emit(YAML::Emitter& out, const Node& node) {
    switch (node.type) {
        case Node::Type::Null:
            out << YAML::Null;
            break;
        case Node::Type::Scalar:
            if (node.quoted) {
                out << YAML::DoubleQuoted;
            }
            out << node.text;
            break;
        case Node::Type::List:
            out << YAML::BeginSeq;
            for (const auto& item : node.items) {
                emit(out, item);
            }
            out << YAML::EndSeq;
            break;
        case Node::Type::Map:
            out << YAML::BeginMap;
            for (const auto& [key, value] : node.fields) {
                out << YAML::Key << key << YAML::Value;
                emit(out, value);
            }
            out << YAML::EndMap;
            break;
    }
}

}  // namespace

Node::Node() : type(Type::Null), line(0), quoted(false) {}

Node::Node(const Node&) = default;
Node& Node::operator=(const Node&) = default;
Node::Node(Node&&) noexcept = default;
Node& Node::operator=(Node&&) noexcept = default;
Node::~Node() = default;

const Node* Node::find(std::string_view key) const {
    for (const auto& [name, value] : fields) {
        if (name == key) {
            return value.type == Type::Null ? nullptr : &value;
        }
    }
    return nullptr;
}

Result<std::vector<Document>> parse_documents(std::string_view file, std::string_view text) {
    if (const int line = line_of_no_text(text); line != 0) {
        return fail(fmt::format("{}:{}: not readable as YAML: not a text in UTF-8", file, line));
    }
    std::vector<Document> documents;
    for (auto& part : split(text)) {
        auto root = parse_part(file, part);
        if (!root) {
            return std::unexpected(std::move(root).error());
        }
        if (root->type != Node::Type::Null) {
            documents.push_back({*std::move(root), without_blank_lines(std::move(part.text))});
        }
    }
    return documents;
}

std::string to_yaml(const Node& node) {
    YAML::Emitter out;
    emit(out, node);
    return std::string(out.c_str()) + "\n";
}

std::string to_json(const Node& node) {
    return boost::json::serialize(json_value(node));
}

}  // namespace vr::policy
