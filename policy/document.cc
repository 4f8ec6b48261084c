// SPDX-License-Identifier: Apache-2.0
#include "policy/document.h"

#include <fmt/format.h>
#include <yaml.h>

#include <algorithm>
#include <cctype>
#include <optional>
#include <utility>

#include <boost/locale/utf.hpp>

namespace vr::policy {

namespace {

constexpr std::size_t kMaxDepth = 64;

/// What is wrong, and in which line of the text, from 0.
struct Mistake {
    std::size_t line;
    std::string what;
};

std::string_view text_of(const yaml_char_t* text, std::size_t length) {
    return {reinterpret_cast<const char*>(text), length};
}

/// Builds the tree from the YAML parser's events.
class TreeBuilder {
  public:
    explicit TreeBuilder(int first_line) : first_line_(first_line) {}

    [[nodiscard]] Node take() { return std::move(root_); }

    /// What is wrong about the event, if anything.
    [[nodiscard]] std::optional<Mistake> on(const yaml_event_t& event) {
        switch (event.type) {
            case YAML_DOCUMENT_START_EVENT:
                if (std::exchange(begun_, true)) {
                    return mistake(event, "expected one document");
                }
                return std::nullopt;
            case YAML_ALIAS_EVENT:
                return mistake(event, "aliases (*name) are not supported");
            case YAML_SCALAR_EVENT:
                return place(scalar(event), event);
            case YAML_SEQUENCE_START_EVENT:
                return open(Node::Type::List, event);
            case YAML_MAPPING_START_EVENT:
                return open(Node::Type::Map, event);
            case YAML_SEQUENCE_END_EVENT:
            case YAML_MAPPING_END_EVENT:
                return close(event);
            default:
                return std::nullopt;
        }
    }

  private:
    struct Level {
        Node node;
        std::string key;
        bool has_key = false;
    };

    [[nodiscard]] static Mistake mistake(const yaml_event_t& event, std::string what) {
        return {event.start_mark.line, std::move(what)};
    }

    [[nodiscard]] Node make(Node::Type type, const yaml_event_t& event) const {
        Node node;
        node.type = type;
        node.line = static_cast<int>(event.start_mark.line) + first_line_;
        return node;
    }

    [[nodiscard]] Node scalar(const yaml_event_t& event) const {
        const auto& scalar = event.data.scalar;
        const std::string_view text = text_of(scalar.value, scalar.length);
        const bool quoted = scalar.style != YAML_PLAIN_SCALAR_STYLE;
        const bool null = !quoted && (text == "~" || text == "null" || text.empty());
        Node node = make(null ? Node::Type::Null : Node::Type::Scalar, event);
        node.quoted = quoted;
        node.text = text;
        return node;
    }

    [[nodiscard]] std::optional<Mistake> open(Node::Type type, const yaml_event_t& event) {
        if (levels_.size() >= kMaxDepth) {
            return mistake(event, "nested too deep");
        }
        levels_.push_back({make(type, event), {}, false});
        return std::nullopt;
    }

    [[nodiscard]] std::optional<Mistake> close(const yaml_event_t& event) {
        Node node = std::move(levels_.back().node);
        levels_.pop_back();
        return place(std::move(node), event);
    }

    [[nodiscard]] std::optional<Mistake> place(Node node, const yaml_event_t& event) {
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
        return take_key(level, std::move(node), event);
    }

    [[nodiscard]] static std::optional<Mistake> take_key(
        Level& level, Node node, const yaml_event_t& event) {
        if (node.type == Node::Type::List || node.type == Node::Type::Map) {
            return mistake(event, "a key must be a text");
        }
        const auto same = [&](const auto& field) { return field.key == node.text; };
        if (std::ranges::any_of(level.node.fields, same)) {
            return mistake(event, "'" + node.text + "' is given twice");
        }
        level.key = std::move(node.text);
        level.has_key = true;
        return std::nullopt;
    }

    int first_line_;
    Node root_;
    std::vector<Level> levels_;
    bool begun_ = false;
};

/// The library's parser of one text, which must outlive it.
class Events {
  public:
    explicit Events(std::string_view text) : usable_(yaml_parser_initialize(&parser_) == 1) {
        if (usable_) {
            yaml_parser_set_encoding(&parser_, YAML_UTF8_ENCODING);
            yaml_parser_set_input_string(
                &parser_, reinterpret_cast<const yaml_char_t*>(text.data()), text.size());
        }
    }

    Events(const Events&) = delete;
    Events& operator=(const Events&) = delete;
    Events(Events&&) = delete;
    Events& operator=(Events&&) = delete;

    ~Events() {
        if (usable_) {
            yaml_parser_delete(&parser_);
        }
    }

    /// Feeds `builder` until the end of the text or the first mistake.
    [[nodiscard]] std::optional<Mistake> feed(TreeBuilder& builder) {
        while (usable_) {
            yaml_event_t event;
            if (yaml_parser_parse(&parser_, &event) != 1) {
                return Mistake{
                    parser_.problem_mark.line,
                    parser_.problem == nullptr ? "no memory" : parser_.problem};
            }
            const auto wrong = builder.on(event);
            const bool end = event.type == YAML_STREAM_END_EVENT;
            yaml_event_delete(&event);
            if (wrong || end) {
                return wrong;
            }
        }
        return Mistake{0, "no memory"};
    }

  private:
    yaml_parser_t parser_{};
    bool usable_;
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
    if (const auto wrong = Events(part.text).feed(builder)) {
        return fail(fmt::format(
            "{}:{}: not readable as YAML: {}",
            file,
            static_cast<std::size_t>(part.first_line) + wrong->line,
            wrong->what));
    }
    return builder.take();
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

}  // namespace vr::policy
