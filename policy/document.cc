// SPDX-License-Identifier: Apache-2.0
#include "policy/document.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <optional>
#include <utility>

#include <boost/locale/utf.hpp>

#include "policy/document_tree.h"

namespace vr::policy {

namespace {

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

/// What a character of a file is to the libraries.
enum class Character {
    Usual,
    Odd,      ///< allowed in texts; libyaml refuses it, or takes it for the end of a line
    Control,  ///< no part of YAML, YAML 1.2 5.1; yaml-cpp ends at some
    NoText,
};

Character judge(boost::locale::utf::code_point point) {
    if (point == boost::locale::utf::illegal || point == boost::locale::utf::incomplete) {
        return Character::NoText;
    }
    if (point < 0x20 && point != '\t' && point != '\n' && point != '\r') {
        return Character::Control;
    }
    const bool odd = (point >= 0x7f && point < 0xa0) || point == 0x2028 || point == 0x2029 ||
                     point == 0xfffe || point == 0xffff;
    return odd ? Character::Odd : Character::Usual;
}

/// Whether libyaml may read the text.
Result<bool> is_for_libyaml(std::string_view file, std::string_view text) {
    using Utf8 = boost::locale::utf::utf_traits<char>;
    bool odd = false;
    int line = 1;
    for (const char* at = text.begin(); at != text.end();) {
        if (*at >= ' ' && *at < 0x7f) {
            ++at;
            continue;
        }
        line += *at == '\n' ? 1 : 0;
        const Character character = judge(Utf8::decode(at, text.end()));
        if (character == Character::NoText || character == Character::Control) {
            return fail(fmt::format(
                "{}:{}: not readable as YAML: {}",
                file,
                line,
                character == Character::Control ? "control characters are not allowed"
                                                : "not a text in UTF-8"));
        }
        odd = odd || character == Character::Odd;
    }
    return !odd;
}

/// Without the blank lines in front; the columns of the first line stay.
std::string without_blank_lines(std::string text) {
    const std::size_t first = std::min(text.find_first_not_of("\n\r "), text.size());
    return text.erase(0, text.rfind('\n', first) + 1);
}

Result<Node> parse_part(std::string_view file, const Part& part, bool for_libyaml) {
    std::optional<Mistake> wrong;
    if (for_libyaml) {
        TreeBuilder builder(part.first_line);
        wrong = read_by_libyaml(part.text, builder);
        if (!wrong) {
            return builder.take();
        }
    }
    if (!wrong || wrong->syntax) {
        TreeBuilder builder(part.first_line);
        auto still_wrong = read_by_yaml_cpp(part.text, builder);
        if (!still_wrong) {
            return builder.take();
        }
        // That both cannot read it libyaml tells better.
        if (!wrong || !still_wrong->syntax) {
            wrong = std::move(still_wrong);
        }
    }
    return fail(fmt::format("{}:{}: not readable as YAML: {}", file, wrong->line, wrong->what));
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

std::string what_is_wrong_with_tag(std::string_view tag) {
    return "'" + std::string(tag) + "' is a YAML tag; quote the text";
}

Result<std::vector<Document>> parse_documents(std::string_view file, std::string_view text) {
    const auto for_libyaml = is_for_libyaml(file, text);
    if (!for_libyaml) {
        return std::unexpected(for_libyaml.error());
    }
    if (constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";
        text.starts_with(kByteOrderMark)) {
        text.remove_prefix(kByteOrderMark.size());
    }
    std::vector<Document> documents;
    for (auto& part : split(text)) {
        auto root = parse_part(file, part, *for_libyaml);
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
